//! Messages that arrive in more than one piece.

use bytes::BytesMut;
use sluicegate_reactor::{Bytes, Input};

use super::fault::Fault;
use super::frame::{Header, Mask, Opcode};

/// A message that is incomplete.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) is_text: bool,
    pub(super) is_deflated: bool,
    /// The bytes that have arrived, unmasked. Grows as bytes arrive, never to an announced length.
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are known to be complete characters, in a text.
    checked: usize,
    /// The frame that is being received; `None` between frames.
    frame: Option<Rest>,
}

/// The rest of a frame.
#[derive(Debug)]
struct Rest {
    left: u64,
    mask: Option<Mask>,
    is_last: bool,
}

impl Incoming {
    /// Begins with the first frame of a message.
    pub(super) fn new(header: &Header) -> Incoming {
        let mut incoming = Incoming {
            is_text: header.opcode == Opcode::Text,
            is_deflated: header.is_deflated,
            bytes: Vec::new(),
            checked: 0,
            frame: None,
        };
        incoming.begin(header);
        incoming
    }

    /// Begins with the next frame.
    pub(super) fn begin(&mut self, header: &Header) {
        let Header { payload: left, mask, is_last, .. } = *header;
        self.frame = Some(Rest { left, mask, is_last });
    }

    /// The number of bytes that are missing of the current frame. `None` between frames.
    pub(super) fn left(&self) -> Option<u64> {
        self.frame.as_ref().map(|frame| frame.left)
    }

    /// Takes the part of the current frame that is in the input. Returns whether the message is
    /// complete.
    pub(super) fn fill(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let Some(frame) = &mut self.frame else { return Ok(false) };
        let count = usize::try_from(frame.left).map_or(input.len(), |left| left.min(input.len()));
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&input[..count]);
        input.consume(count);
        if let Some(mask) = &mut frame.mask {
            mask.apply(&mut self.bytes[start..]);
        }
        frame.left -= count as u64;
        let is_complete = frame.left == 0 && frame.is_last;
        if frame.left == 0 {
            self.frame = None;
        }
        self.check(is_complete)?;
        Ok(is_complete)
    }

    /// Takes the whole payload of the current frame, which has its own buffer.
    pub(super) fn take_whole(&mut self, payload: Bytes) -> Bytes {
        let Some(Rest { mask: Some(mut mask), .. }) = self.frame.take() else { return payload };
        // Nobody shares it yet: it is not copied.
        let mut payload = BytesMut::from(payload);
        mask.apply(&mut payload);
        payload.freeze()
    }

    /// Checks the characters that have arrived, so that a text fails as soon as it is wrong. A
    /// compressed text is checked when it is complete.
    fn check(&mut self, is_complete: bool) -> Result<(), Fault> {
        if !self.is_text || self.is_deflated {
            return Ok(());
        }
        match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            // The rest of the last character may follow.
            Err(error) if error.error_len().is_none() && !is_complete => {
                self.checked += error.valid_up_to();
            }
            Err(_) => return Err(Fault::Utf8),
        }
        Ok(())
    }
}
