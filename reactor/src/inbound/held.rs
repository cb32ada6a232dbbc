//! Why a connection does not receive although its socket has something.

/// What receiving waits for, a set: it goes on when that is empty. Whoever clears the last reason
/// puts the connection on the worklist.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held(u8);

impl Held {
    /// The connection that is relayed to has something queued.
    pub(crate) const DESTINATION: Held = Held(1);

    /// Workers have not written what they have of a file.
    pub(crate) const DISK: Held = Held(2);

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn set(&mut self, other: Held) {
        self.0 |= other.0;
    }

    pub(crate) fn clear(&mut self, other: Held) {
        self.0 &= !other.0;
    }

    #[cfg(feature = "testing")]
    pub(crate) fn has(self, other: Held) -> bool {
        self.0 & other.0 != 0
    }

    /// Clears a reason and says whether it was there.
    pub(crate) fn take(&mut self, other: Held) -> bool {
        let had = self.0 & other.0 != 0;
        self.clear(other);
        had
    }
}
