//! Running one thread of a server.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::restart::Restart;
use super::shard::Shard;
use super::sockets::Bound;
use super::{Server, Share, thread_name};
use crate::sys::{self, Kernel};
use crate::turn::reactor::Reactor;

impl Server {
    /// Runs one thread's reactor to its end.
    pub(super) fn run_shard<P>(
        &self,
        index: usize,
        part: P,
        share: Share,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.options.pin
            && let Err(error) = sys::pin_to_core(index)
        {
            log::warn!("{}: not pinned to a core: {error}", thread_name(index));
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut reactor = Reactor::with_stopper(Kernel::Os, &self.stopper, index)?;
            reactor.set_workers(&self.workers);
            if let Some(memory) = self.options.memory {
                reactor.set_memory_budget(memory / self.options.threads as u64);
            }
            if let Some(ledger) = share.ledger {
                reactor.share_ledger(ledger);
            }
            let mut shard = Shard { reactor, server: self, places: share.places, index };
            make(&mut shard, part)?;
            if let Some(at) = shard.places.iter().position(Option::is_some) {
                let text = format!("{} is not served", self.listeners[at].0);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            let mut reactor = shard.reactor;
            self.attend(&mut reactor, index, share.control)?;
            reactor.run()
        }));
        result.unwrap_or_else(|panic| Err(io::Error::other(panic_message(&*panic))))
    }

    /// Serves the control socket, watches the thread, and says so when it is the last one to serve.
    fn attend(
        &self,
        reactor: &mut Reactor,
        index: usize,
        control: Option<Bound>,
    ) -> io::Result<()> {
        if let (Some(restart), Some(control)) = (&self.restart, control) {
            let (notifier, state) = (self.notifier.as_ref(), self.state.clone());
            restart.serve(control, reactor, &self.stopper, notifier, state)?;
        }
        if let Some(watch) = &self.watch {
            watch.add(reactor, index);
        }
        if let (0, Some(notifier)) = (index, self.notifier.clone()) {
            let is_over = self.restart.as_ref().map(Restart::is_over);
            reactor.on_drain = Some(Box::new(move || {
                // The service goes on in another process.
                if is_over.is_none_or(|is_over| !is_over()) {
                    notifier.stopping();
                }
            }));
        }
        if self.unready.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.restart.as_ref().map_or(Ok(()), Restart::finish)?;
            if let Some(notifier) = &self.notifier {
                let mut sockets = self.to_store.lock().unwrap_or_else(PoisonError::into_inner);
                // The copies are closed: a socket that they kept open would not refuse clients.
                notifier.store(&std::mem::take(&mut *sockets));
                notifier.ready();
            }
        }
        Ok(())
    }

    /// Stops all threads because one has failed.
    pub(super) fn fail(&self, index: usize, error: &io::Error, first: &Mutex<Option<io::Error>>) {
        let name = thread_name(index);
        if self.options.threads > 1 {
            // The other threads may take a while to end, and `run` returns only then.
            log::error!("{name}: {error}; stopping the server");
        }
        // The predecessor goes on at once, and not after the drain.
        self.restart.iter().for_each(Restart::give_up);
        let error = io::Error::new(error.kind(), format!("{name}: {error}"));
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        if let Err(error) = self.stopper.stop() {
            log::error!("{name}: cannot wake the other threads to stop them: {error}");
        }
    }
}

/// The message of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}
