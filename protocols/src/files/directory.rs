//! Answers GET and HEAD of directories: with a redirect, a listing or an archive.

use super::archive::Archive;
use super::archiver::Archives;
use super::conditions;
use super::lister::{Format, Wanted};
use super::page::Offers;
use super::path;
use super::root::Files;
use super::view::View;
use crate::http::accept::prefers_json;
use crate::http::{Answered, Method, Reply, Request, Status, values};

impl Files {
    /// Redirects to the same path with a slash. The reference is encoded from the decoded path, so
    /// it begins with exactly one slash, names no host and cannot contain a line end.
    pub(super) fn redirect<V>(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<V> {
        let mut location = b"/".to_vec();
        path::encode(&self.prefix, &mut location);
        path::encode(&self.path, &mut location);
        if !self.path.is_empty() {
            location.push(b'/');
        }
        if let Some(query) = request.query() {
            location.push(b'?');
            path::encode_query(query, &mut location);
        }
        reply.header("Location", &location).error(Status::MOVED_PERMANENTLY)
    }

    /// Answers with a listing of the directory.
    pub(super) fn send_listing(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if !self.options.listing {
            return self.error(Status::FORBIDDEN, request, reply);
        }
        let reply = match conditions::check_without_validators(request, reply) {
            Ok(reply) => reply,
            Err(answered) => return answered,
        };
        let wants_json = prefers_json(values(request.headers(), "Accept"));
        let offers = Offers {
            upload: self.options.upload.is_some(),
            resume: self.partials.is_some(),
            archive: self.options.archive,
        };
        let format = if wants_json { Format::Json } else { Format::Html(offers) };
        // No listing is made for HEAD, which need not state the length.
        if request.method() == Method::Head {
            return format.add_fields(reply).send_head();
        }
        if self.listings.is_full() {
            let reply = reply.header("Retry-After", "1");
            return self.error(Status::SERVICE_UNAVAILABLE, request, reply);
        }
        let (root, path) = (self.root.clone(), self.path.clone());
        let view = View::from_query(request.query());
        let fields = self.common_fields.lines(request).to_owned();
        reply.defer(|deferred, _| {
            self.listings.make(Wanted { root, path, view, format, fields, deferred });
        })
    }

    /// Answers a GET or HEAD of a directory with an archive of it.
    pub(super) fn send_archive(
        &self,
        archives: &Archives,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let archive = match Archive::start(&self.root, self.path.clone(), self.options.hidden) {
            Ok(archive) => archive,
            Err(error) => return self.fail(&error, request, reply),
        };
        let reply = match conditions::check_without_validators(request, reply) {
            Ok(reply) => reply,
            Err(answered) => return answered,
        };
        let client = request.client();
        if request.method() != Method::Head && archives.is_full(client) {
            let reply = reply.header("Retry-After", "1");
            return self.error(Status::SERVICE_UNAVAILABLE, request, reply);
        }
        let reply = reply
            .header("Content-Type", "application/x-tar")
            .header("X-Content-Type-Options", "nosniff")
            .header("Cache-Control", "no-store")
            .header("Content-Disposition", disposition(&self.path));
        reply.stream(|stream, _| archives.send(archive, stream, client))
    }
}

/// Names the archive of a directory after it (RFC 6266, section 4.3). Clients such as curl read
/// only `filename`, which cannot hold every name (appendix D).
fn disposition(path: &[u8]) -> Vec<u8> {
    let name = path.strip_suffix(b"/").unwrap_or(b"files");
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"\"%\\".contains(&byte);
    let mut value = b"attachment; filename=\"".to_vec();
    value.extend(name.iter().map(|byte| if is_plain(*byte) { *byte } else { b'_' }));
    value.extend_from_slice(b".tar\"; filename*=UTF-8''");
    path::encode_parameter(name, &mut value);
    value.extend_from_slice(b".tar");
    value
}
