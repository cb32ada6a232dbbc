//! Regions of files: how they are sent, and what happens if the file changes meanwhile.

use sluicegate_reactor::testing::{Calls, Harness, State, Step};
use sluicegate_reactor::{Limits, Listen};

use crate::probe::{Call, Probe, log, pattern};

const SMALL: usize = 1000;
const LARGE: usize = 1 << 20;

/// Sends a header and the file that the input names, at its current length, and closes the
/// connection if `close` is set.
fn sender(limits: Limits, close: bool) -> Harness<Probe> {
    let fill = |files: &mut sluicegate_reactor::testing::Files| {
        files.put_file("/www/small", &pattern(SMALL), 0);
        files.put_file("/www/large", &pattern(LARGE), 0);
        files.make_dir("/www/dir");
    };
    let listen = Listen { limits, ..Listen::default() };
    Harness::build(&listen, fill, |reactor| {
        let root = reactor.open_dir("/www").unwrap();
        reactor.register(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                let name = std::str::from_utf8(input.take()).unwrap();
                let file = root.open(name).unwrap();
                let len = file.metadata().unwrap().len;
                cx.send("header:");
                // A directory has no length, and reading it fails.
                cx.send(file.region(0, len.max(1)));
                if close {
                    cx.close();
                }
            }
            call => call.by_default(cx),
        }))
    })
}

fn header_and(body: &[u8]) -> Vec<u8> {
    [b"header:", body].concat()
}

#[test]
fn a_small_file_leaves_beside_its_header_in_one_call() {
    let mut h = sender(Limits::default(), false);
    let client = h.open();
    h.feed(client, b"small");
    assert_eq!(h.sent(client), header_and(&pattern(SMALL)));
    let Calls { send, send_gather, send_more, sendfile, read_at, read_nowait, .. } = h.calls();
    assert_eq!((send, send_gather, send_more, sendfile), (0, 1, 0, 0));
    assert_eq!(read_at + read_nowait, 1);
    assert_eq!(h.open_descriptors().files, 1, "only the root");
}

#[test]
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn a_large_file_goes_by_sendfile_behind_a_header_that_waits_for_it() {
    // The harness checks that nothing sent with MSG_MORE is left without more.
    let limits = Limits { sendfile_chunk: LARGE / 4, ..Limits::default() };
    let mut h = sender(limits, false);
    let client = h.open();
    h.set_room(client, usize::MAX);
    h.feed(client, b"large");
    assert_eq!(h.sent(client), header_and(&pattern(LARGE)));
    let Calls { send, send_gather, send_more, sendfile, read_at, .. } = h.calls();
    assert_eq!((send, send_gather, send_more, read_at), (1, 0, 1, 0));
    assert_eq!(sendfile, 4);
    assert_eq!(h.ledger().sendfile_bytes, LARGE as u64);
    assert_eq!(h.open_descriptors().files, 1, "only the root");
}

#[test]
fn copied_files_arrive_as_well() {
    let mut h = sender(Limits { small_file: u64::MAX, ..Limits::default() }, true);
    let client = h.open();
    h.set_room(client, 100_000);
    h.feed(client, b"large");
    assert_eq!(h.sent(client), header_and(&pattern(LARGE)));
    assert_eq!(h.calls().sendfile, 0);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn a_file_arrives_whole_through_refusals_and_short_counts() {
    for small_file in [16 << 10, u64::MAX] {
        for (name, len) in [("small", SMALL), ("large", LARGE)] {
            let mut h = sender(Limits { small_file, ..Limits::default() }, true);
            let client = h.open();
            let steps = [Step::Short(3), Step::WouldBlock, Step::Short(10), Step::Interrupted];
            h.script_send(client, steps.into_iter().cycle().take(40));
            h.set_room(client, 12_345);
            h.feed(client, name);
            assert_eq!(h.sent(client), header_and(&pattern(len)));
            assert_eq!(log(&mut h).last().unwrap(), "0 close Closed");
        }
    }
}

#[test]
fn short_and_interrupted_reads_of_a_file_lose_nothing() {
    let mut h = sender(Limits { small_file: u64::MAX, ..Limits::default() }, false);
    let client = h.open();
    let steps = [Step::Interrupted, Step::Short(1), Step::Short(999), Step::Interrupted];
    h.files().script_read("/www/large", steps);
    h.feed(client, b"large");
    assert_eq!(h.sent(client), header_and(&pattern(LARGE)));
}

#[test]
fn a_file_that_was_truncated_resets_the_connection() {
    for small_file in [16 << 10, u64::MAX] {
        let mut h = sender(Limits { small_file, ..Limits::default() }, true);
        let client = h.open();
        h.set_room(client, 100_000);
        h.feed(client, b"large");
        h.files().truncate("/www/large", 300_000, 0);
        let got = h.sent(client);
        assert_eq!(got, header_and(&pattern(300_000)));
        assert_eq!(h.state(client), State::Reset, "it must not look complete");
        assert_eq!(log(&mut h).last().unwrap(), "0 close Truncated");
        assert_eq!(h.open_descriptors().files, 1, "only the root");
    }
}

#[test]
fn a_file_that_grows_is_sent_as_long_as_it_was() {
    for small_file in [16 << 10, u64::MAX] {
        let mut h = sender(Limits { small_file, ..Limits::default() }, false);
        let client = h.open();
        h.set_room(client, 100_000);
        h.feed(client, b"large");
        h.files().append("/www/large", b"more", 0);
        assert_eq!(h.sent(client), header_and(&pattern(LARGE)));
        h.feed(client, b"small");
        assert_eq!(h.sent(client), header_and(&pattern(SMALL)));
    }
}

#[test]
fn a_file_that_is_replaced_is_sent_as_it_was() {
    let mut h = sender(Limits::default(), false);
    let client = h.open();
    h.set_room(client, 100_000);
    h.feed(client, b"large");
    h.files().put_file("/www/large", b"another", 0);
    assert_eq!(h.sent(client), header_and(&pattern(LARGE)));
    h.feed(client, b"large");
    assert_eq!(h.sent(client), header_and(b"another"));
}

#[test]
fn a_file_that_cannot_be_read_resets_the_connection() {
    let mut h = sender(Limits::default(), false);
    let client = h.open();
    h.feed(client, b"dir");
    assert_eq!(h.state(client), State::Reset, "it must not look complete");
    assert_eq!(log(&mut h).last().unwrap(), "0 close Failed");
    assert_eq!(h.open_descriptors().files, 1, "only the root");
}

#[test]
fn regions_of_one_file_share_its_descriptor_and_close_it_with_the_last() {
    let fill = |files: &mut sluicegate_reactor::testing::Files| {
        files.put_file("/f", &pattern(LARGE), 0);
    };
    let mut h = Harness::build(&Listen::default(), fill, |reactor| {
        let root = reactor.open_dir("/").unwrap();
        let mut file = Some(root.open("f").unwrap());
        reactor.register(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                if let Some(file) = &file {
                    cx.send(file.region(10, 100_000));
                    cx.send(file.region(0, 5));
                }
                if input.take() == b"last" {
                    file = None;
                }
            }
            call => call.by_default(cx),
        }))
    });
    let clients = [h.open(), h.open()];
    for client in clients {
        h.set_room(client, 10_000);
    }
    h.feed(clients[0], b"first");
    h.feed(clients[1], b"last");
    assert_eq!(h.open_descriptors().files, 1);
    let expected = [&pattern(LARGE)[10..100_010], &pattern(5)].concat();
    assert_eq!(h.sent(clients[0]), expected);
    assert_eq!(h.open_descriptors().files, 1);
    assert_eq!(h.sent(clients[1]), expected);
    assert_eq!(h.open_descriptors().files, 0);
}

#[test]
fn an_empty_region_is_nothing() {
    let fill = |files: &mut sluicegate_reactor::testing::Files| files.put_file("/f", b"", 0);
    let mut h = Harness::build(&Listen::default(), fill, |reactor| {
        let file = reactor.open_dir("/").unwrap().open("f").unwrap();
        reactor.register(Probe::new(move |cx, call, _| match call {
            Call::Open => {
                cx.send(file.region(0, 0));
                cx.send("");
                cx.close();
            }
            call => call.by_default(cx),
        }))
    });
    let client = h.open();
    assert_eq!(h.sent(client), "");
    assert_eq!(log(&mut h), ["0 open", "0 close Closed"]);
    assert_eq!((h.calls().send, h.calls().send_gather), (0, 0));
}
