//! The service: what each path answers.

use std::io;

use sluicegate_protocols::http::*;
use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::*;

use super::upstream;

const JSON: &str = "application/json";

pub(crate) struct Api {
    pub(crate) uploads: Option<Dir>,
    pub(crate) workers: Workers,
    pub(crate) done: Handle<(Deferred, u64)>,
    pub(crate) subscribers: Vec<ResponseStream>,
    pub(crate) origin: upstream::Origin,
}

/// The state kept while a body arrives: the name of the upload, if it is one.
pub(crate) type Upload = Option<String>;

/// A second has passed.
#[derive(Clone)]
pub(crate) struct Tick;

impl Service for Api {
    type State = Upload;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        match (request.method(), request.path()) {
            (Method::Post, "/echo") if request.header("Content-Type") == Some(JSON.as_bytes()) => {
                reply.read(1 << 20, None)
            }
            (Method::Post, "/echo") => reply.error(Status::UNSUPPORTED_MEDIA_TYPE),
            (Method::Get | Method::Head, "/search") => {
                let mut query = form_urlencoded::parse(request.query().unwrap_or("").as_bytes());
                match query.find(|(name, _)| name == "q") {
                    Some((_, words)) => reply.send(format!("nothing found for {words:?}\n")),
                    None => reply.error(Status::BAD_REQUEST),
                }
            }
            (Method::Get | Method::Head, "/slow") => reply.defer(|deferred, _| {
                let job = || (deferred, (1..100_000_u64).filter(|n| n % 7 == 0).sum());
                if let Err(error) = self.workers.run(job, &self.done) {
                    log::warn!("/slow: {error}"); // The job is dropped, and the client gets 503.
                }
            }),
            (Method::Get | Method::Head, "/upstream") => self.origin.answer(reply),
            (Method::Get | Method::Head, "/events") => {
                let reply = reply.header("Content-Type", "text/event-stream");
                let reply = reply.header("Cache-Control", "no-store");
                reply.stream(|stream, _| self.subscribers.push(stream))
            }
            (Method::Put, path)
                if let (Some(uploads), Some(name)) =
                    (&self.uploads, path.strip_prefix("/upload/")) =>
            {
                match uploads.create(name, &CreateOptions::default()) {
                    Ok(file) => reply.save(file, Some(name.to_owned())),
                    Err(error) => reply.saved(&Err(error)),
                }
            }
            _ => reply.error(Status::NOT_FOUND),
        }
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        _: Upload,
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        reply.header("Content-Type", JSON).send(body)
    }

    fn on_saved(
        &mut self,
        _: &Request<'_>,
        upload: Upload,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        match (saved, upload) {
            (Ok(_), Some(name)) => reply.status(Status::CREATED).send(format!("saved {name}\n")),
            _ => reply.saved(saved),
        }
    }

    /// Otherwise the server waits for the streams until its grace period ends.
    fn on_stop(&mut self, cx: &mut Turn, connection: ConnId) {
        let is_its = |stream: &ResponseStream| stream.connection() == connection;
        if let Some(at) = self.subscribers.iter().position(is_its) {
            self.subscribers.swap_remove(at).finish(cx);
        }
    }

    fn on_gone(&mut self, _: &mut Turn, connection: ConnId) {
        self.subscribers.retain(|stream| stream.connection() != connection);
    }
}

impl Receive<(Deferred, u64)> for Api {
    fn on_message(&mut self, cx: &mut Sessions<'_>, (deferred, sum): (Deferred, u64)) {
        deferred.answer(cx, |reply| reply.send(format!("{sum}\n")));
    }
}

impl Receive<Tick> for Api {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Tick) {
        let event = Bytes::from(format!("data: {}\n\n", cx.unix_time()));
        // A subscriber that does not keep up is cut off: it would take more and more memory.
        self.subscribers.retain_mut(|stream| stream.send(cx, &event) == Sent::Accepted);
    }
}
