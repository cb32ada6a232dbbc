//! A proxy that passes each message of a client on as a part, and answers when the target is lost.

use std::collections::HashSet;

use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Turn};

/// An answer has this length.
const ANSWER: usize = 8;
/// The answer to a message whose target was lost.
pub(crate) const LOST: [u8; ANSWER] = *b"no reply";

/// A message as it is sent: its length in four bytes, and itself.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

/// The answer to a message: its hash (FNV-1a).
pub(crate) fn answer(message: &[u8]) -> [u8; ANSWER] {
    hash(FIRST, message).to_be_bytes()
}

const FIRST: u64 = 0xcbf2_9ce4_8422_2325;

fn hash(so_far: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(so_far, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The target: answers each message.
pub(crate) struct Target {
    /// Aborts about one in so many connections within a message.
    pub(crate) fails: Option<u64>,
}

/// Before a message it is `None`; within one it is what is left of it, and the hash so far.
type Within = Option<(usize, u64)>;

impl Handler for Target {
    type Session = Within;

    fn on_open(&mut self, _: &mut Context<'_>) -> Within {
        None
    }

    fn on_data(&mut self, cx: &mut Context<'_>, within: &mut Within, input: &mut Input<'_>) {
        while cx.wants_input() {
            if within.is_none() {
                let Some(length) = input.bytes().first_chunk::<4>() else { return };
                *within = Some((u32::from_be_bytes(*length) as usize, FIRST));
                input.consume(4);
                if self.fails.is_some_and(|fails| cx.random().is_multiple_of(fails)) {
                    return cx.abort();
                }
            }
            let Some((left, so_far)) = within else { return };
            let count = input.len().min(*left);
            *so_far = hash(*so_far, &input[..count]);
            *left -= count;
            input.consume(count);
            if *left > 0 {
                return;
            }
            cx.send(&so_far.to_be_bytes());
            *within = None;
        }
    }
}

pub(crate) struct Proxy {
    /// Connects for the client of this id.
    pub(crate) connect: Box<dyn Fn(&mut Context<'_>) -> ConnId>,
    /// The targets that were given a whole message and have not answered it.
    waiting: HashSet<ConnId>,
}

pub(crate) enum End {
    /// A client, with its target once it has one.
    Client(Option<ConnId>),
    /// A target, with its client.
    Target(ConnId),
}

impl Proxy {
    pub(crate) fn new(connect: Box<dyn Fn(&mut Context<'_>) -> ConnId>) -> Proxy {
        Proxy { connect, waiting: HashSet::new() }
    }

    /// Passes the answer of a target on, if it owes one.
    fn answer(&mut self, cx: &mut Turn, target: ConnId, client: ConnId, answer: &[u8; ANSWER]) {
        if self.waiting.remove(&target) {
            cx.peer(client).send(&answer[..]);
            cx.peer(client).resume();
        }
    }
}

impl Handler for Proxy {
    type Session = End;

    fn on_open(&mut self, _: &mut Context<'_>) -> End {
        End::Client(None)
    }

    fn on_data(&mut self, cx: &mut Context<'_>, end: &mut End, input: &mut Input<'_>) {
        match end {
            End::Client(target) => {
                let Some(length) = input.bytes().first_chunk::<4>() else { return };
                input.consume(4);
                let open = target.filter(|target| cx.peer(*target).is_open());
                let to = open.unwrap_or_else(|| (self.connect)(cx));
                *target = Some(to);
                cx.peer(to).send(&length[..]);
                if *length == [0; 4] {
                    // The target may answer before `on_relayed` would be called.
                    cx.pause();
                    self.waiting.insert(to);
                } else {
                    cx.relay_part(to, u32::from_be_bytes(*length).into());
                }
            }
            End::Target(client) => {
                let Some(answer) = input.bytes().first_chunk::<ANSWER>() else { return };
                input.consume(ANSWER);
                let target = cx.id();
                self.answer(cx, target, *client, answer);
            }
        }
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, end: &mut End, left: u64) {
        let End::Client(target) = end else { unreachable!("answers are not relayed") };
        match target.filter(|target| left == 0 && cx.peer(*target).is_open()) {
            Some(target) => {
                cx.pause();
                self.waiting.insert(target);
            }
            None => {
                cx.discard(left);
                cx.send(&LOST[..]);
            }
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, end: End, _: Reason) {
        match end {
            End::Client(Some(target)) => cx.peer(target).close(),
            End::Client(None) => {}
            End::Target(client) => self.answer(cx, id, client, &LOST),
        }
    }
}
