//! How many messages of a connection are delivered in one turn.

use std::ops::ControlFlow;

use sluicegate_reactor::{Context, Input};

/// The maximum number of messages of a connection that a protocol delivers in one callback by
/// default. A single receive can bring half a million, and other connections have to be served in
/// between.
pub(crate) const MESSAGES_PER_TURN: u32 = 1024;

/// Delivers up to `most` messages: calls `next` until it breaks, the connection stops reading, or
/// the application has directed the input elsewhere. The rest of the input is delivered in the next
/// turn.
#[inline]
pub(crate) fn deliver(
    most: u32,
    cx: &mut Context<'_>,
    input: &mut Input<'_>,
    mut next: impl FnMut(&mut Context<'_>, &mut Input<'_>) -> ControlFlow<()>,
) {
    for _ in 0..most {
        if !cx.wants_input() || cx.is_directed() || next(cx, input).is_break() {
            return;
        }
    }
    if !input.is_empty() {
        cx.yield_now();
    }
}
