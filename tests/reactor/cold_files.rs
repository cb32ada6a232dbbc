//! Regions that are not in memory: workers wait for the disk, and nobody else does.

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Files, Harness, State, Step};
use sluicegate_reactor::{ColdFiles, Limits, Listen, Reason};

use crate::probe::{Call, Probe, log, pattern};

const SMALL: usize = 10_000;
const LARGE: usize = 3 << 20;
const WINDOW: usize = 1 << 20;
/// Two ticks of the wheel, which is how late a deadline may be.
const LATE: Duration = Duration::from_nanos(2 << 24);
/// What a broken disk says.
const EIO: i32 = 5;
const EACCES: i32 = 13;

/// Sends a header and the file named by the input. `close` closes, `echo` is sent back.
fn sender(limits: Limits) -> Harness<Probe> {
    let limits = Limits { warm_window: WINDOW, sendfile_chunk: WINDOW / 16, ..limits };
    let fill = |files: &mut Files| {
        files.put_file("/www/small", &pattern(SMALL), 0);
        files.put_file("/www/large", &pattern(LARGE), 0);
    };
    let listen = Listen { limits, ..Listen::default() };
    Harness::build(&listen, fill, |reactor| {
        let root = reactor.open_dir("/www").unwrap();
        let files =
            [("small", root.open("small").unwrap()), ("large", root.open("large").unwrap())];
        reactor.register(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                let name = input.take();
                match files.iter().find(|(known, _)| known.as_bytes() == name) {
                    Some((_, file)) => {
                        cx.send("header:");
                        cx.send(file.region(0, file.metadata().unwrap().len));
                    }
                    None if name == b"close" => cx.close(),
                    None => {
                        cx.send(name);
                    }
                }
            }
            call => call.by_default(cx),
        }))
    })
}

fn answer(name: &str) -> Vec<u8> {
    [b"header:", &pattern(if name == "small" { SMALL } else { LARGE })[..]].concat()
}

#[test]
fn a_slow_disk_delays_nobody_but_who_asked_for_the_file() {
    for small_file in [16 << 10, u64::MAX] {
        for name in ["small", "large"] {
            let mut h = sender(Limits { small_file, ..Limits::default() });
            let (waiting, other) = (h.open(), h.open());
            h.files().evict(format!("/www/{name}"), 0);
            h.hold_disk();
            h.feed(waiting, name);
            h.feed(other, "echo");
            assert_eq!(h.sent(other), "echo", "while the disk is at {name}");
            let hot = if name == "small" { "large" } else { "small" };
            h.feed(other, hot);
            assert!(h.sent(other) == answer(hot), "{hot}, while the disk is at {name}");
            // What is in memory does not wait either, not even on the same connection.
            assert_eq!(h.sent(waiting), "header:");
            h.release_disk();
            assert!(h.sent(waiting) == answer(name)[7..], "{name}");
            assert_eq!(h.calls().disk_waits, 0, "the reactor has waited for {name}");
        }
    }
}

#[test]
fn each_window_is_waited_for_once() {
    let mut h = sender(Limits::default());
    let client = h.open();
    h.files().evict("/www/large", 0);
    h.feed(client, "large");
    assert!(h.sent(client) == answer("large"));
    assert_eq!((h.calls().warm, h.ledger().cold_reads), (3, 3));
    h.feed(client, "large");
    assert!(h.sent(client) == answer("large"));
    assert_eq!(h.calls().warm, 3, "it is in memory now");
    assert_eq!(h.calls().disk_waits, 0);
}

#[test]
fn what_is_in_memory_needs_no_more_than_a_look_for_each_window() {
    let mut h = sender(Limits::default());
    let client = h.open();
    h.feed(client, "small");
    assert!(h.sent(client) == answer("small"));
    assert_eq!((h.calls().read_nowait, h.calls().read_at, h.ledger().probes), (1, 0, 0));
    h.feed(client, "large");
    assert!(h.sent(client) == answer("large"));
    // One more for the beginning of the first.
    assert_eq!(h.ledger().probes, 1 + 3);
    assert_eq!(h.ledger().cold_reads, 0);
}

#[test]
fn a_file_is_cold_wherever_its_memory_ends() {
    for from in [0, 4096, 1 << 20, (1 << 20) + 5000, (2 << 20) - 1, (3 << 20) - 1] {
        let mut h = sender(Limits::default());
        let client = h.open();
        h.files().evict("/www/large", from);
        h.feed(client, "large");
        assert!(h.sent(client) == answer("large"), "cold from {from}");
        assert_eq!(h.calls().disk_waits, 0, "cold from {from}");
        let windows = 3 - from / (1 << 20);
        assert_eq!(h.calls().warm, windows, "cold from {from}");
    }
}

#[test]
fn a_file_system_that_says_nothing_is_read_by_workers_once_in_a_while() {
    let mut h = sender(Limits::default());
    h.files().hide_residency();
    let client = h.open();
    for (name, windows) in [("small", 1), ("large", 3)] {
        // A window that begins before the last one ends reads a little of it again.
        let some = windows..=windows + 1;
        let warmed = |h: &mut Harness<Probe>| {
            let before = h.calls().warm;
            h.feed(client, name);
            assert!(h.sent(client) == answer(name));
            h.calls().warm - before
        };
        assert!(some.contains(&warmed(&mut h)), "{name}");
        assert_eq!(warmed(&mut h), 0, "{name}, a moment later");
        h.advance(Duration::from_secs(11));
        assert!(some.contains(&warmed(&mut h)), "{name}, some time later");
    }
    let ledger = h.ledger();
    assert_eq!((ledger.cold_reads, ledger.cold_unreported), (h.calls().warm, h.calls().warm));
}

#[test]
fn who_does_not_want_it_waits_in_place() {
    for (cold_files, unreported, waits) in [
        (ColdFiles::Wait, false, true),
        (ColdFiles::WarmIfReported, true, true),
        (ColdFiles::WarmIfReported, false, false),
        (ColdFiles::Warm, true, false),
    ] {
        let mut h = sender(Limits { cold_files, ..Limits::default() });
        if unreported {
            h.files().hide_residency();
        }
        let client = h.open();
        for name in ["small", "large"] {
            h.files().evict(format!("/www/{name}"), 0);
            h.feed(client, name);
            assert!(h.sent(client) == answer(name));
        }
        assert_eq!(h.calls().disk_waits > 0, waits, "{cold_files:?}");
        assert_eq!(h.calls().warm == 0, waits, "{cold_files:?}");
    }
}

#[test]
fn nobody_times_out_while_our_own_disk_is_slow() {
    let limits = Limits {
        idle: Some(Duration::from_secs(10)),
        write_stall: Some(Duration::from_secs(5)),
        ..Limits::default()
    };
    let mut h = sender(limits);
    let client = h.open();
    h.files().evict("/www/large", 0);
    h.hold_disk();
    h.feed(client, "large");
    h.advance(Duration::from_secs(100));
    assert_eq!((h.ledger().timeouts, h.state(client)), (0, State::Open));
    h.set_room(client, 1000);
    h.release_disk();
    // The peer's time begins anew.
    h.advance(Duration::from_secs(4));
    assert_eq!(h.ledger().timeouts, 0);
    h.advance(Duration::from_secs(2));
    assert_eq!(log(&mut h).last().unwrap(), &format!("0 close {:?}", Reason::TimedOut));
}

#[test]
fn after_a_wait_for_the_disk_a_client_that_takes_nothing_has_its_whole_time() {
    for which in ["idle", "write stall"] {
        let time = |of| (which == of).then_some(Duration::from_secs(5));
        let limits =
            Limits { idle: time("idle"), write_stall: time("write stall"), ..Limits::default() };
        let mut h = sender(limits);
        let client = h.open();
        h.files().evict("/www/large", 0);
        h.hold_disk();
        h.feed(client, "large");
        h.set_room(client, 0);
        h.advance(Duration::from_secs(100));
        h.release_disk();
        h.advance(Duration::from_secs(5) - Duration::from_nanos(1));
        assert_eq!((h.ledger().timeouts, h.state(client)), (0, State::Open), "{which}: early");
        h.advance(LATE);
        assert_eq!(h.ledger().timeouts, 1, "{which}");
    }
}

#[test]
fn after_a_wait_for_the_disk_a_client_that_has_everything_is_idle_in_time() {
    let limits = Limits { idle: Some(Duration::from_secs(5)), ..Limits::default() };
    let mut h = sender(limits);
    let client = h.open();
    h.set_room(client, usize::MAX);
    h.files().evict("/www/small", 0);
    h.hold_disk();
    h.feed(client, "small");
    h.advance(Duration::from_secs(100));
    h.release_disk();
    assert_eq!(h.arrived(client), answer("small").len());
    h.advance(Duration::from_secs(5) - Duration::from_nanos(1));
    assert_eq!(h.ledger().timeouts, 0, "early");
    h.advance(LATE);
    assert_eq!((h.ledger().timeouts, h.state(client)), (1, State::Shut));
}

#[test]
fn a_connection_that_ends_meanwhile_is_nothing_to_the_disk() {
    for how in ["reset", "close", "stop"] {
        let mut h = sender(Limits::default());
        let (client, other) = (h.open(), h.open());
        h.files().evict("/www/large", 0);
        h.hold_disk();
        h.feed(client, "large");
        match how {
            "reset" => h.reset(client),
            "close" => h.feed(client, "close"),
            _ => h.stop(),
        }
        h.release_disk();
        if how == "close" {
            assert!(h.sent(client) == answer("large"), "a close in order sends all");
        }
        if how != "stop" {
            h.feed(other, "echo");
            assert_eq!(h.sent(other), "echo", "after a {how}");
        }
    }
}

#[test]
fn however_many_wait_for_the_disk_each_gets_its_file() {
    let mut h = sender(Limits::default());
    let clients: Vec<Client> = (0..100).map(|_| h.open()).collect();
    h.hold_disk();
    for &client in &clients {
        h.files().evict("/www/large", 0);
        h.feed(client, "large");
    }
    // So many are read for at a time; those that leave do not keep the others waiting.
    assert_eq!(h.ledger().cold_reads, 32);
    for &client in &clients[20..60] {
        h.reset(client);
    }
    h.release_disk();
    for &client in clients[..20].iter().chain(&clients[60..]) {
        assert!(h.sent(client) == answer("large"));
    }
    assert_eq!(h.calls().disk_waits, 0);
}

#[test]
fn what_is_sent_while_the_queue_waits_comes_behind_the_file() {
    let mut h = sender(Limits::default());
    let client = h.open();
    h.files().evict("/www/small", 4096);
    h.hold_disk();
    h.feed(client, "small");
    h.feed(client, "and more");
    // It was read up to where the memory ends.
    assert!(h.sent(client) == answer("small")[..7 + 4096]);
    h.release_disk();
    assert!(h.sent(client) == [&answer("small")[7 + 4096..], b"and more"].concat());
}

#[test]
fn interrupted_and_failing_looks_lose_nothing() {
    for (name, steps) in [
        ("small", [Step::Interrupted, Step::Interrupted]),
        ("large", [Step::Interrupted, Step::Errno(EIO)]),
    ] {
        let mut h = sender(Limits::default());
        let client = h.open();
        h.files().script_read(format!("/www/{name}"), steps);
        h.feed(client, name);
        assert!(h.sent(client) == answer(name), "{name}");
    }
}

#[test]
fn an_error_that_may_come_from_a_network_file_system_is_no_lost_connection() {
    for (first, reason) in [(7, "Failed"), (3, "Reset")] {
        let mut h = sender(Limits::default());
        let client = h.open();
        // The header is sent, and then a part of the file; or only a part of the header.
        h.script_send(client, [Step::Short(first), Step::Errno(EACCES)]);
        h.feed(client, "large");
        assert_eq!(log(&mut h).last().unwrap(), &format!("0 close {reason}"));
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_cold_resets_the_connection() {
    let mut h = sender(Limits::default());
    let client = h.open();
    h.files().evict("/www/large", 0);
    h.hold_disk();
    h.feed(client, "large");
    h.files().truncate("/www/large", 1000, 0);
    h.release_disk();
    assert!(h.sent(client) == answer("large")[..7 + 1000]);
    assert_eq!(h.state(client), State::Reset, "it must not look complete");
}
