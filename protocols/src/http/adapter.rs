//! The handler around a service: requests found in what arrives, answers sent in order.

use std::mem::MaybeUninit;
use std::sync::Arc;

use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Receive, Timeout, Turn};

use crate::PER_TURN;

use super::deferred::Pending;
use super::head::{self, Scan};
use super::limits::MAX_HEADERS;
use super::log::Journal;
use super::reply::{Persistence, Scratch, To};
use super::request::Framing;
use super::session::{Session, Stage};
use super::{Answered, HttpLimits, Method, Reply, Request, Service, Status, Version};

/// Most empty lines before a request line that are ignored (RFC 9112, section 2.2).
const MOST_BLANK_LINES: u8 = 4;

/// An HTTP/1.1 server as a handler of the reactor.
///
/// It answers at most 1,024 requests of a connection in a callback. Those behind them wait for the
/// next turn, so that a client that sends thousands at once does not hold up the rest.
///
/// ```no_run
/// # use sluicegate_protocols::http::{Answered, Http, HttpLimits, Reply, Request, Service};
/// # struct Hello;
/// # impl Service for Hello {
/// #     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered { reply.send("") }
/// # }
/// use sluicegate_reactor::{Listen, Reactor};
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let http = reactor.register(Http::with(Hello, HttpLimits::default()));
/// reactor.listen("127.0.0.1:8080", &Listen::default(), http)?;
/// reactor.run()
/// # }
/// ```
pub struct Http<S: Service> {
    service: S,
    limits: HttpLimits,
    scratch: Scratch,
}

impl<S: Service> Http<S> {
    /// Around a service, with the default limits.
    pub fn new(service: S) -> Http<S> {
        Http::with(service, HttpLimits::default())
    }

    /// Around a service, with limits.
    pub fn with(service: S, limits: HttpLimits) -> Http<S> {
        Http { service, limits, scratch: Scratch::new() }
    }

    /// The service.
    pub fn service(&mut self) -> &mut S {
        &mut self.service
    }
}

/// What became of a look at the input.
enum Step {
    /// Something was finished; there may be more.
    Again,
    /// The next thing has begun and is not all there.
    Incomplete,
    /// Nothing is left to look at, or nothing more is wanted now.
    Rest,
}

impl<S: Service> Handler for Http<S> {
    type Session = Session;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Session {
        let mut session = Session::new();
        self.begin_journal(cx, &mut session);
        session
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        self.begin_journal(cx, session);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, session: &mut Session, input: &mut Input<'_>) {
        self.scratch.begin(cx);
        self.look(cx, session, input);
        self.scratch.flush(cx);
        if session.last && input.is_empty() && !session.awaits_answer() {
            cx.close();
        }
        if session.journal.as_ref().is_some_and(|journal| journal.awaits_sending()) {
            cx.request_drain();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        session.take_answered(cx);
        let Some(journal) = &mut session.journal else { return };
        journal.report(&mut self.service, cx.sent());
        if !journal.is_full() {
            cx.resume();
        }
        if journal.awaits_sending() {
            cx.request_drain();
        }
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        if session.awaits_answer() {
            session.last = true;
        } else {
            cx.close();
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Session, which: Timeout) {
        match which {
            Timeout::WriteStall => cx.abort(),
            // Its answer has a deadline of its own.
            Timeout::Idle if session.awaits_answer() => {}
            Timeout::Idle => cx.close(),
            Timeout::Own if session.awaits_answer() => self.answer_late(cx, session),
            // The rest may well be there, but was not read because the client takes no answers.
            Timeout::Own if !cx.wants_input() => cx.set_deadline(Some(self.limits.head_timeout)),
            Timeout::Own => match session.stage {
                Stage::Head { .. } => {
                    self.scratch.begin(cx);
                    self.refuse(cx, session, b"", Status::REQUEST_TIMEOUT);
                    self.scratch.flush(cx);
                }
                // Its answer was sent already.
                Stage::Body { .. } | Stage::Deferred { .. } => cx.close(),
            },
        }
    }

    /// What was received completely has been answered by now, unless the client takes no answers.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        if cx.unread() == 0 && !session.awaits_answer() {
            // Idle, or an answer is on its way: it leaves whole.
            cx.close();
        } else {
            session.last = true;
        }
    }

    fn on_close(&mut self, cx: &mut Turn<'_>, id: ConnId, session: Session, why: Reason) {
        if let Some(mut journal) = session.journal {
            if let Stage::Deferred { pending, .. } = &session.stage
                && let Some(made) = pending.made()
            {
                journal.complete(made.status, made.body, made.end);
            }
            // What was queued goes on to be sent, and nobody is told when.
            let handed_over = why == Reason::HandedOver;
            let sent = if handed_over { u64::MAX } else { cx.peer(id).sent() };
            journal.report(&mut self.service, sent);
            journal.report_cut_off(&mut self.service, sent);
        }
    }
}

impl<M, S: Service + Receive<M>> Receive<M> for Http<S> {
    fn on_message(&mut self, cx: &mut Turn<'_>, message: M) {
        self.service.on_message(cx, message);
    }
}

impl<S: Service> Http<S> {
    fn begin_journal(&self, cx: &Context<'_>, session: &mut Session) {
        if self.service.wants_log() {
            let peer = cx.peer_address().ok().and_then(|address| address.ip_and_port());
            session.journal = Some(Box::new(Journal::new(peer)));
        }
    }

    /// Looks through the input, as far as there is something to do and others need not wait.
    fn look(&mut self, cx: &mut Context<'_>, session: &mut Session, input: &mut Input<'_>) {
        for _ in 0..PER_TURN {
            match self.step(cx, session, input) {
                Step::Again => session.stop_clock(cx),
                Step::Incomplete => return session.start_clock(cx, &self.limits),
                Step::Rest => return,
            }
        }
        if !input.is_empty() {
            cx.yield_now();
        }
    }

    /// Looks at the front of the input.
    #[inline]
    fn step(&mut self, cx: &mut Context<'_>, session: &mut Session, input: &mut Input<'_>) -> Step {
        if input.is_empty() || !cx.wants_input() {
            return Step::Rest;
        }
        match &mut session.stage {
            // What comes behind the body is for later, and not even received.
            Stage::Deferred { left: 0, .. } => {
                cx.pause();
                return Step::Rest;
            }
            Stage::Body { left } | Stage::Deferred { left, .. } => {
                let count =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                input.consume(count);
                *left -= count as u64;
                if *left > 0 {
                    return Step::Incomplete;
                }
                if !session.awaits_answer() {
                    session.stage = Stage::start();
                }
            }
            Stage::Head { scan, blank_lines } if input.starts_with(b"\r\n") => {
                input.consume(2);
                (*scan, *blank_lines) = (Scan::default(), *blank_lines + 1);
                if *blank_lines > MOST_BLANK_LINES {
                    self.refuse(cx, session, b"", Status::BAD_REQUEST);
                }
            }
            Stage::Head { scan, .. } => match head::find_end(input, scan, &self.limits) {
                Ok(None) => return Step::Incomplete,
                Ok(Some(end)) => {
                    let head = &input.bytes()[..end];
                    input.consume(end);
                    self.answer(cx, session, head);
                }
                Err(status) => self.refuse(cx, session, input.bytes(), status),
            },
        }
        Step::Again
    }

    /// Answers the request of a whole head.
    #[inline]
    fn answer(&mut self, cx: &mut Context<'_>, session: &mut Session, head: &[u8]) {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.limits.headers.min(MAX_HEADERS)];
        let request = match head::parse(head, slots, &self.limits) {
            Ok(request) => request,
            Err(status) => return self.refuse_head(cx, session, head, status),
        };
        session.requests = session.requests.saturating_add(1);
        let (left, close) = self.plan(session, &request);
        let persistence = match request.version {
            _ if close => Persistence::Close,
            Version::Http10 => Persistence::KeepAlive,
            Version::Http11 => Persistence::Implied,
        };
        session.stage = Stage::after(left);
        let head_only = request.method == Method::Head;
        let reply = Reply::new(To::Current(cx), &mut self.scratch, persistence, head_only);
        let answered = self.service.call(&request, reply);
        let answered = match self.scratch.pending.take() {
            Some(pending) if answered.persistence == Persistence::Deferred => {
                if !pending.is_given_up() {
                    return self.defer(cx, session, (head, &request), left, pending);
                }
                let to = To::Current(cx);
                let reply = Reply::new(to, &mut self.scratch, persistence, head_only);
                reply.error(Status::SERVICE_UNAVAILABLE)
            }
            _ => answered,
        };
        self.answered(cx, session, head, Some(&request), &answered);
    }

    /// Waits for an answer that was put off.
    #[cold]
    fn defer(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        (head, request): (&[u8], &Request<'_>),
        left: u64,
        pending: Arc<Pending>,
    ) {
        if let Some(journal) = &mut session.journal {
            journal.note_deferred(head, request, self.scratch.clock.second());
        }
        session.defer(cx, left, pending, &self.limits);
    }

    /// How many bytes of body are to be skipped, and whether the connection closes.
    fn plan(&self, session: &Session, request: &Request<'_>) -> (u64, bool) {
        let is_last = self.limits.requests.is_some_and(|most| session.requests >= most);
        let close = is_last || session.last || !request.keep_alive;
        match request.framing {
            Framing::None | Framing::Length(0) => (0, close),
            // A client that was not told to continue may send its body or not.
            Framing::Length(_) if request.expects_continue => (0, true),
            Framing::Length(length) if length <= self.limits.drain => (length, close),
            Framing::Length(_) | Framing::Chunked => (0, true),
        }
    }

    /// Does what follows from an answer.
    #[inline]
    fn answered(
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
            Persistence::Implied | Persistence::KeepAlive | Persistence::Deferred => {}
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
    fn refuse(
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

    /// The time for an answer that was put off is over.
    #[cold]
    fn answer_late(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        let Stage::Deferred { pending, .. } = &session.stage else { return };
        let head_only = pending.head_only;
        self.scratch.begin(cx);
        let to = To::Current(cx);
        let reply = Reply::new(to, &mut self.scratch, Persistence::Close, head_only);
        let Answered { status, body, .. } = reply.error(Status::SERVICE_UNAVAILABLE);
        self.scratch.flush(cx);
        if let Some(journal) = &mut session.journal {
            journal.complete(status, body, cx.sent() + cx.pending());
        }
        cx.close();
    }
}
