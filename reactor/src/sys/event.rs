//! The events of a [`Selector`](super::Selector).

use std::fmt;

/// The readiness that an event reports for a descriptor, and that a connection stores.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ready(pub(crate) u8);

impl Ready {
    /// There may be something to read (or accept).
    pub(crate) const READ: Ready = Ready(1);
    /// There may be room to write.
    pub(crate) const WRITE: Ready = Ready(2);
    /// The peer has shut down its sending side (`EPOLLRDHUP`, `EV_EOF` on the read filter).
    pub(crate) const READ_END: Ready = Ready(4);
    /// Both directions have ended or the socket has an error (`EPOLLHUP`, `EPOLLERR`).
    pub(crate) const HANGUP: Ready = Ready(8);
    /// Urgent data is in the stream (`EPOLLPRI`).
    pub(crate) const URGENT: Ready = Ready(16);

    /// Whether any bit of `other` is set.
    pub(crate) const fn any(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits of both.
    pub(crate) const fn union(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    /// The bits of `self` without those of `other`.
    pub(crate) const fn without(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["READ", "WRITE", "READ_END", "HANGUP", "URGENT"];
        let set = names.iter().enumerate().filter(|(i, _)| self.0 & (1 << i) != 0);
        f.write_str(&set.map(|(_, name)| *name).collect::<Vec<_>>().join("|"))
    }
}

/// An event: the token of its descriptor, and its readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) token: u64,
    pub(crate) ready: Ready,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_what_is_ready() {
        let ready = Ready::READ.union(Ready::WRITE);
        assert_eq!(format!("{ready:?}"), "READ|WRITE");
    }
}
