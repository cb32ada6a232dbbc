//! The life of a reactor.

/// How far a reactor has come on its way to stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lifecycle {
    Running,
    /// A signal has announced that it will be asked to stop, at this time in nanoseconds.
    Announced {
        until: u64,
    },
    /// It was asked to stop.
    Asked,
    /// Its listeners are closed, and every session is owed `on_stop`. Connections may take until
    /// this time to end, in nanoseconds.
    Draining {
        until: u64,
    },
    /// It accepts and connects no more.
    Stopped,
}
