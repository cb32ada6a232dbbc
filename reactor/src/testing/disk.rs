//! The disk of a harness, in the hands of its test.

use std::ops::DerefMut;

use super::Harness;
use crate::handler::Handler;
use crate::sys::sim::Files;

/// What the disk does.
impl<H: Handler> Harness<H> {
    /// The disk. The harness can do nothing else while the answer is held.
    #[must_use]
    pub fn files(&mut self) -> impl DerefMut<Target = Files> {
        self.world.files()
    }

    /// Lets the disk take its time from now on: no worker that waits for it is done before
    /// [`release_disk`](Harness::release_disk).
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
    ///         let file = reactor.fs().open_dir("/").unwrap().open("f").unwrap();
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

    /// Ends that; what workers were asked for meanwhile is done.
    pub fn release_disk(&mut self) {
        self.world.release_disks();
        self.run();
    }
}
