//! One request and its answer.

use std::mem::MaybeUninit;

use sluicegate_reactor::Context;

use super::body::Received;
use super::head;
use super::limits::MAX_HEADERS;
use super::reply::{Open, Persistence, To};
use super::request::Framing;
use super::session::Session;
use super::{Answered, Http, Method, Reply, Request, Service, Status, Version};

/// What follows an answer, as far as that is clear before there is one.
#[derive(Clone, Copy)]
struct After {
    /// How many bytes of body are to be skipped.
    left: u64,
    /// Whether the connection closes.
    close: bool,
}

impl<S: Service> Http<S> {
    /// Answers the request of a whole head. If its body was `received` it is known by then what
    /// became of that.
    ///
    /// Both come here so that there is one call of each part of the parser, which is inlined: with
    /// two an answer costs 5% more instructions.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        head: &[u8],
        received: Option<&Received>,
    ) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.limits.headers.min(MAX_HEADERS)];
        let request = match head::parse(head, slots, &self.limits) {
            Ok(request) => request,
            Err(status) => return self.refuse_head(cx, session, head, status),
        };
        session.requests = session.requests.saturating_add(u32::from(received.is_none()));
        let after = match received {
            None => self.after(session, &request),
            Some(received) => self.after_body(session, &request, received),
        };
        let persistence = match request.version {
            _ if after.close => Persistence::Close,
            Version::Http10 => Persistence::KeepAlive,
            Version::Http11 => Persistence::Implied,
        };
        session.go_on(after.left);
        let head_only = request.method == Method::Head;
        self.scratch.has_body = received.is_none();
        let reply = Reply::new(To::Current(cx), &mut self.scratch, persistence, head_only);
        let mut answered = match received {
            None => self.service.call(&request, reply),
            Some(received) => self.service.on_saved(&request, &received.saved, reply),
        };
        if answered.persistence == Persistence::Open {
            match self.put_off(cx, session, (head, &request), after) {
                None => return,
                Some(status) => {
                    let to = To::Current(cx);
                    let reply = Reply::new(to, &mut self.scratch, persistence, head_only);
                    answered = reply.error(status);
                }
            }
        }
        self.answered(cx, session, head, Some(&request), &answered);
    }

    /// Does what an answer is waiting for; a status if it cannot be waited for.
    #[cold]
    fn put_off(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        (head, request): (&[u8], &Request<'_>),
        after: After,
    ) -> Option<Status> {
        let open = self.scratch.open.take();
        if let Some(Open::Answer(pending)) = &open
            && pending.is_given_up()
        {
            return Some(Status::SERVICE_UNAVAILABLE);
        }
        if let Some(journal) = &mut session.journal {
            journal.note_open(head, request, self.scratch.clock.second());
        }
        match open {
            Some(Open::Answer(pending)) => session.defer(cx, after.left, pending, &self.limits),
            Some(Open::Body(file)) => self.begin_body(cx, session, (head, request), file),
            None => return Some(Status::INTERNAL_SERVER_ERROR),
        }
        None
    }

    /// What follows the answer to a request whose body nobody wants.
    fn after(&self, session: &Session, request: &Request<'_>) -> After {
        let close = self.is_last(session, request);
        let (left, close) = match request.framing {
            Framing::None | Framing::Length(0) => (0, close),
            // A client that was not told to continue may send its body or not.
            Framing::Length(_) if request.expects_continue => (0, true),
            Framing::Length(length) if length <= self.limits.drain => (length, close),
            Framing::Length(_) | Framing::Chunked => (0, true),
        };
        After { left, close }
    }

    /// What follows the answer to a request whose body was received.
    #[cold]
    fn after_body(&self, session: &Session, request: &Request<'_>, received: &Received) -> After {
        let skipped = received.left.filter(|left| *left <= self.limits.drain);
        let close = skipped.is_none() || self.is_last(session, request);
        After { left: skipped.unwrap_or(0), close }
    }

    /// Whether a request is the last one of its connection, whatever its body.
    fn is_last(&self, session: &Session, request: &Request<'_>) -> bool {
        let is_last = self.limits.requests.is_some_and(|most| session.requests >= most);
        is_last || session.last || !request.keep_alive
    }

    /// Does what follows from an answer.
    #[inline]
    pub(super) fn answered(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        head: &[u8],
        request: Option<&Request<'_>>,
        answered: &Answered,
    ) {
        if let Some(journal) = &mut session.journal {
            let end = cx.sent() + cx.pending() + self.scratch.out.len() as u64;
            let time = self.scratch.clock.second();
            journal.note(head, request, answered, end, time);
            if journal.is_full() {
                cx.pause();
            }
        }
        match answered.persistence {
            Persistence::Close => {
                self.scratch.flush(cx);
                cx.close();
            }
            // The new handler hears itself that the reactor is stopping.
            Persistence::Upgrade => session.last = false,
            _ => {}
        }
    }

    /// A head that breaks a rule, unless its only fault is a later minor version.
    #[cold]
    fn refuse_head(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        head: &[u8],
        status: Status,
    ) {
        match head::later_minor_version(head) {
            Some(digit) => {
                let mut head = head.to_vec();
                head[digit] = b'1';
                self.answer(cx, session, &head, None);
            }
            None => self.refuse(cx, session, head, status),
        }
    }

    /// Answers with an error and closes.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        received: &[u8],
        status: Status,
    ) {
        let head_only = received.starts_with(b"HEAD ");
        let to = To::Current(cx);
        let reply = Reply::new(to, &mut self.scratch, Persistence::Close, head_only);
        let answered = reply.error(status);
        self.answered(cx, session, received, None, &answered);
    }

    /// Answers with an error, and closes, a request that was waiting for something too long.
    #[cold]
    pub(super) fn refuse_late(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        received: &[u8],
        status: Status,
    ) {
        self.scratch.begin(cx);
        self.refuse(cx, session, received, status);
        self.scratch.flush(cx);
    }
}
