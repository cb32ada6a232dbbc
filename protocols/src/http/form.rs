//! A form that is being received: its parts go to files or to the service.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved};
use sluicegate_reactor::{Context, Input};

use super::limits::HttpLimits;
use super::multipart::{FormDecoder, FormError, FormEvent, FormPart};
use super::sink::{Progress, Sink};
use super::status::Status;
use super::trailers::Trailers;

/// A form that is being received.
pub(super) struct FormBody {
    /// Where the body ends: a sink for pieces.
    body: Sink,
    /// How many bytes at the start of the input are a piece of the body.
    here: usize,
    decoder: FormDecoder,
    /// The part whose head has just arrived.
    part: FormPart,
    /// The file of the current part, unless the reactor has it: while it receives a piece of it.
    file: Option<NewFile>,
}

/// The result of examining the input of a form.
pub(super) enum FormProgress {
    /// The same as for other bodies.
    Body(Progress),
    /// These bytes of earlier input are the next piece for the service.
    EarlierPiece(Vec<u8>),
    /// The service decides where the next part goes.
    Part,
}

impl FormBody {
    /// `body` is a sink for pieces.
    pub(super) fn new(body: Sink, decoder: FormDecoder) -> FormBody {
        FormBody { body, here: 0, decoder, part: FormPart::default(), file: None }
    }

    /// Takes out the part whose head has just arrived.
    pub(super) fn take_part(&mut self) -> FormPart {
        std::mem::take(&mut self.part)
    }

    /// Receives the current part into a file.
    pub(super) fn save(&mut self, file: NewFile) {
        self.file = Some(file);
    }

    /// The trailer fields of a body that is complete.
    pub(super) fn trailers(&self) -> Trailers<'_> {
        self.body.trailers()
    }

    /// Whether the whole body has arrived.
    ///
    /// # Errors
    /// 400 if the form has no end.
    pub(super) fn is_delivered(&self) -> Result<bool, Status> {
        let is_over = self.here == 0 && self.body.is_delivered();
        if is_over && !self.decoder.is_complete() { Err(Status::BAD_REQUEST) } else { Ok(is_over) }
    }

    /// Takes back the file after a piece of it was received. Returns the effect of a commit.
    pub(super) fn on_saved(
        &mut self,
        saved: Result<Saved, NotSaved>,
    ) -> Result<Option<Committed>, io::Error> {
        match saved {
            Ok(Saved::Part(file)) => {
                self.file = Some(file);
                Ok(None)
            }
            Ok(Saved::Committed(committed)) => Ok(Some(committed)),
            Err(NotSaved { error, .. }) => Err(error),
        }
    }

    /// Takes what the input has of the form, up to the next thing that the reactor or the service
    /// has to do.
    ///
    /// # Errors
    /// The status that refuses the request.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input<'_>,
        limits: &HttpLimits,
    ) -> Result<FormProgress, Status> {
        loop {
            if self.here == 0 {
                if self.is_delivered()? {
                    return Ok(FormProgress::Body(Progress::Whole(Vec::new())));
                }
                match self.body.advance(cx, input, limits.chunks())? {
                    Progress::Piece(count) => self.here = count,
                    Progress::Whole(_) if !self.decoder.is_complete() => {
                        return Err(Status::BAD_REQUEST);
                    }
                    progress => return Ok(FormProgress::Body(progress)),
                }
            }
            let mut rest = &input.bytes()[..self.here];
            let event = self.decoder.next(&mut rest).map_err(FormError::status)?;
            let consumed = self.here - rest.len();
            self.here -= consumed;
            match event {
                FormEvent::Data(_) if consumed > 0 => {
                    // The data is still in the input, for the reactor or the service.
                    let Some(file) = self.file.take() else {
                        return Ok(FormProgress::Body(Progress::Piece(consumed)));
                    };
                    cx.receive_part(file, consumed as u64);
                    return Ok(FormProgress::Body(Progress::Elsewhere));
                }
                FormEvent::Data(data) => {
                    let Some(mut file) = self.file.take() else {
                        return Ok(FormProgress::EarlierPiece(data.to_vec()));
                    };
                    file.append_later(data);
                    // Workers write what was appended if it has become much.
                    cx.receive_part(file, 0);
                    return Ok(FormProgress::Body(Progress::Elsewhere));
                }
                FormEvent::Part(part) => {
                    self.part = part.clone();
                    input.consume(consumed);
                    return Ok(FormProgress::Part);
                }
                FormEvent::PartEnd => {
                    input.consume(consumed);
                    let Some(file) = self.file.take() else { continue };
                    cx.receive_file(file, Some(0));
                    return Ok(FormProgress::Body(Progress::Elsewhere));
                }
                FormEvent::NeedInput | FormEvent::End => input.consume(consumed),
            }
        }
    }
}
