//! Files that a handler requests when the peer has ended its direction.

use sluicegate_reactor::fs::{CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Context, Handler, Input, Listen};

/// Leaves all input, and requests a file of `length` bytes at the end of it.
struct AtTheEnd {
    dir: Dir,
    length: Option<u64>,
    ends: u32,
}

impl Handler for AtTheEnd {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}

    fn on_eof(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        self.ends += 1;
        let file = self.dir.create("file", &CreateOptions::default()).expect("a new file");
        cx.receive_file(file, self.length);
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, _: &mut (), saved: Result<Saved, NotSaved>) {
        assert!(saved.is_ok());
        cx.send("saved");
    }
}

/// A client that has sent `words` and the end.
fn ended(length: Option<u64>) -> (Harness<AtTheEnd>, Client) {
    let mut h = Harness::build(
        &Listen::default(),
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.open_dir("/up").expect("it was made");
            reactor.register(AtTheEnd { dir, length, ends: 0 })
        },
    );
    let client = h.open();
    h.feed(client, "words");
    h.finish(client);
    (h, client)
}

#[test]
fn what_is_unread_can_be_saved() {
    for length in [Some(5), None] {
        let (mut h, client) = ended(length);
        assert_eq!(h.sent(client), "saved");
        assert_eq!(h.files().content("/up/file"), Some(&b"words"[..]));
        assert_eq!((h.state(client), h.handler().ends), (State::Open, 1));
    }
}

#[test]
fn a_file_that_can_never_be_whole_is_removed_and_its_connection_closed() {
    let (mut h, client) = ended(Some(6));
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(h.files().content("/up/file"), None);
    assert_eq!(h.files().temporary(), 0);
    assert_eq!(h.handler().ends, 1);
}
