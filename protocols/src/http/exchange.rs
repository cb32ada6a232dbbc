//! One request and its answer.

use std::mem::MaybeUninit;

use sluicegate_reactor::Context;

use super::head;
use super::limits::MAX_HEADERS;
use super::reply::{Persistence, To};
use super::request::Framing;
use super::session::{Session, Stage};
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
    /// Answers the request of a whole head.
    #[inline]
    pub(super) fn answer(&mut self, cx: &mut Context<'_>, session: &mut Session, head: &[u8]) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.limits.headers.min(MAX_HEADERS)];
        let request = match head::parse(head, slots, &self.limits) {
            Ok(request) => request,
            Err(status) => return self.refuse_head(cx, session, head, status),
        };
        session.requests = session.requests.saturating_add(1);
        let after = self.after(session, &request);
        self.scratch.has_body = true;
        self.exchange(cx, session, (head, &request), after, |service, reply| {
            service.call(&request, reply)
        });
    }

    /// Answers a request whose body was received, except for the last `left` bytes, if it is known
    /// how many they are.
    pub(super) fn answer_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        head: &[u8],
        left: Option<u64>,
        call: impl FnOnce(&mut S, &Request<'_>, Reply<'_, '_>) -> Answered,
    ) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.limits.headers.min(MAX_HEADERS)];
        let Ok(request) = head::parse(head, slots, &self.limits) else { return cx.abort() };
        let skipped = left.filter(|left| *left <= self.limits.drain);
        let close = skipped.is_none() || self.is_last(session, &request);
        let after = After { left: skipped.unwrap_or(0), close };
        self.scratch.has_body = false;
        self.exchange(cx, session, (head, &request), after, |service, reply| {
            call(service, &request, reply)
        });
    }

    /// Has a request answered, and does what follows.
    #[inline]
    fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        (head, request): (&[u8], &Request<'_>),
        after: After,
        call: impl FnOnce(&mut S, Reply<'_, '_>) -> Answered,
    ) {
        let persistence = match request.version {
            _ if after.close => Persistence::Close,
            Version::Http10 => Persistence::KeepAlive,
            Version::Http11 => Persistence::Implied,
        };
        session.stage = Stage::after(after.left);
        let head_only = request.method == Method::Head;
        let reply = Reply::new(To::Current(cx), &mut self.scratch, persistence, head_only);
        let mut answered = call(&mut self.service, reply);
        if answered.persistence.is_open() {
            match self.put_off(cx, session, (head, request), after) {
                None => return,
                Some(status) => {
                    let to = To::Current(cx);
                    let reply = Reply::new(to, &mut self.scratch, persistence, head_only);
                    answered = reply.error(status);
                }
            }
        }
        self.answered(cx, session, head, Some(request), &answered);
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
        let (pending, file) = (self.scratch.pending.take(), self.scratch.file.take());
        if pending.as_ref().is_some_and(|pending| pending.is_given_up()) {
            return Some(Status::SERVICE_UNAVAILABLE);
        }
        if let Some(journal) = &mut session.journal {
            journal.note_open(head, request, self.scratch.clock.second());
        }
        match (pending, file) {
            (Some(pending), _) => session.defer(cx, after.left, pending, &self.limits),
            (None, Some(file)) => self.begin_body(cx, session, (head, request), file),
            (None, None) => return Some(Status::INTERNAL_SERVER_ERROR),
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
                self.answer(cx, session, &head);
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
