//! One request and its response.

use std::mem::MaybeUninit;

use sluicegate_reactor::Context;
use sluicegate_reactor::fs::NewFile;

use super::head;
use super::limits::MAX_HEADERS;
use super::output::Destination;
use super::reply::{Answered, Reply};
use super::request::{BodyLength, Method, Request, Version};
use super::request_body::{RequestBody, SavedBody};
use super::response::{Awaited, Persistence};
use super::server::Http;
use super::service::Service;
use super::session::HttpSession;
use super::status::Status;

/// What follows a response, as far as the request decides it.
#[derive(Clone, Copy)]
struct Aftermath {
    /// How many bytes of the request body are still skipped.
    skip: u64,
    /// Whether the connection closes.
    close: bool,
}

impl<S: Service> Http<S> {
    /// Answers the request with this head: when the head is complete, and again when the body was
    /// `saved`.
    ///
    /// Both cases are one function, so that the parser is inlined in one place only.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
        head: &[u8],
        saved: Option<&SavedBody>,
    ) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.limits.headers.min(MAX_HEADERS)];
        let request = match head::parse(head, slots, &self.limits, &mut self.hosts) {
            Ok(request) => request,
            Err(status) => return self.refuse_head(cx, session, head, status),
        };
        session.requests = session.requests.saturating_add(u32::from(saved.is_none()));
        let aftermath = match saved {
            None => self.aftermath(session, &request),
            Some(saved) => self.aftermath_of_body(session, &request, saved),
        };
        let persistence = match request.version {
            _ if aftermath.close => Persistence::Close,
            Version::Http10 => Persistence::KeepAlive,
            Version::Http11 => Persistence::Implied,
        };
        session.finish_request(aftermath.skip);
        let head_only = request.method == Method::Head;
        self.output.has_body = saved.is_none();
        let to = Destination::Current(cx);
        let reply = Reply::new(to, &mut self.output, persistence, head_only);
        let mut answered = match saved {
            None => self.service.call(&request, reply),
            Some(body) => self.service.on_saved(&request, &body.saved, reply),
        };
        if answered.persistence == Persistence::Undecided
            && let Err(status) = self.wait(cx, session, (head, &request), aftermath)
        {
            let to = Destination::Current(cx);
            answered = Reply::new(to, &mut self.output, persistence, head_only).error(status);
        }
        self.finish_answer(cx, session, head, Some(&request), &answered);
    }

    /// Starts what an unfinished response waits for.
    ///
    /// # Errors
    /// The status of the response if there is nothing to wait for.
    #[cold]
    fn wait(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
        (head, request): (&[u8], &Request<'_>),
        aftermath: Aftermath,
    ) -> Result<(), Status> {
        let awaited = self.output.awaited.take();
        if let Some(Awaited::Response(pending)) = &awaited
            && pending.is_abandoned()
        {
            return Err(Status::SERVICE_UNAVAILABLE);
        }
        if let Some(access_log) = &mut session.access_log {
            access_log.note_pending(head, request, self.output.clock.second());
        }
        match awaited {
            Some(Awaited::Response(pending)) => {
                session.await_response(cx, aftermath.skip, pending, &self.limits);
            }
            Some(Awaited::Body(file)) => self.receive_body(cx, session, (head, request), file),
            None => return Err(Status::INTERNAL_SERVER_ERROR),
        }
        Ok(())
    }

    /// Starts to receive a request body into a file.
    fn receive_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
        (head, request): (&[u8], &Request<'_>),
        file: NewFile,
    ) {
        let is_empty = matches!(request.body_length, BodyLength::None | BodyLength::Exact(0));
        if request.expects_continue && !is_empty {
            self.output.bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let body = RequestBody::receive(cx, head, request.body_length, file);
        session.receive_body(cx, body, &self.limits);
    }

    /// What follows the response to a request whose body nobody reads.
    fn aftermath(&self, session: &HttpSession, request: &Request<'_>) -> Aftermath {
        let close = self.is_last(session, request);
        let (skip, close) = match request.body_length {
            BodyLength::None | BodyLength::Exact(0) => (0, close),
            // A client that did not get 100 may send its body or not.
            BodyLength::Exact(_) if request.expects_continue => (0, true),
            BodyLength::Exact(length) if length <= self.limits.drain => (length, close),
            BodyLength::Exact(_) | BodyLength::Chunked => (0, true),
        };
        Aftermath { skip, close }
    }

    /// What follows the response to a request whose body goes to a file.
    #[cold]
    fn aftermath_of_body(
        &self,
        session: &HttpSession,
        request: &Request<'_>,
        body: &SavedBody,
    ) -> Aftermath {
        let skip = body.left.filter(|left| *left <= self.limits.drain);
        let close = skip.is_none() || self.is_last(session, request);
        Aftermath { skip: skip.unwrap_or(0), close }
    }

    /// Whether a request is the last one of its connection, whatever its body.
    fn is_last(&self, session: &HttpSession, request: &Request<'_>) -> bool {
        let is_over_limit = self.limits.requests.is_some_and(|most| session.requests >= most);
        is_over_limit || session.is_closing || !request.keep_alive
    }

    /// Logs a response, and closes the connection if that was the last.
    #[inline]
    fn finish_answer(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
        head: &[u8],
        request: Option<&Request<'_>>,
        answered: &Answered,
    ) {
        match answered.persistence {
            Persistence::Undecided => return,
            // The reactor tells the new handler that it is stopping.
            Persistence::Upgrade => session.is_closing = false,
            _ => {}
        }
        if let Some(access_log) = &mut session.access_log {
            let end = cx.sent() + cx.pending() + self.output.bytes.len() as u64;
            let time = self.output.clock.second();
            access_log.note(head, request, answered, end, time);
            if access_log.is_full() {
                cx.pause();
            }
        }
        if answered.persistence == Persistence::Close {
            self.output.flush(cx);
            cx.close();
        }
    }

    /// Refuses a head that breaks a rule, unless its only fault is a later minor version.
    #[cold]
    fn refuse_head(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
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

    /// Answers with an error and closes the connection. `head` is what has arrived of the head.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
        head: &[u8],
        status: Status,
    ) {
        let head_only = head.starts_with(b"HEAD ");
        let to = Destination::Current(cx);
        let answered =
            Reply::new(to, &mut self.output, Persistence::Close, head_only).error(status);
        self.finish_answer(cx, session, head, None, &answered);
    }

    /// Refuses a request whose deadline has passed.
    #[cold]
    pub(super) fn refuse_late(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession,
        head: &[u8],
        status: Status,
    ) {
        self.output.begin(cx);
        self.refuse(cx, session, head, status);
        self.output.flush(cx);
    }
}
