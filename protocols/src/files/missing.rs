//! Answers requests for what does not exist.

use super::download::Found;
use super::error_page;
use super::path;
use super::root::Files;
use crate::http::accept::accepts_html;
use crate::http::{Answered, Reply, Request, Status};

impl Files {
    /// Answers a GET or HEAD whose path names nothing: with the page of the application if the path
    /// may be one of its routes, or else with 404.
    pub(super) fn send_missing(
        &mut self,
        request: &Request<'_>,
        mut reply: Reply<'_, '_>,
    ) -> Answered {
        if self.is_route(request)
            && let Some(page) = self.options.spa.clone()
        {
            reply = match self.send_page(&page, Status::OK, request, reply) {
                Ok(answered) => return answered,
                Err(reply) => reply,
            };
        }
        self.send_not_found(request, reply)
    }

    /// Answers a GET or HEAD with 404.
    pub(super) fn send_not_found(
        &mut self,
        request: &Request<'_>,
        mut reply: Reply<'_, '_>,
    ) -> Answered {
        if let Some(page) = self.options.not_found.clone() {
            reply = match self.send_page(&page, Status::NOT_FOUND, request, reply) {
                Ok(answered) => return answered,
                Err(reply) => reply,
            };
        }
        self.error(Status::NOT_FOUND, request, reply)
    }

    /// Finishes the response with an error.
    pub(super) fn error<V>(
        &self,
        status: Status,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<V> {
        let mut root = b"/".to_vec();
        path::encode(&self.prefix, &mut root);
        error_page::send(status, &root.escape_ascii().to_string(), request, reply)
    }

    /// Whether the path may be a route of an application, and not a file that it lacks: a script
    /// that asks for a missing image must not get a page.
    fn is_route(&self, request: &Request<'_>) -> bool {
        let name = memchr::memrchr(b'/', &self.path).map_or(0, |slash| slash + 1);
        !self.path[name..].contains(&b'.') || accepts_html(request)
    }

    /// Answers with the file at the path `page` beneath the root. Gives the reply back if there is
    /// none.
    fn send_page<'a, 'cx>(
        &mut self,
        page: &str,
        status: Status,
        request: &Request<'_>,
        mut reply: Reply<'a, 'cx>,
    ) -> Result<Answered, Reply<'a, 'cx>> {
        self.path.clear();
        self.path.extend_from_slice(page.trim_start_matches('/').as_bytes());
        let check = self.check(reply.turn().now());
        if let Some(entry) = self.cache.get(&self.path)
            && entry.is_fresh(check, self.options.valid_for)
        {
            return Ok(entry.answer(status, request, reply.header("Vary", "Accept")));
        }
        if let Ok(Found::File(opened)) = self.find() {
            let reply = reply.header("Vary", "Accept");
            return Ok(self.send_file(opened, status, check, request, reply));
        }
        self.cache.remove(&self.path);
        Err(reply)
    }
}
