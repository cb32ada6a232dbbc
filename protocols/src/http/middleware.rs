//! Services that wrap other services.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile};
use sluicegate_reactor::{ConnId, Payload, Turn};

use super::multipart::FormPart;
use super::record::LogRecord;
use super::reply::{Answered, Reply};
use super::request::Request;
use super::service::Service;
use super::status::Status;
use super::trailers::Trailers;

/// A [`Service`] that wraps another one. It answers some requests itself, or only inspects them,
/// and passes the others to the inner service. All callbacks except those below go to the inner
/// service, which works as it does on its own.
///
/// ```
/// use sluicegate_protocols::files::{Files, FilesOptions, Upload};
/// use sluicegate_protocols::http::{Answered, Http, Middleware, Reply, Request, Service};
/// use sluicegate_reactor::Reactor;
///
/// /// Files, and the state of the server.
/// struct Site {
///     files: Files,
/// }
///
/// impl Middleware for Site {
///     type Inner = Files;
///
///     fn inner(&self) -> &Files {
///         &self.files
///     }
///
///     fn inner_mut(&mut self) -> &mut Files {
///         &mut self.files
///     }
///
///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
///         match request.path() {
///             "/health" => reply.send("healthy\n"),
///             _ => self.files.call(request, reply),
///         }
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let files = Files::new(&mut reactor, ".", FilesOptions::default())?;
/// reactor.register(Http::new(Site { files }));
/// # Ok(())
/// # }
/// ```
///
/// A service that requests bodies itself, or that chooses between several others, implements
/// [`Service`] and converts their states: see [`Answered::map`].
pub trait Middleware: Sized + 'static {
    /// The type of the inner service.
    type Inner: Service;

    /// The inner service.
    fn inner(&self) -> &Self::Inner;

    /// The inner service.
    fn inner_mut(&mut self) -> &mut Self::Inner;

    /// Answers one request, or passes it to the inner service. See [`Service::call`].
    fn call(
        &mut self,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<<Self::Inner as Service>::State>;

    /// See [`Service::wants_log`]. The default asks the inner service.
    fn wants_log(&self) -> bool {
        self.inner().wants_log()
    }

    /// See [`Service::on_sent`]. The default passes the record to the inner service.
    fn on_sent(&mut self, record: &LogRecord<'_>) {
        self.inner_mut().on_sent(record);
    }
}

impl<M: Middleware> Service for M {
    type State = <M::Inner as Service>::State;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Self::State> {
        Middleware::call(self, request, reply)
    }

    fn on_piece(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        piece: &[u8],
    ) -> Result<(), Status> {
        self.inner_mut().on_piece(cx, connection, state, piece)
    }

    fn on_part(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        part: &FormPart,
    ) -> Result<Option<NewFile>, Status> {
        self.inner_mut().on_part(cx, connection, state, part)
    }

    fn on_part_saved(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        committed: Committed,
    ) {
        self.inner_mut().on_part_saved(cx, connection, state, committed);
    }

    fn on_trailers(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        state: &mut Self::State,
        trailers: Trailers<'_>,
    ) {
        self.inner_mut().on_trailers(cx, connection, state, trailers);
    }

    fn on_body_end(&mut self, cx: &mut Turn, connection: ConnId, state: Self::State) {
        self.inner_mut().on_body_end(cx, connection, state);
    }

    fn on_body(
        &mut self,
        request: &Request<'_>,
        state: Self::State,
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        self.inner_mut().on_body(request, state, body, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        state: Self::State,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Self::State> {
        self.inner_mut().on_saved(request, state, saved, reply)
    }

    fn on_refused(&mut self, status: Status, reply: Reply<'_, '_>) -> Answered {
        self.inner_mut().on_refused(status, reply)
    }

    fn on_room(&mut self, cx: &mut Turn, connection: ConnId) {
        self.inner_mut().on_room(cx, connection);
    }

    fn on_client_end(&mut self, cx: &mut Turn, connection: ConnId) {
        self.inner_mut().on_client_end(cx, connection);
    }

    fn on_stop(&mut self, cx: &mut Turn, connection: ConnId) {
        self.inner_mut().on_stop(cx, connection);
    }

    fn on_gone(&mut self, cx: &mut Turn, connection: ConnId) {
        self.inner_mut().on_gone(cx, connection);
    }

    fn wants_log(&self) -> bool {
        Middleware::wants_log(self)
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        Middleware::on_sent(self, record);
    }
}

#[cfg(test)]
mod tests {
    /// A callback that is not passed on would get its default.
    #[test]
    fn every_callback_of_a_service_is_passed_on() {
        let names = |source: &'static str| {
            let lines = source.lines().filter_map(|line| line.strip_prefix("    fn "));
            let names = lines.filter_map(|rest| rest.split('(').next());
            names.collect::<Vec<_>>()
        };
        let source = include_str!("middleware.rs");
        let (_, passed_on) = source.split_once("impl<M: Middleware> Service for M").expect("it");
        let (passed_on, _) = passed_on.split_once("mod tests").expect("the tests");
        assert_eq!(names(passed_on), names(include_str!("service.rs")));
    }
}
