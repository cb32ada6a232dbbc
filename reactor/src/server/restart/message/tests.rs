//! Messages that are complete, cut anywhere, or wrong.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::thread;

use super::*;

fn entry(index: usize, sockets: usize, has_lock: bool, kind: Kind) -> Entry {
    Entry { index, sockets, has_lock, kind }
}

fn offer() -> Offer {
    let listeners = vec![
        entry(0, 1, true, Kind::Control),
        entry(1, 3, false, Kind::Address),
        entry(3, 1, false, Kind::AnyPort),
        entry(4, 2, false, Kind::Activated("the web".into())),
        entry(5, 1, false, Kind::Adopted),
    ];
    Offer { generation: 7, listeners, state: b"\n\0\xff state".to_vec() }
}

/// What the other end of a pair receives if this is sent.
fn received(message: &[u8], descriptors: usize) -> io::Result<(Offer, Vec<OwnedFd>)> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let message = message.to_vec();
    // Of its own, as the message may not fit into the socket. If it is refused, the send fails.
    let sender = thread::spawn(move || {
        // Not the stream itself, which a copy would keep open.
        let file = File::open("/dev/null").unwrap();
        let _ = send(&ours, &message, &vec![file.as_fd(); descriptors]);
    });
    let received = Offer::receive(&mut Lines::of(&theirs));
    drop(theirs);
    sender.join().unwrap();
    received
}

#[test]
fn an_offer_is_received_as_it_was_sent() {
    let (received, descriptors) = received(&offer().encode(), 9).unwrap();
    assert_eq!((received, descriptors.len()), (offer(), 9));
}

#[test]
fn more_descriptors_than_a_message_has_all_arrive() {
    const SOCKETS: usize = 2 * MOST_RIGHTS + 1;
    let listeners = vec![entry(0, SOCKETS, false, Kind::Address)];
    let offer = Offer { generation: 1, listeners, state: Vec::new() };
    assert_eq!(received(&offer.encode(), SOCKETS).unwrap().1.len(), SOCKETS);
}

#[test]
fn an_offer_that_is_cut_off_anywhere_is_an_error() {
    let message = offer().encode();
    for end in 1..message.len() {
        let error = received(&message[..end], 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end} bytes");
    }
}

#[test]
fn the_largest_state_is_received_as_it_was_sent() {
    let state: Vec<_> = (0..LARGEST_STATE).map(|at| (at % 251) as u8).collect();
    let offer = Offer { generation: 1, listeners: Vec::new(), state };
    assert!(received(&offer.encode(), 0).unwrap().0 == offer);
}

#[test]
fn an_offer_with_more_or_fewer_descriptors_than_it_announces_is_an_error() {
    for count in [0, 8, 10, 300] {
        let message = [offer().encode(), b"   ".to_vec()].concat();
        let error = received(&message, count).unwrap_err().to_string();
        assert_eq!(error, format!("9 descriptors are announced, not {count}"));
    }
}

#[test]
fn lines_that_describe_no_offer_are_errors() {
    for text in [
        "\n",
        "offer\n",
        "offer 1\n",
        "offer 1 1\n",
        "offer 1 1 0 0\n",
        "offer x 1 0\n",
        "offer 1 -1 0\n",
        "offer 1 1001 0\n",
        "offer 1 1 -1\n",
        "offer 1 0 65537\n",
        "offer 1 1 0\n\n",
        "offer 1 1 0\n1 - address\n",
        "offer 1 1 0\n1000 1 - address\n",
        "offer 1 1 0\n0 0 - address\n",
        "offer 1 1 0\n0 1001 - address\n",
        "offer 1 1 0\n0 2 lock address\n",
        "offer 1 1 0\n0 1 key address\n",
        "offer 1 1 0\n0 1 - door\n",
        "offer 1 1 0\n0 1 - activated\n",
        "offer 1 1 0\n0 1 - address 2\n",
    ] {
        let error = received(text.as_bytes(), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{text:?}: {error}");
    }
    let error = received(&[b'x'; 3 * LONGEST as usize], 0).unwrap_err();
    assert_eq!(error.to_string(), "a line is too long");
}

#[test]
fn a_refusal_is_an_error_that_says_why() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    refuse(&ours, "it is\nbusy");
    let error = Offer::receive(&mut Lines::of(&theirs)).unwrap_err();
    assert_eq!(error.to_string(), "it is busy");
}

#[test]
fn a_request_of_another_version_is_refused() {
    check_request(request().trim_end()).unwrap();
    let error = check_request("sluicegate-restart 1").unwrap_err();
    assert_eq!(error.to_string(), "it speaks version \"1\" of the protocol, not 3");
    for line in ["", "sluicegate-restart", "sluicegate-restart ", "GET / HTTP/1.1"] {
        check_request(line).unwrap_err();
    }
}

#[test]
fn the_listeners_that_are_served_are_a_list_of_numbers() {
    assert_eq!(parse_ready(ready(&[]).trim_end(), 3).unwrap(), [0; 0]);
    assert_eq!(parse_ready(ready(&[0, 2]).trim_end(), 3).unwrap(), [0, 2]);
    for line in ["", "read", "ready 3", "ready -1", "ready x", "ready  1"] {
        parse_ready(line, 3).unwrap_err();
    }
}

#[test]
fn the_longest_list_of_listeners_is_a_line() {
    let all: Vec<_> = (0..MOST).collect();
    assert!(ready(&all).len() <= LONGEST as usize);
    let line = ready(&all);
    assert_eq!(parse_ready(line.trim_end(), MOST).unwrap(), all);
}

#[test]
fn a_text_that_its_reader_takes_slowly_arrives_whole() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let text = "x".repeat(1 << 20);
    let reader = thread::spawn(move || {
        let mut all = String::new();
        theirs.read_to_string(&mut all).map(|_| all)
    });
    send(&ours, &text, &[ours.as_fd()]).unwrap();
    drop(ours);
    assert!(reader.join().unwrap().unwrap() == text);
}
