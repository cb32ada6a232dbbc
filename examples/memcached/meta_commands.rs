//! The meta commands, on the items of one reactor.

use super::cache::{Cache, NO_MEMORY, NOT_NUMERIC, NoNumber, NotStored};
use super::command::Mode;
use super::item::{Blob, END};
use super::meta::{Meta, Op};
use super::slots::Slot;
use super::store::NEVER;

/// The facts that the flags of a response report, as of before the command where that matters.
#[derive(Clone, Copy, Default)]
struct Facts {
    index: Option<u32>,
    cas: u64,
    fetched: bool,
    used: u32,
    expires: u32,
    /// Whether the command has created the item because it was missing.
    created: bool,
}

impl Cache {
    /// Runs a meta command.
    pub(crate) fn meta(&mut self, meta: &Meta<'_>, blob: Option<Blob>) {
        self.counters.cmd_meta += 1;
        match (meta.op, blob) {
            (Op::Get, _) => self.meta_get(meta),
            (Op::Set, Some(blob)) => self.meta_set(meta, blob),
            (Op::Set, None) => {}
            (Op::Delete, _) => self.meta_delete(meta),
            (Op::Arithmetic, _) => self.meta_arithmetic(meta),
            (Op::Debug, _) => self.meta_debug(meta),
        }
    }

    fn meta_get(&mut self, meta: &Meta<'_>) {
        let flags = &meta.flags;
        self.counters.cmd_get += 1;
        let found = self.store.find(meta.key());
        let created = found.is_none();
        let index = match found {
            Some(index) => {
                self.counters.get_hits += 1;
                index
            }
            None => {
                self.counters.get_misses += 1;
                if flags.vivify.is_none() {
                    if !flags.has(b'q') {
                        self.answer(meta, "EN", Facts::default());
                    }
                    return;
                }
                let Ok(index) = self.store.insert(Blob::copied(meta.key(), 0, &[END])) else {
                    return self.reply.push(NO_MEMORY);
                };
                self.renumber(index, flags.new_cas);
                index
            }
        };
        let facts = Facts { created, ..self.facts(index) };
        let ends_soon = self.set_times(meta, index, created);
        let slot = self.store.get(index);
        let won = created || (slot.stale || ends_soon) && !slot.won;
        let (stale, was_won) = (slot.stale, slot.won);
        let shows_value = flags.has(b'v') && flags.compare != Some(slot.cas);
        let size = slot.blob.value().len();
        match shows_value {
            true => self.answer_with_size(meta, size, facts),
            false => self.start(meta, "HD", facts),
        }
        for (flag, is_set) in [(" Z", was_won), (" X", stale), (" W", won)] {
            if is_set {
                self.reply.push(flag);
            }
        }
        self.reply.push("\r\n");
        let slot = self.store.get_mut(index);
        slot.won |= won;
        if !flags.has(b'u') {
            slot.fetched = true;
            self.store.bump(index);
        }
        if shows_value {
            self.reply.push_value(&self.store.get(index).blob);
        }
    }

    fn meta_set(&mut self, meta: &Meta<'_>, blob: Blob) {
        let flags = &meta.flags;
        let found = self.store.find(meta.key());
        let mut mode = flags.mode;
        let mut ttl = Some(flags.ttl.unwrap_or(0));
        if matches!(mode, Mode::Append | Mode::Prepend) {
            ttl = None;
            if let (None, Some(vivify)) = (found, flags.vivify) {
                mode = Mode::Add;
                ttl = Some(vivify);
            }
        }
        // An older version than that of the item may replace it, but is stale at once.
        let invalidates = flags.has(b'I') && matches!(mode, Mode::Set | Mode::Replace);
        let older = found
            .map(|index| self.store.get(index))
            .filter(|slot| invalidates && flags.compare.is_some_and(|compare| compare < slot.cas));
        let kept = older.map(|slot| (slot.won, slot.cas));
        let compare = kept.map_or(flags.compare, |(_, cas)| Some(cas));
        match self.store_item(found, blob, mode, compare) {
            Ok(index) => {
                match kept {
                    Some((won, _)) => {
                        let slot = self.store.get_mut(index);
                        (slot.stale, slot.won) = (true, won);
                    }
                    None => self.expire(index, ttl),
                }
                self.renumber(index, flags.new_cas);
                if !flags.has(b'q') {
                    self.answer(meta, "HD", self.facts(index));
                }
            }
            Err(NotStored::Condition) => self.answer(meta, "NS", Facts::default()),
            Err(NotStored::Exists) => self.answer(meta, "EX", Facts::default()),
            Err(NotStored::NotFound) => self.answer(meta, "NF", Facts::default()),
            Err(NotStored::NoMemory) => self.reply.push(NO_MEMORY),
        }
    }

    fn meta_delete(&mut self, meta: &Meta<'_>) {
        let flags = &meta.flags;
        let Some(index) = self.store.find(meta.key()) else {
            self.counters.delete_misses += 1;
            return self.answer(meta, "NF", Facts::default());
        };
        if flags.compare.is_some_and(|compare| compare != self.store.get(index).cas) {
            return self.answer(meta, "EX", Facts::default());
        }
        self.counters.delete_hits += 1;
        let keeps = flags.has(b'I') || flags.has(b'x');
        if flags.has(b'x') {
            let empty = Blob::copied(meta.key(), 0, &[END]);
            if self.store.replace(index, empty).is_err() {
                return self.reply.push(NO_MEMORY);
            }
        }
        if flags.has(b'I') {
            self.expire(index, flags.ttl);
            let cas = self.store.next_cas();
            let slot = self.store.get_mut(index);
            (slot.cas, slot.stale, slot.won) = (cas, true, false);
        }
        self.renumber(index, flags.new_cas);
        if !flags.has(b'q') {
            self.answer(meta, "HD", Facts::default());
        }
        if !keeps {
            self.store.remove(index);
        }
    }

    fn meta_arithmetic(&mut self, meta: &Meta<'_>) {
        let flags = &meta.flags;
        let found = self.store.find(meta.key());
        let cas = found.map(|index| self.store.get(index).cas);
        if cas.is_some() && flags.compare.is_some_and(|compare| cas != Some(compare)) {
            return self.answer(meta, "EX", Facts::default());
        }
        let changed = self.change_number(found, flags.delta, flags.decrement);
        let created = found.is_none();
        let index = match (changed, found) {
            (Ok(_), Some(index)) => index,
            (Err(NoNumber::NotNumeric), _) => return self.reply.push(NOT_NUMERIC),
            (Err(NoNumber::NoMemory), _) => return self.reply.push(NO_MEMORY),
            _ if flags.vivify.is_none() => return self.answer(meta, "NF", Facts::default()),
            _ => {
                let number = flags.initial.to_string();
                let blob = Blob::copied(meta.key(), 0, &[number.as_bytes(), END]);
                let Ok(index) = self.store.insert(blob) else {
                    return self.reply.push(NO_MEMORY);
                };
                index
            }
        };
        self.renumber(index, flags.new_cas);
        let facts = Facts { created, ..self.facts(index) };
        self.set_times(meta, index, created);
        if flags.has(b'q') {
            return;
        }
        if !flags.has(b'v') {
            return self.answer(meta, "HD", facts);
        }
        let size = self.store.get(index).blob.value().len();
        self.answer_with_size(meta, size, facts);
        self.reply.push("\r\n");
        self.reply.push_value(&self.store.get(index).blob);
    }

    fn meta_debug(&mut self, meta: &Meta<'_>) {
        let Some(index) = self.store.find(meta.key()) else { return self.reply.push("EN\r\n") };
        let (now, slot) = (self.store.now(), self.store.get(index));
        let left = i64::from(slot.expires) - i64::from(now);
        let expires = if slot.expires == NEVER { -1 } else { left };
        let (idle, cas, size) = (now - slot.used, slot.cas, slot.blob.cost());
        let fetched = if slot.fetched { "yes" } else { "no" };
        self.reply.push("ME ");
        self.reply.text.extend_from_slice(meta.word);
        self.reply.push(&format!(
            " exp={expires} la={idle} cas={cas} fetch={fetched} cls=1 size={size}\r\n"
        ));
    }

    fn facts(&self, index: u32) -> Facts {
        let slot = self.store.get(index);
        let Slot { cas, fetched, used, expires, .. } = *slot;
        Facts { index: Some(index), cas, fetched, used, expires, created: false }
    }

    /// Sets when an item expires as the flags say, the last one of them for good. Returns whether
    /// it is to be renewed because it would expire soon: `R` sees the time that the flags before it
    /// have set.
    fn set_times(&mut self, meta: &Meta<'_>, index: u32, created: bool) -> bool {
        let flags = &meta.flags;
        let mut ends_soon = false;
        for word in flags.words.clone() {
            match word[0] {
                b'T' => self.expire(index, flags.ttl),
                b'N' if created => self.expire(index, flags.vivify),
                b'R' => ends_soon = self.ends_within(index, flags.recache.unwrap_or(0)),
                _ => {}
            }
        }
        ends_soon
    }

    fn ends_within(&self, index: u32, seconds: i64) -> bool {
        let (now, expires) = (self.store.now(), self.store.get(index).expires);
        expires != NEVER && i64::from(expires) - i64::from(now) < seconds
    }

    fn expire(&mut self, index: u32, exptime: Option<i64>) {
        if let Some(exptime) = exptime {
            let expires = self.store.expiry(exptime);
            self.store.set_expiry(index, expires);
        }
    }

    /// Gives an item the CAS number that the client wants it to have.
    fn renumber(&mut self, index: u32, cas: Option<u64>) {
        if let Some(cas) = cas {
            self.store.get_mut(index).cas = cas;
        }
    }

    /// Adds a response of one line.
    fn answer(&mut self, meta: &Meta<'_>, code: &str, facts: Facts) {
        self.start(meta, code, facts);
        self.reply.push("\r\n");
    }

    fn answer_with_size(&mut self, meta: &Meta<'_>, size: usize, facts: Facts) {
        self.start(meta, &format!("VA {size}"), facts);
    }

    /// Adds a code and the flags that it returns, in the order in which they were sent.
    fn start(&mut self, meta: &Meta<'_>, code: &str, mut facts: Facts) {
        self.reply.push(code);
        for word in meta.flags.words.clone() {
            let time = match word[0] {
                b'T' => meta.flags.ttl,
                b'N' if facts.created => meta.flags.vivify,
                _ => None,
            };
            if let Some(time) = time {
                // What follows is about the new time.
                facts.expires = self.store.expiry(time);
            }
            self.add_flag(meta, word, facts);
        }
    }

    fn add_flag(&mut self, meta: &Meta<'_>, word: &[u8], facts: Facts) {
        let slot = facts.index.map(|index| self.store.get(index));
        let now = self.store.now();
        let value = match (word[0], slot) {
            (b'O', _) => {
                self.reply.push(" ");
                return self.reply.text.extend_from_slice(word);
            }
            (b'k', _) => {
                self.reply.push(" k");
                self.reply.text.extend_from_slice(meta.word);
                return self.reply.push(if meta.flags.has(b'b') { " b" } else { "" });
            }
            // As in memcached, an item that was not stored has a number, too: 0.
            (b'c', None) if meta.op == Op::Set => 0,
            (b'c', Some(_)) => facts.cas.into(),
            (b'f', Some(slot)) => slot.blob.flags().into(),
            (b's', Some(slot)) => slot.blob.value().len() as i128,
            (b't', Some(_)) if facts.expires == NEVER => -1,
            (b't', Some(_)) => i128::from(facts.expires) - i128::from(now),
            (b'h', Some(_)) => facts.fetched.into(),
            (b'l', Some(_)) => (now - facts.used).into(),
            _ => return,
        };
        self.reply.push(&format!(" {}{value}", char::from(word[0])));
    }
}
