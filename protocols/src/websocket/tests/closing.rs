//! How a WebSocket ends.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn start() -> (Harness<Http<Site>>, Client, Log) {
    let log = Log::default();
    let mut h = site(&WebSocketLimits::default(), false, &log);
    let client = open(&mut h);
    (h, client, log)
}

#[test]
fn row_21_what_arrives_after_a_close_frame_of_this_side_is_ignored_until_the_answer() {
    let input = frames(&[
        (0x81, b"close"),
        (0x81, b"ignored"),
        (0x89, b"ignored"),
        (0x01, b"igno"),
        (0x00, &[0xff; 70_000]),
        (0x80, b"red"),
        (0x88, b"\x03\xe8bye"),
        (0x81, b"behind"),
    ]);
    for piece in [1, 3, 1000, input.len()] {
        let (mut h, client, log) = start();
        input.chunks(piece).for_each(|piece| h.feed(client, piece));
        assert_eq!(take(&mut h, client), "close 1000 enough", "in pieces of {piece}");
        assert_eq!(h.state(client), State::Shut);
        h.finish(client);
        assert_eq!(log.take(), ["closed 1000 bye"]);
    }
}

#[test]
fn a_close_within_a_message_of_the_peer_still_finds_its_answer() {
    for len in [1000, 300_000] {
        let (mut h, client, log) = start();
        let message = frame(Role::Server, 0x82, &vec![0x88; len]);
        h.feed(client, &message[..len / 2]);
        h.stop();
        assert_eq!(take(&mut h, client), "close 1001");
        h.feed(client, &message[len / 2..]);
        assert_eq!(h.state(client), State::Open);
        h.feed(client, frames(&[(0x88, b"\x03\xe9")]));
        assert_eq!(take(&mut h, client), "");
        h.finish(client);
        assert_eq!(log.take(), ["closed 1001 "]);
    }
}

#[test]
fn a_peer_that_does_not_answer_a_close_frame_is_closed_after_the_timeout() {
    let (mut h, client, log) = start();
    h.feed(client, frames(&[(0x81, b"close")]));
    h.advance(4 * SECOND);
    // Traffic does not move the deadline.
    h.feed(client, frames(&[(0x81, b"still here")]));
    assert_eq!(h.state(client), State::Open);
    h.advance(2 * SECOND);
    assert_eq!(h.state(client), State::Shut);
    h.finish(client);
    assert_eq!(log.take(), ["Lost(TimedOut)"]);
}

#[test]
fn a_connection_that_ends_without_a_close_frame_is_lost() {
    let (mut h, client, log) = start();
    h.feed(client, &frames(&[(0x81, b"half a message")])[..9]);
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(log.take(), ["Lost(Closed)"]);
    let (mut h, client, log) = start();
    h.reset(client);
    assert_eq!(log.take(), ["Lost(Reset)"]);
}

#[test]
fn a_fault_is_told_to_the_application() {
    let (mut h, client, log) = start();
    h.feed(client, frames(&[(0x83, b"")]));
    h.finish(client);
    assert_eq!(log.take(), ["Failed(Opcode)"]);
    assert_eq!(take(&mut h, client), "close 1002 the opcode is reserved");
}

#[test]
fn a_silent_peer_is_pinged_and_lost_if_it_does_not_answer() {
    let (mut h, client, log) = start();
    h.advance(76 * SECOND);
    assert_eq!(take(&mut h, client), "ping");
    h.feed(client, frames(&[(0x8a, b"")]));
    h.advance(76 * SECOND);
    assert_eq!(take(&mut h, client), "ping");
    assert_eq!(h.state(client), State::Open);
    h.advance(76 * SECOND);
    assert_eq!(log.take(), ["Lost(TimedOut)"]);
}

#[test]
fn a_peer_that_is_not_read_from_is_not_lost_for_its_silence() {
    let (mut h, client, log) = start();
    h.set_room(client, 0);
    h.feed(client, frames(&[(0x81, b"pause")]));
    // Nothing is sent, which has a deadline of its own.
    assert_eq!(log.take(), [""; 0]);
    h.set_room(client, 1000);
    assert_eq!(take(&mut h, client), "text paused");
    h.feed(client, frames(&[(0x81, b"again")]));
    assert_eq!(take(&mut h, client), "text again");
    assert_eq!(log.take(), ["drained"]);
}

#[test]
fn a_deadline_of_the_application_closes_with_a_policy_violation() {
    let (mut h, client, log) = start();
    h.feed(client, frames(&[(0x81, b"hurry")]));
    h.advance(4 * SECOND);
    assert_eq!(take(&mut h, client), "close 1008");
    h.feed(client, frames(&[(0x88, b"")]));
    h.finish(client);
    assert_eq!(log.take(), ["closed 1005 "]);
}

#[test]
fn a_stopping_reactor_says_that_it_goes_away() {
    let (mut h, client, log) = start();
    h.stop();
    assert_eq!(take(&mut h, client), "close 1001");
    assert_eq!(h.state(client), State::Open);
    h.feed(client, frames(&[(0x88, b"\x03\xe9")]));
    h.finish(client);
    assert_eq!(log.take(), ["closed 1001 "]);
}

#[test]
fn a_close_of_a_connection_that_is_paused_finds_its_answer() {
    let (mut h, client, log) = start();
    h.feed(client, frames(&[(0x81, b"hold"), (0x81, b"kept")]));
    h.stop();
    assert_eq!(take(&mut h, client), "close 1001");
    h.feed(client, frames(&[(0x88, b"\x03\xe9")]));
    assert_eq!(h.state(client), State::Shut);
    h.finish(client);
    assert_eq!(log.take(), ["closed 1001 "]);
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    struct Wordy;

    impl WebSocketHandler for Wordy {
        type Session = ();

        fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
            match m {
                Message::Text(text) => {
                    socket.close(cx, CloseCode::new(4000).expect("a code"), &text);
                }
                Message::Binary(_) => socket.close(cx, CloseCode::ABSENT, "not sent"),
            }
        }
    }

    struct Door(HandlerId<WebSockets<Wordy>>);

    impl Handler for Door {
        type Session = ();

        fn on_open(&mut self, cx: &mut Context<'_>) {
            cx.hand_over(self.0, WebSocket::new(Role::Server, false, ()));
        }

        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }

    let text = format!("x{}", "\u{20ac}".repeat(100));
    // 123 bytes would end within the 41st character.
    let cut = format!("close 4000 {}", text.as_bytes()[..121].escape_ascii());
    for (frame, expected) in [((0x81, text.as_bytes()), cut.as_str()), ((0x82, b"x"), "close")] {
        let mut h = Harness::build(
            &Listen::default(),
            |_| {},
            |reactor| {
                let wordy = reactor.register(WebSockets::new(Wordy));
                reactor.register(Door(wordy))
            },
        );
        let client = h.open();
        h.feed(client, frames(&[frame]));
        assert_eq!(described(Role::Server, &h.sent(client), false), expected);
    }
}
