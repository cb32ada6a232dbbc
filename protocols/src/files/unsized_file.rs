//! Files that report a length of 0 but still have contents: Linux generates those in `/proc` when
//! they are read (`proc(5)`).
//!
//! Nothing distinguishes the versions of such a file, so it is not cached, and is served without
//! validators or ranges.

use std::io;

use sluicegate_reactor::fs::File;

use super::conditions;
use super::types::content_type;
use crate::http::{Answered, Reply, Request};

/// Reads a file that states a length of 0 to its end. Nearly all such files are empty.
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
            let what = format!("it reports a length of 0 but has more than {limit} bytes");
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
    let reply = match conditions::check_without_validators(request, reply) {
        Ok(reply) => reply,
        Err(answered) => return answered,
    };
    reply
        .header("Content-Type", content_type(name))
        .header("X-Content-Type-Options", "nosniff")
        .send(content)
}
