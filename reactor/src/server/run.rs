//! Running one thread of a server.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::notify::Notifier;
use super::restart::Restart;
use super::shard::Shard;
use super::sockets::Bound;
use super::{Server, Share, thread_name};
use crate::sys::{Kernel, invalid};
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
        let result = catch_unwind(AssertUnwindSafe(|| {
            let reactor = Reactor::with_stopper(Kernel::Os, &self.stopper, index);
            let mut reactor = reactor.inspect_err(|_| self.stopper.note_drained(true))?;
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
                return Err(invalid(format!("{} is not served", self.listeners[at].0)));
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
        if index == 0 {
            reactor.on_drain = Some(Box::new(self.on_stopping()));
        }
        if self.unready.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.restart.as_ref().map_or(Ok(()), Restart::finish)?;
            self.store.iter().for_each(|store| store.fill());
            self.notifier.iter().for_each(Notifier::ready);
        }
        Ok(())
    }

    /// What to do when the server begins to drain.
    fn on_stopping(&self) -> impl FnOnce() + use<> {
        let is_over = self.restart.as_ref().map(Restart::is_over);
        let (notifier, store) = (self.notifier.clone(), self.store.clone());
        move || {
            // Copies that stay open would keep clients waiting.
            store.iter().for_each(|store| store.close());
            // The service goes on in another process.
            if is_over.is_some_and(|is_over| is_over()) {
                return;
            }
            notifier.iter().for_each(Notifier::stopping);
            store.iter().for_each(|store| store.empty());
        }
    }

    /// Stops all threads because one has failed.
    pub(super) fn fail(&self, index: usize, error: &io::Error, first: &Mutex<Option<io::Error>>) {
        let name = thread_name(index);
        if self.options.threads > 1 {
            // The other threads may take a while to end, and `run` returns only then.
            log::error!("{name}: {error}; stopping the server");
        }
        self.on_stopping()();
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
