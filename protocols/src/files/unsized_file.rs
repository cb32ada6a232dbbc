//! Files that state a length of 0 and still have contents: Linux makes those of `/proc` when they
//! are read (`proc(5)`).
//!
//! Nothing tells the versions of such a file apart, so it is not cached, and has neither validators
//! nor ranges.

use std::io;

use sluicegate_reactor::fs::File;

use super::conditions::{self, Outcome};
use super::types::push_content_type;
use super::validators::{Modified, Validators};
use crate::http::{Answered, Reply, Request, Status};

/// Reads a file to its end. To be called for files that state a length of 0: nearly all of them are
/// empty.
///
/// # Errors
/// Those of [`File::read_at`]; `FileTooLarge` for more than `limit` bytes.
pub(super) fn read(file: &File, limit: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match file.read_at(&mut piece, content.len() as u64) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if content.len() > limit {
            let what = format!("it states no length and has more than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
    }
}

/// Answers a GET or HEAD with the content that was read. `name` is the path that its type is
/// derived from.
pub(super) fn send(
    content: Vec<u8>,
    name: &[u8],
    request: &Request<'_>,
    reply: Reply<'_, '_>,
) -> Answered {
    // No tag that a client can send equals this one; `*` stands for any.
    let file = Validators { etag: "", modified: Modified::Unknown, len: content.len() as u64 };
    match conditions::evaluate(request.method(), request.headers(), file) {
        Outcome::NotModified => reply.status(Status::NOT_MODIFIED).send(""),
        Outcome::PreconditionFailed => reply.error(Status::PRECONDITION_FAILED),
        Outcome::Whole | Outcome::Part(_) | Outcome::NotSatisfiable => {
            let mut fields = b"Content-Type: ".to_vec();
            push_content_type(name, &mut fields);
            fields.extend_from_slice(b"\r\nX-Content-Type-Options: nosniff\r\n");
            reply.fields(&fields).send(content)
        }
    }
}
