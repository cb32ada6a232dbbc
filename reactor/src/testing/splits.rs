//! The same bytes, arriving in different pieces.

use std::fmt;

use super::sealing::{self, Records};
use super::{Client, Harness, Received, State};
use crate::handler::Handler;

/// The course of one exchange, as its client saw it.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The output of the server when all input had arrived.
    pub sent: Received,
    /// The state of the server's end at that point.
    pub state: State,
    /// The output of the server after the client had shut down its sending side.
    pub sent_at_end: Received,
    /// The state of the server's end at that point.
    pub state_at_end: State,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} after {:?}", self.state, self.sent)?;
        write!(f, "{:?} after {:?}", self.state_at_end, self.sent_at_end)
    }
}

/// Sends `input` and then an end of stream to a new harness, split in the ways in which the network
/// might deliver it: whole, cut in two at every position, and byte by byte; and once with a client
/// that reads the response in small pieces. Then it repeats all of this through the transport
/// [`Records`], and also cuts its records in these ways. Returns the outcome, which must be the
/// same each time.
///
/// A server may answer several requests in the order in which it finishes them. Which request it
/// has seen when it answers the first one then depends on the pieces: use inputs whose answers have
/// one order, or test the requests one by one. The same applies to a handler that posts messages to
/// itself, as a chat does, since a message arrives after all requests that came in the same piece;
/// and a greeting that says whether the connection [is secure](crate::Context::is_secure) is never
/// the same.
///
/// If [`through`](super::through) is running, it uses that transport only.
///
/// The number of bytes handled is quadratic in the length of the input: inputs of up to a few
/// thousand bytes are fine.
///
/// ```
/// use sluicegate_reactor::testing::{Harness, State, same_at_every_split};
/// use sluicegate_reactor::{Context, Handler, Input};
///
/// /// Answers each line with its length.
/// struct Lengths;
///
/// impl Handler for Lengths {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
///         while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
///             input.consume(end + 1);
///             cx.send(format!("{end}\n"));
///         }
///     }
/// }
///
/// let outcome = same_at_every_split(|| Harness::new(Lengths), b"one\n\nthree\nrest");
/// assert_eq!(outcome.sent, b"3\n0\n5\n");
/// assert_eq!(outcome.state, State::Open);
/// assert_eq!(outcome.state_at_end, State::Closed);
/// ```
///
/// # Panics
/// If two outcomes differ. The message contains both.
pub fn same_at_every_split<H: Handler>(
    make: impl Fn() -> Harness<H>,
    input: impl AsRef<[u8]>,
) -> Outcome {
    let input = input.as_ref();
    let outcome = same_at_splits(&make, input, usize::MAX);
    if sealing::current().is_none() {
        let (server, client) = (Records::factory(), Records::factory());
        let sealed = sealing::through(server, client, || same_at_splits(&make, input, usize::MAX));
        assert_eq!(sealed, outcome, "through a transport, and without one");
    }
    outcome
}

/// Like [`same_at_every_split`], but cuts the input at no more than `most` evenly spread positions,
/// and the records in the same way. Use it for transports with an expensive handshake, such as TLS,
/// because each cut needs a new connection. The transport is that of [`through`](super::through);
/// outside of `through`, there is none.
///
/// # Panics
/// If two outcomes differ, or if `most` is 0.
pub fn same_at_splits<H: Handler>(
    make: impl Fn() -> Harness<H>,
    input: impl AsRef<[u8]>,
    most: usize,
) -> Outcome {
    let input = input.as_ref();
    let whole = exchange(make(), [input], None);
    for at in positions(input.len(), most) {
        let (first, second) = input.split_at(at);
        let split = exchange(make(), [first, second], None);
        assert_eq!(split, whole, "cut in front of byte {at}, and whole");
    }
    let dribbled = exchange(make(), input.chunks(1), None);
    assert_eq!(dribbled, whole, "byte by byte, and whole");
    // At most about a thousand pieces.
    let room = 1 + whole.sent.len().max(whole.sent_at_end.len()) / 1000;
    let slow = exchange(make(), [input], Some(room));
    assert_eq!(slow, whole, "taken in pieces of {room} bytes, and whole");
    if sealing::current().is_some() {
        let (dribbled, wire_len) = exchange_sealed(make(), input, |wire| wire.chunks(1).collect());
        assert_eq!(dribbled, whole, "the wire byte by byte, and whole");
        for at in positions(wire_len, most) {
            let (cut, _) = exchange_sealed(make(), input, |wire| {
                let (first, second) = wire.split_at(at);
                vec![first, second]
            });
            assert_eq!(cut, whole, "the wire cut in front of byte {at}, and whole");
        }
    }
    whole
}

/// The positions inside of `length` bytes at which to cut them, at most `most`.
fn positions(length: usize, most: usize) -> impl Iterator<Item = usize> {
    (1..length).step_by(length.div_ceil(most).max(1))
}

/// Sends the whole input through the client's transport, with the wire cut into pieces. Returns the
/// length of the wire, too.
fn exchange_sealed<H: Handler>(
    mut h: Harness<H>,
    input: &[u8],
    cut: impl FnOnce(&[u8]) -> Vec<&[u8]>,
) -> (Outcome, usize) {
    let client = h.open();
    let wire = h.seal(client, input);
    for piece in cut(&wire) {
        h.feed_wire(client, piece);
    }
    (end_of_exchange(&mut h, client), wire.len())
}

fn exchange<'a, H: Handler>(
    mut h: Harness<H>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    room: Option<usize>,
) -> Outcome {
    let client = h.open();
    if let Some(room) = room {
        h.set_room(client, room);
    }
    for piece in pieces {
        h.feed(client, piece);
    }
    end_of_exchange(&mut h, client)
}

fn end_of_exchange<H: Handler>(h: &mut Harness<H>, client: Client) -> Outcome {
    let (sent, state) = (h.sent(client), h.state(client));
    h.finish(client);
    let (sent_at_end, state_at_end) = (h.sent(client), h.state(client));
    Outcome { sent, state, sent_at_end, state_at_end }
}
