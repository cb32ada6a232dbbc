//! Bindings of libkqueue, which implements `kqueue(2)` on Linux with `epoll(7)`. This file defines
//! the names that `libc` has on the BSDs, so that the kqueue backend can be built and tested on
//! Linux.
//!
//! It also compensates for the differences between a kernel and libkqueue 2.7.0, so that no other
//! file needs to know about them:
//!
//! - A kernel forgets a descriptor that is closed. libkqueue does not notice the close, mistakes
//!   the next descriptor with that number for the old one, and reports no events for it: see
//!   [`closing`].
//! - A kernel leaves the error of a socket in place and shows it in `fflags`. libkqueue takes it
//!   with `SO_ERROR`. The next receive would then see a clean end of stream, and a failed connect
//!   would seem to have succeeded: see [`error_taken`].
//! - A kernel keeps the events that do not fit in the list for the next call. libkqueue takes as
//!   many events from epoll as the list has entries, turns each into up to two, and drops those
//!   that do not fit, which with `EV_CLEAR` are never reported again: [`kevent`] repeats everything
//!   that may have been dropped.
//!
//! One difference remains. A kernel frees a queue when its descriptor is closed. libkqueue learns
//! of the close by a signal (`F_SETSIG`), and its thread `libkqueue_mon` then closes the epoll
//! instance and the other end of the pipe behind the queue. A test that counts descriptors may
//! still see these two.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{ptr, slice};

use libc::{c_int, c_void, timespec};

use super::Fd;

/// `struct kevent` of libkqueue's `sys/event.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct kevent {
    pub(super) ident: usize,
    pub(super) filter: i16,
    pub(super) flags: u16,
    pub(super) fflags: u32,
    pub(super) data: isize,
    pub(super) udata: *mut c_void,
}

pub(super) const EVFILT_READ: i16 = -1;
pub(super) const EVFILT_WRITE: i16 = -2;

pub(super) const EV_ADD: u16 = 0x0001;
pub(super) const EV_DELETE: u16 = 0x0002;
pub(super) const EV_CLEAR: u16 = 0x0020;
pub(super) const EV_RECEIPT: u16 = 0x0040;
pub(super) const EV_ERROR: u16 = 0x4000;
pub(super) const EV_EOF: u16 = 0x8000;

/// The maximum number of events that libkqueue writes in one call (`MAX_KEVENT`).
const MOST_EVENTS: usize = 512;

/// One filter of one descriptor in one queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    // First, so that the filters of one descriptor are adjacent.
    ident: usize,
    filter: i16,
    queue: c_int,
}

/// The state that libkqueue does not keep, for all queues of the process.
struct Books {
    /// The user data of every filter.
    registered: BTreeMap<Key, usize>,
    /// The errors that libkqueue has taken from sockets.
    errors: BTreeMap<usize, i32>,
    /// Filters that may have a dropped event. They are reported instead of waiting.
    doubted: VecDeque<Key>,
}

static BOOKS: Mutex<Books> = Mutex::new(Books {
    registered: BTreeMap::new(),
    errors: BTreeMap::new(),
    doubted: VecDeque::new(),
});

fn books() -> MutexGuard<'static, Books> {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

mod library {
    use libc::{c_int, timespec};

    // The build names the library: pkg-config finds it.
    unsafe extern "C" {
        pub(super) fn kqueue() -> c_int;
        pub(super) fn kevent(
            queue: c_int,
            changes: *const super::kevent,
            change_count: c_int,
            events: *mut super::kevent,
            event_count: c_int,
            timeout: *const timespec,
        ) -> c_int;
    }
}

/// Opens a queue, and forgets the state of a closed queue with the same number.
///
/// # Safety
/// Always safe: it has the signature of the function that it replaces.
pub(super) unsafe fn kqueue() -> c_int {
    // SAFETY: only the library's own memory is touched.
    let queue = unsafe { library::kqueue() };
    let mut books = books();
    books.registered.retain(|key, _| key.queue != queue);
    books.doubted.retain(|key| key.queue != queue);
    queue
}

/// Makes changes or waits for events; the backend does one at a time.
///
/// # Safety
/// `changes` points to `change_count` entries, `events` to room for `event_count`, and `timeout` to
/// a time or is null. Both lists may be the same.
pub(super) unsafe fn kevent(
    queue: c_int,
    changes: *const kevent,
    change_count: c_int,
    events: *mut kevent,
    event_count: c_int,
    timeout: *const timespec,
) -> c_int {
    if change_count > 0 {
        // SAFETY: the caller guarantees it.
        note_changes(queue, unsafe { slice::from_raw_parts(changes, change_count as usize) });
        // SAFETY: the caller guarantees what the library requires of each pointer and count.
        return unsafe {
            library::kevent(queue, changes, change_count, events, event_count, timeout)
        };
    }
    // SAFETY: the caller guarantees it. The list was initialized when it was created, in
    // `Selector::new`.
    let room = unsafe { slice::from_raw_parts_mut(events, event_count as usize) };
    let repeated = books().repeat(queue, room);
    if repeated > 0 {
        return repeated as c_int;
    }
    // SAFETY: there are no changes to read, and the caller guarantees the rest.
    let count = unsafe { library::kevent(queue, ptr::null(), 0, events, event_count, timeout) };
    if let Ok(count) = usize::try_from(count) {
        books().note_events(queue, &room[..count], count >= room.len().min(MOST_EVENTS));
    }
    count
}

/// Records which descriptors are in a queue.
fn note_changes(queue: c_int, changes: &[kevent]) {
    let mut books = books();
    for change in changes {
        let key = Key { ident: change.ident, filter: change.filter, queue };
        if change.flags & EV_ADD != 0 {
            books.registered.insert(key, change.udata.addr());
        } else if change.flags & EV_DELETE != 0 {
            books.registered.remove(&key);
        }
    }
}

impl Books {
    /// Reports the events that may have been dropped when the list was full.
    fn repeat(&mut self, queue: c_int, room: &mut [kevent]) -> usize {
        let mut count = 0;
        while count < room.len()
            && let Some(at) = self.doubted.iter().position(|key| key.queue == queue)
            && let Some(key) = self.doubted.remove(at)
        {
            if let Some(&udata) = self.registered.get(&key) {
                let Key { ident, filter, .. } = key;
                let udata = ptr::without_provenance_mut(udata);
                room[count] = kevent { ident, filter, flags: 0, fflags: 0, data: 0, udata };
                count += 1;
            }
        }
        count
    }

    /// Keeps the reported errors, and suspects every filter if the list was full.
    fn note_events(&mut self, queue: c_int, events: &[kevent], full: bool) {
        for event in events {
            if event.flags & EV_EOF != 0 && event.fflags != 0 {
                self.errors.insert(event.ident, event.fflags as i32);
            }
        }
        if full {
            self.doubted.extend(self.registered.keys().filter(|key| key.queue == queue));
        }
    }
}

/// Removes a descriptor from its queues; to be called before it is closed. Afterwards is too late:
/// the library asks epoll about the number, which may then belong to another descriptor.
pub(in crate::sys) fn closing(fd: Fd) {
    let ident = fd as usize;
    let mut books = books();
    books.errors.remove(&ident);
    let first = Key { ident, filter: i16::MIN, queue: c_int::MIN };
    let last = Key { ident, filter: i16::MAX, queue: c_int::MAX };
    while let Some((&key, _)) = books.registered.range(first..=last).next() {
        books.registered.remove(&key);
        delete(key);
    }
}

fn delete(Key { ident, filter, queue }: Key) {
    let flags = EV_DELETE | EV_RECEIPT;
    let mut change = kevent { ident, filter, flags, fflags: 0, data: 0, udata: ptr::null_mut() };
    let list = &raw mut change;
    // A missing filter is no error here: the queue may already be closed.
    // SAFETY: the library reads one entry, a local, and writes its answer to the same place.
    unsafe { library::kevent(queue, list, 1, list, 1, ptr::null()) };
}

/// Returns the error of a socket that the library has taken, once, as the kernel would have.
pub(in crate::sys) fn error_taken(socket: Fd) -> Option<io::Error> {
    books().errors.remove(&(socket as usize)).map(io::Error::from_raw_os_error)
}
