//! Receiving into a pipe, without copying the bytes through the process.

use std::io;

use super::note;
use crate::core::{Core, Pipe};

/// Makes one `splice` of at most `most` bytes to an empty pipe. Returns how many bytes it brought,
/// if any.
pub(super) fn receive(core: &mut Core, pipe: &Pipe, index: u32, most: usize) -> Option<usize> {
    let c = &core[index];
    let result = core.kernel.splice(c.socket, pipe.write, most.min(pipe.size));
    // Fewer bytes than fit may not be all there are: small pieces can fill the pipe before.
    let asked = *result.as_ref().unwrap_or(&0);
    let count = note(core, index, asked, result)?;
    core.ledger_of(index).received_by_splice += count as u64;
    Some(count)
}

/// Records that a connection receives through memory because no pipe could be opened.
pub(super) fn note_missing(core: &mut Core, index: u32, error: &io::Error) {
    log::debug!("{}: no pipe to receive into: {error}", core.describe(index));
    core.ledger_of(index).no_pipe += 1;
}
