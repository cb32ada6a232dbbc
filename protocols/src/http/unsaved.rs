//! Errors that keep a body from being saved.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::time::Duration;

use sluicegate_reactor::fs::{ConditionFailed, is_out_of_descriptors};

use super::status::Status;
use crate::warnings::Warnings;

/// The errors of this server that keep files from being written. They are logged at most once per
/// second: a full disk refuses every body.
#[derive(Debug)]
pub(crate) struct WriteErrors(Warnings);

impl WriteErrors {
    /// Errors that the module with this path reports.
    pub(crate) fn of(target: &'static str) -> WriteErrors {
        WriteErrors(Warnings::of(target))
    }

    /// The status of the response to an error with `what`, which names the file or its sender.
    pub(crate) fn status(
        &mut self,
        error: &io::Error,
        what: impl Display,
        now: Duration,
    ) -> Status {
        let status = Status::for_unsaved(error);
        if matches!(status, Status::INSUFFICIENT_STORAGE | Status::INTERNAL_SERVER_ERROR) {
            self.0.warn(now, format_args!("{what}: not saved: {error}"));
        }
        status
    }
}

impl Status {
    /// The status for an error that prevented a file from being written:
    ///
    /// - 507 if the disk or the quota is full or the file too large,
    /// - 409 if its directory does not exist or its name is that of a directory,
    /// - 403 if permission is denied,
    /// - 400 if its name is too long,
    /// - 412 if its [condition](sluicegate_reactor::fs::NewFile::commit_if) does not hold,
    /// - 503 if the process is out of descriptors,
    /// - 500 otherwise.
    #[must_use]
    pub fn for_unsaved(error: &io::Error) -> Status {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Status::INSUFFICIENT_STORAGE
            }
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                Status::CONFLICT
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Status::FORBIDDEN,
            ErrorKind::InvalidFilename | ErrorKind::InvalidInput => Status::BAD_REQUEST,
            // Not logged for each request: the reactor's listeners log it too.
            _ if is_out_of_descriptors(error) => Status::SERVICE_UNAVAILABLE,
            _ if error.get_ref().is_some_and(|error| error.is::<ConditionFailed>()) => {
                Status::PRECONDITION_FAILED
            }
            _ => Status::INTERNAL_SERVER_ERROR,
        }
    }
}
