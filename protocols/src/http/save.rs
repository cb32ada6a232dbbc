//! Request bodies that a service saves in files.

use std::io::{self, ErrorKind};

use sluicegate_reactor::fs::{Committed, NewFile, is_out_of_descriptors};

use super::output::Output;
use super::reply::{Answered, Reply};
use super::response::Awaited;
use super::status::Status;

impl Reply<'_, '_> {
    /// Receives the request body into a file, as
    /// [`Context::receive_file`](sluicegate_reactor::Context::receive_file) does: the body is never
    /// in memory as a whole, and other connections are served meanwhile. When the body is saved, or
    /// could not be, [`Service::on_saved`](super::Service::on_saved) answers the request. A client
    /// that sent `Expect: 100-continue` gets 100.
    ///
    /// The connection is closed with 413 if the body is longer than
    /// [`HttpLimits::body`](super::HttpLimits::body) (a chunked one as soon as that is known), with
    /// 400 if it is malformed, and with 408 if it arrives more slowly than
    /// [`HttpLimits::body_rate`](super::HttpLimits::body_rate). The file is removed unless the
    /// whole body arrives. A request without a body creates an empty file.
    ///
    /// What was set on this reply so far is discarded. `save` works only in
    /// [`Service::call`](super::Service::call): the body of a request that was answered otherwise
    /// is not kept, and the response is 500.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// use sluicegate_reactor::fs::{CreateOptions, Dir};
    ///
    /// /// Saves the last body, whatever its path, in one file.
    /// struct Inbox(Dir);
    ///
    /// impl Service for Inbox {
    ///     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         match self.0.create("last", &CreateOptions::default()) {
    ///             Ok(file) => reply.save(file),
    ///             Err(_) => reply.error(Status::INTERNAL_SERVER_ERROR),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn save(self, file: NewFile) -> Answered {
        if !self.output.has_body {
            log::error!("a request body cannot be saved: it was dealt with before");
            return self.error(Status::INTERNAL_SERVER_ERROR);
        }
        self.output.awaited = Some(Awaited::Body(file));
        Answered::LATER
    }

    /// Finishes the response to a request whose body was to be [saved](Reply::save): 201 if a file
    /// was created, 204 if one was replaced. If the file could not be written, the status is
    ///
    /// - 507 if the disk or the quota is full or the file too large,
    /// - 409 if its directory does not exist or its name is that of a directory,
    /// - 403 if permission is denied,
    /// - 400 if its name is too long,
    /// - 503 if the process is out of descriptors,
    /// - 500 otherwise.
    ///
    /// The reason for 507 and 500 is logged, at most once a second.
    pub fn saved(self, saved: &io::Result<Committed>) -> Answered {
        match saved {
            Ok(Committed::Created) => self.status(Status::CREATED).send(""),
            Ok(Committed::Replaced) => self.status(Status::NO_CONTENT).send(""),
            Err(error) => {
                let status = status_of(error);
                if matches!(status, Status::INSUFFICIENT_STORAGE | Status::INTERNAL_SERVER_ERROR) {
                    self.output.log_unsaved(error);
                }
                self.error(status)
            }
        }
    }
}

impl Output {
    /// Once a second: a full disk refuses every body.
    fn log_unsaved(&mut self, error: &io::Error) {
        let now = self.clock.second();
        if now != self.logged_at {
            self.logged_at = now;
            log::error!("a request body could not be saved: {error}");
        }
    }
}

/// The response to an error that has kept a file from being written.
fn status_of(error: &io::Error) -> Status {
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
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}
