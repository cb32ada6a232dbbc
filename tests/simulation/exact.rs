//! Messages that say how long they are, each received in one piece.

use std::time::Duration;

use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Context, Handler, Input, Limits, Listen, Payload, Timeout};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:1883";
/// The longest message that is taken.
const LONGEST: usize = 200_000;
const REFUSED: &[u8] = b"too long";

/// Sends back each message with its length in front, and says how much of one the end has cut off.
struct Messages;

#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Length,
    Message,
}

impl Messages {
    /// Asks for a length, which sometimes comes as a stream, and sometimes later.
    fn expect_length(cx: &mut Context<'_>) -> Expected {
        if cx.random().is_multiple_of(8) {
            cx.pause();
            cx.set_deadline(Some(Duration::from_millis(30)));
        }
        if !cx.random().is_multiple_of(3) {
            cx.receive_exact(4).expect("little");
        }
        Expected::Length
    }

    fn expect_message(cx: &mut Context<'_>, length: &[u8]) -> Expected {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        if cx.receive_exact(length as usize).is_err() {
            cx.send(REFUSED);
            cx.close();
        }
        Expected::Message
    }
}

impl Handler for Messages {
    type Session = Expected;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Expected {
        Messages::expect_length(cx)
    }

    fn on_data(&mut self, cx: &mut Context<'_>, expected: &mut Expected, input: &mut Input<'_>) {
        assert!(*expected == Expected::Length, "a part of a message");
        if let Some(length) = input.bytes().get(..4) {
            input.consume(4);
            *expected = Messages::expect_message(cx, length);
        }
    }

    fn on_received(&mut self, cx: &mut Context<'_>, expected: &mut Expected, bytes: Payload<'_>) {
        *expected = match expected {
            Expected::Length => Messages::expect_message(cx, &bytes),
            Expected::Message => {
                cx.send(&(bytes.len() as u32).to_be_bytes());
                cx.send(bytes);
                Messages::expect_length(cx)
            }
        };
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, _: &mut Expected) {
        cx.send(format!("{} left", cx.unread()));
        cx.close();
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, _: &mut Expected, which: Timeout) {
        match which {
            Timeout::Own => cx.resume(),
            Timeout::Idle => cx.close(),
            Timeout::WriteStall => cx.abort(),
        }
    }
}

/// Random messages, maybe with one at the end that is cut off or too long: what a client says, and
/// what it has to hear.
fn dialogue(sim: &mut Sim) -> (Vec<u8>, Vec<u8>) {
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..sim.below(20) {
        let most = [1, 10, 100, 3000, 100_000][sim.below(5)];
        let message = noise(sim.below(most));
        for bytes in [&mut said, &mut heard] {
            bytes.extend((message.len() as u32).to_be_bytes());
            bytes.extend(&message);
        }
    }
    match sim.below(4) {
        0 => {
            let arrived = sim.below(50_000);
            said.extend(((arrived + 1 + sim.below(100_000)) as u32).to_be_bytes());
            said.extend(noise(arrived));
            heard.extend(format!("{arrived} left").bytes());
        }
        1 => {
            said.extend((LONGEST as u32 + 1).to_be_bytes());
            heard.extend(REFUSED);
        }
        _ => heard.extend(b"0 left"),
    }
    (said, heard)
}

#[test]
pub(crate) fn each_message_comes_in_one_piece_and_is_answered_once() {
    Simulation::new().run(|sim| {
        let receive_direct = [10, 1000, 64 << 10][sim.below(3)];
        let receive_low_water = [0, 10, 1000, 32 << 10][sim.below(4)];
        let max_exact = LONGEST;
        let limits = Limits { receive_direct, receive_low_water, max_exact, ..Limits::default() };
        sim.reactor(|reactor| {
            let messages = reactor.register(Watched::new(Messages));
            let listen = Listen { limits, ..Listen::default() };
            reactor.listen(ADDRESS, &listen, messages).expect("the address is free");
        });
        for _ in 0..1 + sim.below(5) {
            let (said, heard) = dialogue(sim);
            let client = sim.client(ADDRESS).sends(said).expects(&heard);
            match sim.below(4) {
                0 => client.awaits(heard.len() / 2).resets(),
                _ => client.finishes(),
            };
        }
    });
}
