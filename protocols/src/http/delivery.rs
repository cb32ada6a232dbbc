//! Delivering a request body to the service as it arrives.

use sluicegate_reactor::{ConnId, Context, Input, Payload, Turn};

use super::body::{Received, RequestBody};
use super::exchange::Arrived;
use super::form::FormProgress;
use super::server::Http;
use super::service::Service;
use super::session::HttpSession;
use super::sink::Progress;
use super::status::Status;

/// The result of one look at the input.
pub(super) enum Step {
    /// Something is complete. There may be more input.
    Again,
    /// Something has begun and is incomplete.
    Incomplete,
    /// There is no more input, or it is not wanted now.
    Rest,
}

impl<S: Service> Http<S> {
    /// Takes the part of the service's body that is in the input.
    pub(super) fn step_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        input: &mut Input<'_>,
    ) -> Step {
        let Some(body) = session.state.body() else { return Step::Rest };
        let connection = cx.id();
        let taken = match body.advance(cx, input, &self.limits) {
            Ok(FormProgress::Body(Progress::Incomplete)) => return Step::Incomplete,
            Ok(FormProgress::Body(Progress::Elsewhere)) => return Step::Rest,
            Ok(FormProgress::Body(Progress::Piece(count))) => {
                let piece = &input.bytes()[..count];
                input.consume(count);
                self.service.on_piece(cx, connection, body.state(), piece)
            }
            Ok(FormProgress::EarlierPiece(piece)) => {
                self.service.on_piece(cx, connection, body.state(), &piece)
            }
            Ok(FormProgress::Part) => Self::start_part(&mut self.service, cx, connection, body),
            Ok(FormProgress::Body(Progress::Whole(bytes))) => {
                self.finish_body(cx, session, Received::Whole(bytes.into()));
                return Step::Again;
            }
            Err(status) => Err(status),
        };
        self.after_piece(cx, session, taken)
    }

    /// Lets the service decide where the next part of a form goes.
    fn start_part(
        service: &mut S,
        cx: &mut Turn,
        connection: ConnId,
        body: &mut RequestBody<S::State>,
    ) -> Result<(), Status> {
        if let Some((part, state)) = body.part()
            && let Some(file) = service.on_part(cx, connection, state, &part)?
        {
            body.save_part(file);
        }
        Ok(())
    }

    /// Continues after a piece of a body was taken or refused.
    pub(super) fn after_piece(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        taken: Result<(), Status>,
    ) -> Step {
        let Some(body) = session.state.body() else { return Step::Rest };
        body.note_pause(cx);
        match taken.and_then(|()| body.is_delivered()) {
            Ok(true) => {
                // A pause is for the next piece, and there is none.
                cx.resume();
                self.finish_body(cx, session, Received::Whole(Payload::Borrowed(&[])));
                Step::Again
            }
            Ok(false) => Step::Again,
            Err(status) => {
                self.refuse_waiting(cx, session, status);
                Step::Rest
            }
        }
    }

    /// Refuses a request that waits for its body or its response.
    #[cold]
    pub(super) fn refuse_waiting(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        status: Status,
    ) {
        if session.is_answered() {
            // What was sent must not look complete.
            return cx.abort();
        }
        let head = session.state.body().map_or(Vec::new(), |body| body.head().to_vec());
        self.refuse(cx, session, &head, status);
    }

    /// Answers the request whose body has arrived, unless its response is deferred already.
    pub(super) fn finish_body(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut HttpSession<S::State>,
        received: Received<'_>,
    ) {
        if let Some(mut body) = session.finish_body(cx) {
            self.deliver_trailers(cx, &mut body);
            let (head, state) = body.into_parts();
            self.answer(cx, session, &head, Arrived::Body(received, state));
        } else {
            self.end_body(cx, session);
        }
    }

    /// Tells the service that the body is complete that it receives while the response is deferred.
    pub(super) fn end_body(&mut self, cx: &mut Context<'_>, session: &mut HttpSession<S::State>) {
        let Some(mut body) = session.finish_body_meanwhile(cx, &self.limits) else { return };
        self.deliver_trailers(cx, &mut body);
        let (connection, (_, state)) = (cx.id(), body.into_parts());
        self.service.on_body_end(cx, connection, state);
    }

    /// Delivers the trailer fields of a body that is complete, if it has some.
    fn deliver_trailers(&mut self, cx: &mut Context<'_>, body: &mut RequestBody<S::State>) {
        let (state, trailers) = body.trailers();
        if !trailers.is_empty() {
            let connection = cx.id();
            self.service.on_trailers(cx, connection, state, trailers);
        }
    }
}
