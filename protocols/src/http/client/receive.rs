//! Receiving a response.

use std::mem::MaybeUninit;
use std::ops::ControlFlow;

use sluicegate_reactor::fs::Committed;
use sluicegate_reactor::{Context, Input, Payload};

use super::error::Cause;
use super::exchange::{Exchange, Take};
use super::pool::Connections;
use super::response::{Length, Response, with_known_version};
use super::session::{Place, Running, Session, State};
use crate::http::fault::Fault;
use crate::http::grammar::{list, values};
use crate::http::limits::MAX_HEADERS;
use crate::http::request::Version;
use crate::http::sink::{Progress, Sink};
use crate::http::trailers::Trailers;

/// The maximum number of interim responses before the final one.
const MAX_INTERIMS: u8 = 16;

/// How a body was received.
pub(super) enum Received<'a> {
    Whole(Payload<'a>),
    Pieces,
    File(Committed),
}

impl<E: Exchange> Connections<E> {
    /// Closes a connection that no exchange uses.
    pub(super) fn close_idle(&self, cx: &mut Context<'_>) {
        self.shared.withdraw(cx.id());
        cx.close();
    }

    /// Deals with what is at the front of the input.
    pub(super) fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        if input.is_empty() {
            return ControlFlow::Break(());
        }
        match &mut session.state {
            State::Idle => {
                log::debug!("{}: closed: bytes without a request", cx.describe());
                self.close_idle(cx);
                ControlFlow::Break(())
            }
            State::Head { .. } => self.read_head(cx, session, input),
            State::Short(length) if input.len() < *length => ControlFlow::Break(()),
            State::Short(length) => {
                let (body, _) = input.bytes().split_at(*length);
                input.consume(body.len());
                let received = Received::Whole(body.into());
                self.complete(cx, session, input.is_empty(), received);
                ControlFlow::Continue(())
            }
            State::Body(_) => self.read_body(cx, session, input),
            State::Skipped(..) => self.skip_body(cx, session, input),
        }
    }

    /// Looks for a head at the front of the input.
    fn read_head(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        let State::Head { scan, interims } = &mut session.state else {
            return ControlFlow::Break(());
        };
        let is_first = *interims == 0;
        let head = self.shared.options.head;
        let end = match scan.find_end(input, head, head) {
            Ok(Some(end)) => end,
            Ok(None) => return ControlFlow::Break(()),
            Err(fault) => return refuse(cx, session, fault),
        };
        let (head, _) = input.bytes().split_at(end);
        input.consume(end);
        let head = with_known_version(head);
        let Some(running) = &mut session.running else { return ControlFlow::Break(()) };
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..self.shared.options.headers.min(MAX_HEADERS)];
        let is_to_head = running.request.traits.is_head;
        match Response::parse(&head, slots, is_to_head, cx.id()) {
            Err(fault) => refuse(cx, session, fault),
            Ok(response) if is_first && response.is_idle_timeout() && running.may_repeat() => {
                fail(cx, session, Cause::Closed);
                ControlFlow::Break(())
            }
            Ok(response) if response.status().code() == 101 => self.upgrade(cx, session, &response),
            Ok(response) if response.status().is_interim() => {
                running.exchange.on_interim(cx, &response);
                next_head(cx, session)
            }
            Ok(response) => {
                let keeps_alive = response.keeps_alive() && !running.request.traits.upgrades;
                (session.keeps_alive, session.length) = (keeps_alive, response.length());
                let take = running.exchange.on_response(cx, &response);
                if cx.is_open() {
                    self.take_body(cx, session, take, input);
                }
                ControlFlow::Continue(())
            }
        }
    }

    /// Starts to receive a body in the way that the exchange has chosen.
    fn take_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        take: Take,
        input: &mut Input<'_>,
    ) {
        session.state = match (take, session.length) {
            (Take::Nothing, _) => return self.skip(cx, session, input),
            (Take::Whole(limit), _) => return self.take_whole(cx, session, limit, input),
            (Take::Pieces, Length::Exact(0)) => {
                return self.complete(cx, session, input.is_empty(), Received::Pieces);
            }
            (Take::Pieces, length) => State::Body(Sink::pieces(length.most())),
            (Take::Relay(to), Length::Exact(length)) => {
                cx.relay_part(to, length);
                State::Body(Sink::Reactor)
            }
            (Take::Relay(_), _) => {
                log::error!("{}: a relayed response has no length", cx.describe());
                return cx.abort();
            }
            (Take::File(file), Length::Chunked) => State::Body(Sink::chunked_file(file)),
            (Take::File(file), Length::Exact(length)) => {
                cx.receive_file(file, Some(length));
                State::Body(Sink::Reactor)
            }
            (Take::File(file), Length::UntilClose) => {
                cx.receive_file(file, None);
                State::Body(Sink::Reactor)
            }
        };
    }

    /// Starts to receive a body into memory.
    fn take_whole(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        limit: usize,
        input: &mut Input<'_>,
    ) {
        let limit = limit.min(cx.limits().max_exact);
        let Length::Exact(length) = session.length else {
            session.state = State::Body(Sink::memory(session.length.most(), limit));
            return;
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= limit) else {
            return fail(cx, session, Cause::InvalidResponse(Fault::BodyLength));
        };
        if length <= input.len() || length <= cx.limits().receive_direct {
            session.state = State::Short(length);
            if length == 0 {
                let body = Received::Whole(Payload::Borrowed(&[]));
                self.complete(cx, session, input.is_empty(), body);
            }
        } else if cx.receive_exact(length).is_ok() {
            session.state = State::Body(Sink::Reactor);
        }
    }

    /// Ends an exchange that wants no body.
    fn skip(&mut self, cx: &mut Context<'_>, session: &mut Session<E>, input: &mut Input<'_>) {
        let drain = self.shared.options.drain;
        match session.length {
            Length::Exact(0) => {
                return self.complete(cx, session, input.is_empty(), Received::Pieces);
            }
            Length::Exact(length) if length > drain => session.keeps_alive = false,
            // Without a length, another request cannot follow anyway.
            Length::Exact(_) | Length::Chunked | Length::UntilClose => {}
        }
        let Some(running) = session.running.take() else { return };
        if session.keeps_alive && !is_sending(cx, &running) {
            // A pause was for the exchange, which is over.
            cx.resume();
            session.state = State::Skipped(Sink::pieces(session.length.most()), drain);
            cx.set_deadline(Some(self.shared.options.response_timeout));
        } else {
            cx.abort();
        }
        running.id.set(Place::Over);
        running.exchange.on_end(cx, Trailers::default());
    }

    /// Receives what the input has of a body.
    fn read_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        let Session { state: State::Body(sink), running: Some(running), .. } = session else {
            return ControlFlow::Break(());
        };
        match sink.advance(cx, input, self.shared.options.chunks()) {
            Ok(Progress::Incomplete | Progress::Elsewhere) => return ControlFlow::Break(()),
            Ok(Progress::Piece(count)) => {
                let piece = &input.bytes()[..count];
                input.consume(count);
                let connection = cx.id();
                running.exchange.on_piece(cx, connection, piece);
                if sink.is_delivered() && cx.is_open() {
                    self.complete(cx, session, input.is_empty(), Received::Pieces);
                }
            }
            Ok(Progress::Whole(bytes)) => {
                let received = match sink {
                    Sink::Memory { .. } => Received::Whole(bytes.into()),
                    _ => Received::Pieces,
                };
                self.complete(cx, session, input.is_empty(), received);
            }
            Err(fault) => return refuse(cx, session, fault),
        }
        ControlFlow::Continue(())
    }

    /// Skips the part of an unwanted body in the input.
    fn skip_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        let State::Skipped(sink, most) = &mut session.state else { return ControlFlow::Break(()) };
        let is_whole = match sink.advance(cx, input, self.shared.options.chunks()) {
            Ok(Progress::Piece(count)) if count as u64 <= *most => {
                input.consume(count);
                *most -= count as u64;
                sink.is_delivered()
            }
            Ok(Progress::Whole(_)) => true,
            Ok(Progress::Incomplete) => return ControlFlow::Break(()),
            _ => {
                cx.abort();
                return ControlFlow::Break(());
            }
        };
        if is_whole {
            session.state = State::Idle;
            self.release(cx, session, input.is_empty());
        }
        ControlFlow::Continue(())
    }

    /// Ends an exchange whose response is complete. The connection is clean if no bytes follow.
    pub(super) fn complete(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        is_clean: bool,
        received: Received<'_>,
    ) {
        let Some(running) = session.running.take() else { return };
        let state = std::mem::replace(&mut session.state, State::Idle);
        running.id.set(Place::Over);
        if is_sending(cx, &running) {
            // The origin does not want the rest.
            cx.abort();
        } else if is_clean && matches!(state, State::Body(Sink::Reactor)) {
            // The reactor has read no further than the body. What follows may have arrived.
            cx.resume();
            self.shared.release_later(cx, 0);
        } else {
            self.release(cx, session, is_clean);
        }
        let exchange = running.exchange;
        match received {
            Received::Whole(bytes) => exchange.on_body(cx, bytes),
            Received::Pieces => match &state {
                State::Body(sink) => exchange.on_end(cx, sink.trailers()),
                _ => exchange.on_end(cx, Trailers::default()),
            },
            Received::File(committed) => exchange.on_saved(cx, committed),
        }
    }

    /// Gives the connection back after a response, or closes it.
    pub(super) fn release(&self, cx: &mut Context<'_>, session: &mut Session<E>, is_clean: bool) {
        if session.keeps_alive && is_clean {
            // A pause was for this response.
            cx.resume();
            self.shared.release(cx, session);
        } else {
            cx.close();
        }
    }

    /// Lets the exchange hand the connection over to another protocol.
    fn upgrade(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<E>,
        response: &Response<'_>,
    ) -> ControlFlow<()> {
        // RFC 9110, sections 7.8 and 15.2: HTTP/1.0 has neither upgrades nor interim responses.
        if response.version() == Version::Http10 {
            return refuse(cx, session, Fault::UpgradeVersion);
        }
        let protocols = values(response.headers(), "Upgrade").flat_map(list);
        if !session.running.as_ref().is_some_and(|running| running.request.offers(protocols)) {
            return refuse(cx, session, Fault::Upgrade);
        }
        // Until the connection is handed over, which clears the deadline.
        cx.set_deadline(Some(self.shared.options.idle_timeout));
        session.state = State::Idle;
        if let Some(running) = session.running.take() {
            running.id.set(Place::Over);
            running.exchange.on_upgrade(cx, response);
        }
        if cx.wants_input() {
            log::error!("{}: upgraded, but not handed over", cx.describe());
            cx.close();
        }
        ControlFlow::Break(())
    }
}

/// Whether a part of the request has not been sent.
fn is_sending<E: Exchange>(cx: &Context<'_>, running: &Running<E>) -> bool {
    // A connection that was lost while it sent has nothing queued any more.
    running.is_streaming() || cx.pending() > 0 || !cx.accepts_output()
}

/// Lets an exchange fail because of its response.
fn refuse<E>(cx: &mut Context<'_>, session: &mut Session<E>, fault: Fault) -> ControlFlow<()> {
    fail(cx, session, Cause::InvalidResponse(fault));
    ControlFlow::Break(())
}

/// Continues after an interim response.
fn next_head<E: Exchange>(cx: &mut Context<'_>, session: &mut Session<E>) -> ControlFlow<()> {
    let State::Head { interims, .. } = session.state else { return ControlFlow::Break(()) };
    if interims == MAX_INTERIMS {
        return refuse(cx, session, Fault::InterimCount);
    }
    session.state = State::Head { interims: interims + 1, scan: Default::default() };
    ControlFlow::Continue(())
}

/// Notes why the exchange fails, and ends its connection. The exchange learns it in `on_close`.
pub(super) fn fail<E>(cx: &mut Context<'_>, session: &mut Session<E>, cause: Cause) {
    session.failure = Some(cause);
    cx.abort();
}
