//! How a connection receives: what the handler said it expects decides where its bytes go.
//!
//! | what is expected | where it goes |
//! |---|---|
//! | a stream (nothing was said) | one buffer of the reactor, lent to the handler; what it leaves is [kept](kept) |
//! | exactly so many bytes | [one buffer of their own](exact), which grows as they arrive |

mod exact;
mod kept;

pub(crate) use exact::Exact;
pub(crate) use kept::Kept;

/// What few connections have, and only for a time: an idle one has none of it.
#[derive(Default)]
pub(crate) struct Extras {
    /// What was received and not consumed.
    pub(crate) kept: Kept,
    pub(crate) strategy: Strategy,
}

/// Where the next bytes go.
#[derive(Default)]
pub(crate) enum Strategy {
    /// To the handler, as they come.
    #[default]
    Stream,
    /// To a buffer, until there are so many.
    Exact(Exact),
}

impl Extras {
    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.len() == 0 && matches!(self.strategy, Strategy::Stream)
    }
}
