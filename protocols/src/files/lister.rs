//! Builds directory listings, a few entries in each turn of the reactor.
//!
//! A long directory takes a fraction of a second to read and sort. Only the connections that
//! requested its listing wait for that: their responses are deferred, and a separate handler
//! continues the work turn by turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use sluicegate_reactor::fs::{Dir, is_out_of_descriptors};
use sluicegate_reactor::{Context, Handle, Handler, Input, Reactor, Receive, Sessions, Turn};

use super::json;
use super::listing::{Scan, Sizes};
use super::options::FilesOptions;
use super::page::{self, Offers, content_security_policy};
use super::view::View;
use crate::http::{Deferred, Reply, Status};

/// The most entries that one turn deals with, of all listings together: about a millisecond's work
/// if each needs a system call or two.
const ENTRIES_PER_TURN: usize = 256;

/// The most listings that are made at the same time, in turns. Each has a descriptor open and up to
/// [`FilesOptions::listing_names`] names in memory; others wait.
const MOST_ACTIVE: usize = 4;

/// The most listings that wait. A request for one more gets 503.
const MOST_WAITING: usize = 1024;

/// A listing that a client waits for.
pub(super) struct Wanted {
    /// The directory that is served.
    pub(super) root: Dir,
    /// The decoded path of the directory: empty for the root, else it ends with a slash.
    pub(super) path: Vec<u8>,
    pub(super) view: View,
    pub(super) format: Format,
    /// The header fields that all responses have.
    pub(super) fields: String,
    pub(super) deferred: Deferred,
}

/// How a listing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html(Offers),
    Json,
}

impl Format {
    /// Adds the header fields of a listing.
    pub(super) fn add_fields<'a, 'cx>(self, reply: Reply<'a, 'cx>) -> Reply<'a, 'cx> {
        let reply = reply
            .header("X-Content-Type-Options", "nosniff")
            .header("Cache-Control", "no-cache")
            .header("Vary", "Accept");
        match self {
            Format::Json => reply.header("Content-Type", "application/json"),
            Format::Html(offers) => reply
                .header("Content-Type", "text/html; charset=utf-8")
                .header("Content-Security-Policy", content_security_policy(offers)),
        }
    }
}

/// The listings of a reactor, as the service of its requests sees them.
pub(super) struct Listings {
    queue: Rc<Queue>,
    wake: Handle<Continue>,
}

/// What the service and the [`Lister`] share.
#[derive(Default)]
struct Queue {
    waiting: RefCell<VecDeque<Wanted>>,
    /// Whether a [`Continue`] is on its way.
    is_awake: Cell<bool>,
}

/// Tells the [`Lister`] to continue in this turn.
struct Continue;

impl Queue {
    fn wake(&self, wake: &Handle<Continue>) {
        if !self.is_awake.replace(true) {
            // It fails only if the reactor has stopped: then nobody waits any more.
            let _ = wake.post(Continue);
        }
    }
}

impl Listings {
    pub(super) fn new(reactor: &mut Reactor, options: &FilesOptions) -> Listings {
        let queue = Rc::<Queue>::default();
        let sizes = Sizes { names: options.listing_names, page: options.listing_page.max(1) };
        let lister = reactor.reserve();
        let wake = reactor.handle(lister);
        let (hidden, active) = (options.hidden, VecDeque::new());
        let handler = Lister { hidden, sizes, active, queue: queue.clone(), wake };
        let wake = handler.wake.clone();
        reactor.install(lister, handler);
        Listings { queue, wake }
    }

    /// Whether the limit of waiting listings is reached.
    pub(super) fn is_full(&self) -> bool {
        self.queue.waiting.borrow().len() >= MOST_WAITING
    }

    /// Makes a listing, and answers the request when it is complete.
    pub(super) fn make(&self, wanted: Wanted) {
        self.queue.waiting.borrow_mut().push_back(wanted);
        self.queue.wake(&self.wake);
    }
}

/// Makes the listings. It has no connections.
struct Lister {
    hidden: bool,
    sizes: Sizes,
    /// The listings that are being made; the next one to go on with is the first.
    active: VecDeque<Active>,
    queue: Rc<Queue>,
    wake: Handle<Continue>,
}

struct Active {
    scan: Scan,
    format: Format,
    fields: String,
    deferred: Deferred,
}

impl Handler for Lister {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {
        cx.close();
    }
}

impl Receive<Continue> for Lister {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Continue) {
        // Before anything can panic: the next request then wakes the lister again.
        self.queue.is_awake.set(false);
        for _ in 0..ENTRIES_PER_TURN {
            self.admit(cx);
            let Some(active) = self.active.pop_front() else { return };
            if active.deferred.is_wanted(cx) {
                self.advance(cx, active);
            }
        }
        self.queue.wake(&self.wake);
    }
}

impl Lister {
    /// Starts to make the next listing that waits, if it may.
    fn admit(&mut self, cx: &mut Turn) {
        if self.active.len() >= MOST_ACTIVE {
            return;
        }
        let mut waiting = self.queue.waiting.borrow_mut();
        let wanted =
            std::iter::from_fn(|| waiting.pop_front()).find(|wanted| wanted.deferred.is_wanted(cx));
        drop(waiting);
        let Some(Wanted { root, path, view, format, fields, deferred }) = wanted else { return };
        match Scan::start(&root, path.clone(), self.hidden, view, self.sizes) {
            Ok(scan) => self.active.push_back(Active { scan, format, fields, deferred }),
            Err(error) => refuse(cx, deferred, &fields, &path, &error),
        }
    }

    /// Deals with the next entry of a listing, and answers the request when it is complete.
    fn advance(&mut self, cx: &mut Turn, mut active: Active) {
        match active.scan.step() {
            Ok(false) => self.active.push_back(active),
            Ok(true) => {
                let Active { scan, format, fields, deferred } = active;
                let (path, listing) = scan.finish();
                let page = match format {
                    Format::Json => json::json(&path, &listing),
                    Format::Html(offers) => page::html(&path, &listing, offers),
                };
                deferred.answer(cx, |reply| {
                    format.add_fields(reply.fields(fields.as_bytes())).send(page)
                });
            }
            Err(error) => {
                let Active { scan, fields, deferred, .. } = active;
                refuse(cx, deferred, &fields, &scan.finish().0, &error);
            }
        }
    }
}

/// Answers a request whose directory cannot be read.
fn refuse(cx: &mut Turn, deferred: Deferred, fields: &str, path: &[u8], error: &io::Error) {
    let status = status_of(error).unwrap_or_else(|| {
        log::warn!("{}: {error}", path.escape_ascii());
        Status::INTERNAL_SERVER_ERROR
    });
    deferred.answer(cx, |reply| reply.fields(fields.as_bytes()).error(status));
}

/// The status that an error of opening or reading stands for, unless it is one of the server.
pub(super) fn status_of(error: &io::Error) -> Option<Status> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            Some(Status::NOT_FOUND)
        }
        io::ErrorKind::PermissionDenied => Some(Status::FORBIDDEN),
        // Not logged for each request: the reactor's listeners log it too.
        _ if is_out_of_descriptors(error) => Some(Status::SERVICE_UNAVAILABLE),
        _ => None,
    }
}
