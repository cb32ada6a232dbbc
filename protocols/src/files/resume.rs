//! Uploads that can be continued: PUT with `Upload-Token` and `Content-Range`.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::time::Duration;

use sluicegate_reactor::fs::{CreateOptions, Dir, NewFile};

use super::options::{FilesOptions, Resume};
use super::ranges::number;
use crate::http::{Request, Status};

/// The directory of partial files, beneath the root. Its name is that of a temporary file, so it is
/// neither served nor listed.
const DIRECTORY: &str = ".uploads.0000000000000000.part";

/// How often uploads look for expired partial files.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// The partial files of uploads. They are the only state of an upload, so any thread or process
/// can continue it.
pub(super) struct Partials {
    dir: Dir,
    options: Resume,
    /// When an upload has last looked for expired ones, by the reactor's clock.
    last_expiry: Option<Duration>,
}

/// The part of a file that a request sends.
pub(super) struct Part {
    /// The name of the partial file.
    id: String,
    /// Where the part begins.
    offset: u64,
}

impl Partials {
    /// Opens the directory of partial files if uploads can be continued, and removes expired ones.
    pub(super) fn open(root: &Dir, options: &FilesOptions) -> io::Result<Option<Partials>> {
        let (Some(_), Some(options)) = (options.upload, options.resume) else { return Ok(None) };
        let opened = match root.create_dir(DIRECTORY) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => root.open_dir(DIRECTORY),
        };
        let partials = opened.map(|dir| Partials { dir, options, last_expiry: None });
        partials
            .and_then(|partials| partials.remove_expired().map(|_| Some(partials)))
            .map_err(|error| io::Error::new(error.kind(), format!("{DIRECTORY}: {error}")))
    }

    /// Removes the partial files that have expired. Returns how many remain.
    fn remove_expired(&self) -> io::Result<usize> {
        self.dir.remove_abandoned(self.options.keep)
    }

    /// Removes expired partial files now and then, so that they do not fill the disk until a
    /// resumable upload begins.
    pub(super) fn remove_expired_at(&mut self, now: Duration) {
        if self.last_expiry.is_some_and(|at| now.saturating_sub(at) < EXPIRY_INTERVAL) {
            return;
        }
        self.last_expiry = Some(now);
        if let Err(error) = self.remove_expired() {
            log::warn!("{DIRECTORY}: {error}");
        }
    }

    /// Continues an upload, or begins it. An upload that cannot be kept is an ordinary new file.
    pub(super) fn create(
        &self,
        (dir, name): (&Dir, &OsStr),
        options: &CreateOptions,
        part: &Part,
    ) -> io::Result<NewFile> {
        let is_new = match self.dir.metadata(&part.id) {
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if is_new && self.remove_expired()? >= self.options.most {
            return dir.create(name, options);
        }
        match dir.create_resumable(name, options, &self.dir, &part.id) {
            // The file is to be on another file system, or the partial files were removed together
            // with their directory.
            Err(error)
                if matches!(error.kind(), ErrorKind::CrossesDevices | ErrorKind::NotFound) =>
            {
                dir.create(name, options)
            }
            file => file,
        }
    }
}

impl Part {
    /// The part of the file at `path` that a PUT sends; `None` if it sends a whole file that cannot
    /// be continued. Without `can_resume`, no upload can.
    ///
    /// # Errors
    /// The status that refuses the request.
    pub(super) fn of(
        request: &Request<'_>,
        path: &[u8],
        can_resume: bool,
    ) -> Result<Option<Part>, Status> {
        let range = request.header("Content-Range");
        let token = request.header("Upload-Token").filter(|_| can_resume);
        let Some(token) = token else {
            // A part must not replace the whole file (section 14.5).
            return if range.is_some() { Err(Status::BAD_REQUEST) } else { Ok(None) };
        };
        let length = match request.content_length() {
            Some(length) => length,
            None if request.has_body() => return Err(Status::LENGTH_REQUIRED),
            None => 0,
        };
        let token = parse_token(token).ok_or(Status::BAD_REQUEST)?;
        let (offset, total) = match range {
            Some(range) => parse_range(range, length).ok_or(Status::BAD_REQUEST)?,
            None => (0, length),
        };
        let mut hasher = DefaultHasher::new();
        (path, total).hash(&mut hasher);
        Ok(Some(Part { id: format!("{token}.{:016x}", hasher.finish()), offset }))
    }

    /// Whether the part begins where a file ends.
    pub(super) fn continues(&self, file: &NewFile) -> bool {
        self.offset == file.len()
    }
}

/// A token is the name of a file, too.
fn parse_token(token: &[u8]) -> Option<&str> {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_token = (16..=64).contains(&token.len()) && token.iter().all(is_valid);
    str::from_utf8(token).ok().filter(|_| is_token)
}

/// The offset of a part and the length of the file, from `Content-Range` (section 14.4) and the
/// length of the part. It has to reach to the end of the file. `bytes */LENGTH` is an empty part.
fn parse_range(field: &[u8], length: u64) -> Option<(u64, u64)> {
    let field = str::from_utf8(field).ok()?;
    let (range, total) = field.strip_prefix("bytes ")?.split_once('/')?;
    let total = number(total)?;
    let offset = match range.split_once('-') {
        None if range == "*" => total,
        None => return None,
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last && last.checked_add(1) == Some(total)).then_some(first)?
        }
    };
    (offset.checked_add(length) == Some(total)).then_some((offset, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_reaches_to_the_end_of_the_file() {
        let table = [
            ("bytes 0-9/10", 10, Some((0, 10))),
            ("bytes 9-9/10", 1, Some((9, 10))),
            ("bytes */10", 0, Some((10, 10))),
            ("bytes */0", 0, Some((0, 0))),
            ("bytes */10", 10, None),
            ("bytes 0-8/10", 9, None),
            ("bytes 0-9/10", 9, None),
            ("bytes 5-9/10", 10, None),
            ("bytes 10-9/10", 0, None),
            ("bytes 0-9/*", 10, None),
            ("bytes 0-9", 10, None),
            ("bytes -9/10", 10, None),
            ("bytes 0-18446744073709551615/18446744073709551615", u64::MAX, None),
            ("bytes 5-18446744073709551615/0", 3, None),
            ("bytes +0-9/10", 10, None),
            ("octets 0-9/10", 10, None),
            ("", 0, None),
            ("\u{e4}", 0, None),
        ];
        for (field, length, expected) in table {
            assert_eq!(parse_range(field.as_bytes(), length), expected, "{field}");
        }
    }

    #[test]
    fn a_token_is_long_and_no_path() {
        let long = "a".repeat(64);
        for token in ["0123456789abcdef", "ABCDEFGHIJ-_0123", &long] {
            assert_eq!(parse_token(token.as_bytes()), Some(token));
        }
        let longer = "a".repeat(65);
        for token in ["", "0123456789abcde", &longer, "0123456789/abcdef", "../../../../../../a"] {
            assert_eq!(parse_token(token.as_bytes()), None, "{token}");
        }
    }
}
