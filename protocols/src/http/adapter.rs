//! The handler around a service: requests found in what arrives, answers sent in order.

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Receive, Timeout, Turn};

use crate::PER_TURN;

use super::head::{self, Scan};
use super::log::Journal;
use super::reply::Scratch;
use super::session::{Session, Stage};
use super::{HttpLimits, Service, Status};

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
    pub(super) service: S,
    pub(super) limits: HttpLimits,
    pub(super) scratch: Scratch,
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
pub(super) enum Step {
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
        self.finish(cx, session, input.is_empty());
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        saved: Result<Saved, NotSaved>,
    ) {
        self.scratch.begin(cx);
        self.body_saved(cx, session, saved);
        let nothing_left = cx.unread() == 0;
        self.finish(cx, session, nothing_left);
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
        match session.stage {
            Stage::Deferred(_) => session.last = true,
            _ => cx.close(),
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Session, which: Timeout) {
        match which {
            Timeout::WriteStall => cx.abort(),
            // What it is busy with has a deadline of its own.
            Timeout::Idle if session.is_busy() => {}
            Timeout::Idle => cx.close(),
            Timeout::Own => self.time_out(cx, session),
        }
    }

    /// What was received completely has been answered by now, unless the client takes no answers.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        if cx.unread() == 0 && !session.is_busy() {
            // Idle, or an answer is on its way: it leaves whole.
            cx.close();
        } else {
            session.last = true;
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Session, why: Reason) {
        if let Some(mut journal) = session.journal {
            if let Stage::Deferred(put_off) = &session.stage
                && let Some(made) = put_off.pending.made()
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
    fn on_message(&mut self, cx: &mut Turn, message: M) {
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

    /// Ends a callback.
    #[inline]
    fn finish(&mut self, cx: &mut Context<'_>, session: &mut Session, nothing_left: bool) {
        self.scratch.flush(cx);
        if session.last && nothing_left && !session.is_busy() {
            cx.close();
        }
        if session.journal.as_ref().is_some_and(|journal| journal.awaits_sending()) {
            cx.request_drain();
        }
    }

    /// The deadline of the present stage has passed.
    fn time_out(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        match session.stage {
            Stage::Deferred(_) => {
                self.refuse_late(cx, session, b"", Status::SERVICE_UNAVAILABLE);
            }
            Stage::Receiving(_) => self.judge_rate(cx, session),
            // The rest may well be there, but was not read because the client takes no answers.
            _ if !cx.wants_input() => cx.set_deadline(Some(self.limits.head_timeout)),
            Stage::Head { .. } => self.refuse_late(cx, session, b"", Status::REQUEST_TIMEOUT),
            // Its answer was sent already.
            Stage::Body { .. } => cx.close(),
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

    /// Skips what is left of a body.
    #[inline(never)]
    fn skip(cx: &mut Context<'_>, session: &mut Session, input: &mut Input<'_>) -> Step {
        let Some(left) = session.stage.body_left() else { return Step::Rest };
        if *left == 0 {
            // What comes behind the body is for later, and not even received.
            cx.pause();
            return Step::Rest;
        }
        let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
        input.consume(count);
        *left -= count as u64;
        if *left > 0 {
            return Step::Incomplete;
        }
        if let Stage::Body { .. } = session.stage {
            session.stage = Stage::start();
        }
        Step::Again
    }

    /// Looks at the front of the input.
    #[inline]
    fn step(&mut self, cx: &mut Context<'_>, session: &mut Session, input: &mut Input<'_>) -> Step {
        if input.is_empty() || !cx.wants_input() {
            return Step::Rest;
        }
        match &mut session.stage {
            Stage::Body { .. } | Stage::Deferred(_) => return Self::skip(cx, session, input),
            Stage::Receiving(_) => return self.step_chunks(cx, session, input),
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
                    self.answer(cx, session, head, None);
                }
                Err(status) => self.refuse(cx, session, input.bytes(), status),
            },
        }
        Step::Again
    }
}
