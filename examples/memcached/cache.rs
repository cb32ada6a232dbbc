//! The commands of one key, on the items of one reactor.

use std::io::Write;

use sluicegate_reactor::Bytes;

use super::command::{Command, Get, Mode, Set};
use super::counters::Counters;
use super::item::{Blob, END};
use super::store::{NoMemory, Store};

pub(crate) const NO_MEMORY: &str = "SERVER_ERROR out of memory storing object\r\n";
pub(crate) const NOT_NUMERIC: &str =
    "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

/// A part of a response: text, and then a value by reference.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) text: Vec<u8>,
    pub(crate) value: Option<Bytes>,
}

impl Reply {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn push_number(&mut self, number: u64) {
        let _ = write!(self.text, "{number}");
    }

    /// Adds the value of an item, with its end.
    pub(crate) fn push_value(&mut self, blob: &Blob) {
        match blob.shared() {
            Some(value) => self.value = Some(value),
            None => self.text.extend_from_slice(blob.ended()),
        }
    }
}

/// Why an item was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// The item is there, or is not there, contrary to what the mode needs.
    Condition,
    /// The CAS number is another one.
    Exists,
    /// There is no item whose CAS number could be compared.
    NotFound,
    NoMemory,
}

impl From<NoMemory> for NotStored {
    fn from(_: NoMemory) -> NotStored {
        NotStored::NoMemory
    }
}

/// Why a number was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoNumber {
    NotFound,
    NotNumeric,
    NoMemory,
}

/// The items, their statistics, and the response to the command that runs.
pub(crate) struct Cache {
    pub(crate) store: Store,
    pub(crate) counters: Counters,
    pub(crate) reply: Reply,
    /// The longest value in bytes.
    max_value: usize,
}

impl Cache {
    pub(crate) fn new(store: Store, max_value: usize) -> Cache {
        Cache { store, counters: Counters::default(), reply: Reply::default(), max_value }
    }

    /// Runs a command of one key, with the item that it stores, if it does. The response is added
    /// to [`Cache::reply`].
    pub(crate) fn run(&mut self, command: &Command<'_>, blob: Option<Blob>) {
        let before = self.reply.text.len();
        match (command, blob) {
            (Command::Set(set), Some(blob)) => self.set(set, blob),
            (Command::Delete { key, .. }, _) => self.delete(key),
            (Command::Arithmetic { key, delta, decrement, .. }, _) => {
                self.arithmetic(key, *delta, *decrement);
            }
            (Command::Touch { key, exptime, .. }, _) => self.touch(key, *exptime),
            (Command::Meta(meta), blob) => self.meta(meta, blob),
            _ => {}
        }
        if command.is_silent() {
            self.reply.text.truncate(before);
        }
    }

    /// Adds the item of one key of a `get`, if it is there.
    pub(crate) fn get(&mut self, get: &Get, key: &[u8]) {
        self.counters.cmd_get += 1;
        let found = self.store.find(key);
        if let Some(exptime) = get.exptime {
            self.counters.cmd_touch += 1;
            match found {
                Some(index) => {
                    self.counters.touch_hits += 1;
                    let expires = self.store.expiry(exptime);
                    self.store.set_expiry(index, expires);
                }
                None => self.counters.touch_misses += 1,
            }
        }
        let Some(index) = found else {
            self.counters.get_misses += 1;
            return;
        };
        self.counters.get_hits += 1;
        self.store.bump(index);
        let Cache { store, reply, .. } = self;
        let slot = store.get_mut(index);
        slot.fetched = true;
        reply.push("VALUE ");
        reply.text.extend_from_slice(key);
        reply.push(" ");
        reply.push_number(slot.blob.flags().into());
        reply.push(" ");
        reply.push_number(slot.blob.value().len() as u64);
        if get.cas {
            reply.push(" ");
            reply.push_number(slot.cas);
        }
        reply.push("\r\n");
        reply.push_value(&slot.blob);
    }

    fn set(&mut self, set: &Set<'_>, blob: Blob) {
        let expires = self.store.expiry(set.exptime);
        let found = self.store.find(set.key);
        let stored = self.store_item(found, blob, set.mode, set.cas);
        let response = match stored {
            Ok(index) => {
                if !matches!(set.mode, Mode::Append | Mode::Prepend) {
                    self.store.set_expiry(index, expires);
                }
                "STORED\r\n"
            }
            Err(NotStored::Condition) => "NOT_STORED\r\n",
            Err(NotStored::Exists) => "EXISTS\r\n",
            Err(NotStored::NotFound) => "NOT_FOUND\r\n",
            Err(NotStored::NoMemory) => NO_MEMORY,
        };
        self.reply.push(response);
    }

    /// Stores an item in place of the one that was `found`, if the mode and the CAS number allow
    /// it. Its expiry does not change.
    pub(crate) fn store_item(
        &mut self,
        found: Option<u32>,
        blob: Blob,
        mode: Mode,
        cas: Option<u64>,
    ) -> Result<u32, NotStored> {
        self.counters.cmd_set += 1;
        let allowed = match (mode, found) {
            (Mode::Add, Some(index)) => {
                // What another client wants to keep is in use.
                self.store.bump(index);
                Err(NotStored::Condition)
            }
            // As in memcached, what adds an item compares nothing.
            (Mode::Add, None) => Ok(()),
            (Mode::Append | Mode::Prepend, None) => Err(NotStored::Condition),
            (Mode::Replace, None) if cas.is_none() => Err(NotStored::Condition),
            _ => self.compare(found, cas),
        };
        allowed?;
        let stored = match found {
            None => self.store.insert(blob),
            Some(index) => {
                let joins = matches!(mode, Mode::Append | Mode::Prepend);
                let blob = if joins { self.join(index, &blob, mode)? } else { blob };
                self.store.replace(index, blob).map(|()| {
                    let slot = self.store.get_mut(index);
                    (slot.fetched, slot.stale, slot.won) = (false, false, false);
                    index
                })
            }
        };
        let index = stored.inspect_err(|_| {
            self.counters.store_no_memory += 1;
            // The old value is out of date if all of it was to be replaced.
            if let Some(index) = found.filter(|_| mode == Mode::Set) {
                self.store.remove(index);
            }
        })?;
        self.counters.total_items += 1;
        Ok(index)
    }

    /// Adds to the value of an item, at its end or at its start.
    fn join(&mut self, index: u32, added: &Blob, mode: Mode) -> Result<Blob, NotStored> {
        let old = &self.store.get(index).blob;
        if old.value().len() + added.value().len() > self.max_value {
            self.counters.store_too_large += 1;
            // As in memcached, this is no error.
            return Err(NotStored::Condition);
        }
        let (first, second) = if mode == Mode::Append { (old, added) } else { (added, old) };
        Ok(Blob::copied(old.key(), old.flags(), &[first.value(), second.ended()]))
    }

    /// Compares the CAS number of an item, and counts the result.
    fn compare(&mut self, found: Option<u32>, cas: Option<u64>) -> Result<(), NotStored> {
        let Some(cas) = cas else { return Ok(()) };
        let Some(index) = found else {
            self.counters.cas_misses += 1;
            return Err(NotStored::NotFound);
        };
        if self.store.get(index).cas != cas {
            self.counters.cas_badval += 1;
            return Err(NotStored::Exists);
        }
        self.counters.cas_hits += 1;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) {
        match self.store.find(key) {
            Some(index) => {
                self.counters.delete_hits += 1;
                self.store.remove(index);
                self.reply.push("DELETED\r\n");
            }
            None => {
                self.counters.delete_misses += 1;
                self.reply.push("NOT_FOUND\r\n");
            }
        }
    }

    /// Removes the item of a key, if it is there, which no client has asked for.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        if let Some(index) = self.store.find(key) {
            self.store.remove(index);
        }
    }

    fn touch(&mut self, key: &[u8], exptime: i64) {
        self.counters.cmd_touch += 1;
        match self.store.find(key) {
            Some(index) => {
                self.counters.touch_hits += 1;
                let expires = self.store.expiry(exptime);
                self.store.set_expiry(index, expires);
                self.store.bump(index);
                self.store.get_mut(index).fetched = true;
                self.reply.push("TOUCHED\r\n");
            }
            None => {
                self.counters.touch_misses += 1;
                self.reply.push("NOT_FOUND\r\n");
            }
        }
    }

    fn arithmetic(&mut self, key: &[u8], delta: u64, decrement: bool) {
        let found = self.store.find(key);
        match self.change_number(found, delta, decrement) {
            Ok(number) => {
                self.reply.push_number(number);
                self.reply.push("\r\n");
            }
            Err(NoNumber::NotFound) => self.reply.push("NOT_FOUND\r\n"),
            Err(NoNumber::NotNumeric) => self.reply.push(NOT_NUMERIC),
            Err(NoNumber::NoMemory) => self.reply.push(NO_MEMORY),
        }
    }

    /// Adds to the number that an item is, which wraps, or subtracts from it down to 0.
    pub(crate) fn change_number(
        &mut self,
        found: Option<u32>,
        delta: u64,
        decrement: bool,
    ) -> Result<u64, NoNumber> {
        let counters = &mut self.counters;
        let counter = match (decrement, found.is_some()) {
            (false, true) => &mut counters.incr_hits,
            (false, false) => &mut counters.incr_misses,
            (true, true) => &mut counters.decr_hits,
            (true, false) => &mut counters.decr_misses,
        };
        *counter += 1;
        let index = found.ok_or(NoNumber::NotFound)?;
        let blob = &self.store.get(index).blob;
        let number = parse_number(blob.value()).ok_or(NoNumber::NotNumeric)?;
        let number =
            if decrement { number.saturating_sub(delta) } else { number.wrapping_add(delta) };
        let blob = Blob::copied(blob.key(), blob.flags(), &[number.to_string().as_bytes(), END]);
        self.store.replace(index, blob).map_err(|_| NoNumber::NoMemory)?;
        Ok(number)
    }
}

/// The number that a value is. Other servers pad numbers with spaces.
fn parse_number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}
