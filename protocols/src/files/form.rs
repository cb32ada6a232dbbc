//! Answers POST to a directory: a form whose files are saved in it.

use std::time::Duration;

use sluicegate_reactor::fs::NewFile;

use super::path::{self, PathError};
use super::root::Files;
use super::service::Upload;
use super::upload::Begun;
use crate::http::multipart::{FormLimits, FormPart};
use crate::http::{Answered, Reply, Request, Status};

impl Files {
    /// Answers a POST, or starts to receive its form.
    pub(super) fn post(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        let reply = match self.decode_to_change(request, reply) {
            Ok(reply) => reply,
            Err(answered) => return answered,
        };
        if !self.path.is_empty() && !self.path.ends_with(b"/") {
            return self.refuse_method(false, request, reply);
        }
        // Unlike PUT, a browser sends forms to other sites without asking those.
        if request.is_cross_origin() {
            return self.error(Status::FORBIDDEN, request, reply);
        }
        let directory = self.path.clone();
        match self.open(&directory) {
            Ok(opened) if opened.metadata.is_dir() => {
                let upload = Upload { path: directory.clone(), directory: directory.len() };
                reply.read_form(FormLimits::default(), upload)
            }
            Ok(_) => self.error(Status::NOT_FOUND, request, reply),
            Err(_) if self.is_special(&directory) => self.error(Status::NOT_FOUND, request, reply),
            Err(error) => self.fail(&error, request, reply),
        }
    }

    /// Creates the file for a part of a form. Other parts are ignored.
    pub(super) fn create_part(
        &mut self,
        upload: &mut Upload,
        part: &FormPart,
        now: Duration,
    ) -> Result<Option<NewFile>, Status> {
        let name = match part.file_name() {
            // A field for files of which the user has chosen none.
            None | Some(b"") => return Ok(None),
            Some(name) => path::file_name(name, self.options.hidden),
        };
        let name = name.map_err(|error| match error {
            PathError::Malformed => Status::BAD_REQUEST,
            PathError::NotServed | PathError::NeedsSlash => Status::FORBIDDEN,
        })?;
        upload.path.truncate(upload.directory);
        upload.path.extend_from_slice(name);
        let options = self.options.upload.ok_or(Status::METHOD_NOT_ALLOWED)?;
        match self.begin(&upload.path, &options, None, now) {
            Ok(Begun::Directory) => Err(Status::CONFLICT),
            Ok(Begun::Special) => Err(Status::FORBIDDEN),
            Ok(Begun::File(_, file)) => Ok(Some(file)),
            Err(error) => Err(self.unsaved.status(&error, upload.path.escape_ascii(), now)),
        }
    }
}
