//! The disk of a harness.

use std::ops::DerefMut;

use super::Harness;
use crate::handler::Handler;
use crate::sys::sim::Files;

/// Controls the disk.
impl<H: Handler> Harness<H> {
    /// The disk. The harness cannot run while the result is held.
    #[must_use]
    pub fn files(&mut self) -> impl DerefMut<Target = Files> {
        self.world.files()
    }

    /// Blocks the disk: no worker that waits for it finishes before
    /// [`release_disk`](Harness::release_disk) is called.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, Input, fs::File};
    /// # struct Send(File);
    /// # impl Handler for Send {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         input.take();
    /// #         cx.send(self.0.region(0, 5));
    /// #     }
    /// # }
    /// use sluicegate_reactor::Listen;
    /// use sluicegate_reactor::testing::Harness;
    ///
    /// let mut h = Harness::build(
    ///     &Listen::default(),
    ///     |files| files.put_file("/f", b"hello", 0),
    ///     |reactor| {
    ///         let file = reactor.open_dir("/").unwrap().open("f").unwrap();
    ///         reactor.register(Send(file))
    ///     },
    /// );
    /// let client = h.open();
    /// h.files().evict("/f", 0);
    /// h.hold_disk();
    /// h.feed(client, "send it");
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(h.sent(client), "");
    /// h.release_disk();
    /// assert_eq!(h.sent(client), "hello");
    /// ```
    pub fn hold_disk(&mut self) {
        self.world.hold_disks();
    }

    /// Unblocks the disk, and completes what workers have requested in the meantime.
    pub fn release_disk(&mut self) {
        self.world.release_disks();
        self.run();
    }
}
