//! Builds directory listings, a few entries in each turn of the reactor.
//!
//! A long directory takes a fraction of a second to read and sort. Only the connections that
//! requested its listing wait: their responses are deferred until the listing, which is built in
//! the background, is complete.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use sluicegate_reactor::fs::{Dir, is_out_of_descriptors};
use sluicegate_reactor::{Reactor, Turn};

use super::background::{self, Step, Waker, Work};
use super::json;
use super::listing::{Listing, Scan, Sizes, WriteRow};
use super::options::FilesOptions;
use super::page::{self, Offers, content_security_policy};
use super::view::{Order, View};
use crate::http::{Deferred, Reply, Status};

/// The maximum number of listings in progress, which take turns. Each has two descriptors
/// open and up to [`FilesOptions::listing_names`] names in memory; others wait.
const MOST_ACTIVE: usize = 4;

/// The maximum number of listings that wait. A request for one more gets 503.
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
    /// The text of a listing up to its rows, and how a row is written.
    fn begin(self, path: &[u8], order: Order) -> (WriteRow, String) {
        match self {
            Format::Html(offers) => (page::push_row, page::begin(path, order, offers)),
            Format::Json => (json::push_row, json::begin(path)),
        }
    }

    fn end(self, listing: &Listing, text: &mut String) {
        match self {
            Format::Html(offers) => page::end(listing, offers, text),
            Format::Json => json::end(listing, text),
        }
    }

    /// Adds the header fields of a listing.
    pub(super) fn add_fields<'a, 'cx>(self, reply: Reply<'a, 'cx>) -> Reply<'a, 'cx> {
        let reply = reply
            .header("X-Content-Type-Options", "nosniff")
            // It has no validator with which a cache could use it again.
            .header("Cache-Control", "no-store")
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
    waiting: Waiting,
    waker: Waker,
}

/// The listings that have not been started. The service and the [`Lister`] share them.
type Waiting = Rc<RefCell<VecDeque<Wanted>>>;

impl Listings {
    pub(super) fn new(reactor: &mut Reactor, options: &FilesOptions) -> Listings {
        let waiting = Waiting::default();
        let sizes = Sizes { names: options.listing_names, page: options.listing_page.max(1) };
        let (hidden, active) = (options.hidden, VecDeque::new());
        let lister = Lister { hidden, sizes, active, waiting: waiting.clone() };
        Listings { waiting, waker: background::register(reactor, lister) }
    }

    /// Whether the limit of waiting listings is reached.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.borrow().len() >= MOST_WAITING
    }

    /// Makes a listing, and answers the request when it is complete.
    pub(super) fn make(&self, wanted: Wanted) {
        self.waiting.borrow_mut().push_back(wanted);
        self.waker.wake();
    }
}

/// Makes the listings.
struct Lister {
    hidden: bool,
    sizes: Sizes,
    /// The listings in progress, the next one first.
    active: VecDeque<Active>,
    waiting: Waiting,
}

struct Active {
    scan: Scan,
    format: Format,
    fields: String,
    deferred: Deferred,
}

impl Work for Lister {
    /// Entries of all listings together. Each takes a system call or two.
    const STEPS_PER_TURN: usize = 16;

    fn step(&mut self, cx: &mut Turn) -> Step {
        if self.admit(cx) {
            return Step::Large;
        }
        match self.active.pop_front() {
            None => Step::Idle,
            Some(active) if active.deferred.is_wanted(cx) => self.advance(cx, active),
            Some(_) => Step::Small,
        }
    }
}

impl Lister {
    /// Starts to make the next listing that waits, if it may. Returns whether there was one.
    fn admit(&mut self, cx: &mut Turn) -> bool {
        if self.active.len() >= MOST_ACTIVE {
            return false;
        }
        let mut waiting = self.waiting.borrow_mut();
        let wanted =
            std::iter::from_fn(|| waiting.pop_front()).find(|wanted| wanted.deferred.is_wanted(cx));
        drop(waiting);
        let Some(Wanted { root, path, view, format, fields, deferred }) = wanted else {
            return false;
        };
        let begun = format.begin(&path, view.order);
        match Scan::start(&root, path.clone(), self.hidden, view, self.sizes, begun) {
            Ok(scan) => self.active.push_back(Active { scan, format, fields, deferred }),
            Err(error) => refuse(cx, deferred, &fields, &path, &error),
        }
        true
    }

    /// Reads the next entry of a listing, and answers the request when it is complete.
    fn advance(&mut self, cx: &mut Turn, mut active: Active) -> Step {
        match active.scan.step() {
            Ok(false) => {
                self.active.push_back(active);
                return Step::Small;
            }
            Ok(true) => {
                let Active { scan, format, fields, deferred } = active;
                let (mut text, listing) = scan.finish();
                format.end(&listing, &mut text);
                deferred.answer(cx, |reply| {
                    format.add_fields(reply.fields(fields.as_bytes())).send(text)
                });
            }
            Err(error) => {
                let Active { scan, fields, deferred, .. } = active;
                refuse(cx, deferred, &fields, scan.path(), &error);
            }
        }
        Step::Large
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
