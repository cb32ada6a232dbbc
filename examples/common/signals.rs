//! Actions on signals.
//!
//! The signal handler writes to a socket, and the reactor reads it like any other. No thread waits
//! for these signals: a second thread makes system calls on descriptors slower. (`--stats` has
//! one.)

use std::io;
use std::os::unix::net::UnixStream;

use sluicegate_reactor::{Context, Handler, Input, Limits, Reactor};

/// The signals of one kind since [`register`](SignalSource::register).
pub(crate) struct SignalSource(UnixStream);

impl SignalSource {
    /// Registers the signal handler.
    pub(crate) fn register(signal: i32) -> io::Result<SignalSource> {
        let (read, written) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(signal, written)?;
        Ok(SignalSource(read))
    }

    /// Calls `action` on this reactor after each signal. It is called once for several that arrive
    /// together.
    pub(crate) fn handle(
        self,
        reactor: &mut Reactor,
        action: impl FnMut() + 'static,
    ) -> io::Result<()> {
        let handler = reactor.register(OnSignal(action));
        let limits = Limits { idle: None, ..Limits::default() };
        reactor.adopt(self.0, handler, &limits, ()).map(drop)
    }
}

struct OnSignal<A>(A);

impl<A: FnMut() + 'static> Handler for OnSignal<A> {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
        (self.0)();
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        // The other side is never closed, so nothing is worth waiting for.
        cx.abort();
    }
}
