//! What the service does: with a reply, and with what it holds.

use std::cell::Cell;

use sluicegate_protocols::http::{Answered, Deferred, Postponed, Reply, ResponseStream, Status};
use sluicegate_reactor::{Sent, Turn};

use super::{Upload, Whims};
use crate::{noise, noise_from};

/// Random numbers for callbacks that have no `Turn`. A xorshift generator.
pub(super) struct Dice(Cell<u64>);

impl Dice {
    pub(super) fn new(seed: usize) -> Dice {
        Dice(Cell::new(seed as u64 | 1))
    }

    pub(super) fn below(&self, limit: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        (x >> 11) as usize % limit
    }

    pub(super) fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What the service owes to a client, and the number of its request.
pub(super) enum Held {
    Deferred(Deferred, usize),
    Postponed(Postponed, usize),
    Stream(Streaming),
}

pub(super) struct Streaming {
    stream: ResponseStream,
    number: usize,
    sent: usize,
    /// What is left of a stated length.
    left: Option<usize>,
}

/// Adds the number of the request, by which its client knows the response.
pub(super) fn numbered<'a, 'b>(reply: Reply<'a, 'b>, number: usize) -> Reply<'a, 'b> {
    reply.header("X-Number", number.to_string())
}

impl Whims {
    fn len(&self) -> usize {
        [0, 1, 13, 700, 5000, 70_000][self.dice.below(6)]
    }

    /// Answers now or later.
    pub(super) fn respond<V>(&mut self, number: usize, reply: Reply<'_, '_>) -> Answered<V> {
        let hints = [("Link", "</a>")];
        let mut reply = match self.dice.below(8) {
            0 => numbered(reply.interim(Status::EARLY_HINTS, &hints), number),
            _ => numbered(reply, number),
        };
        if self.dice.one_in(12) {
            reply = reply.close();
        }
        self.seen.borrow_mut().owed.remove(&reply.connection());
        let len = self.len();
        match self.dice.below(if self.is_calm { 3 } else { 7 }) {
            0 => reply.send(noise(len)),
            1 => reply.status(Status::NO_CONTENT).send(""),
            2 => reply.send_all(vec![noise(len / 2).into(), noise_from(len / 2, len / 2).into()]),
            3 => reply.defer(|deferred, cx| self.hold(cx, Held::Deferred(deferred, number))),
            4 => reply.stream_sized(len as u64, |stream, cx| {
                let left = Some(len);
                self.hold(cx, Held::Stream(Streaming { stream, number, sent: 0, left }));
            }),
            5 => reply.header("Trailer", "Checksum").stream(|stream, cx| {
                self.hold(cx, Held::Stream(Streaming { stream, number, sent: 0, left: None }));
            }),
            _ => reply.stream(|stream, cx| {
                self.hold(cx, Held::Stream(Streaming { stream, number, sent: 0, left: None }));
            }),
        }
    }

    pub(super) fn postpone(&mut self, number: usize, reply: Reply<'_, '_>) -> Answered<Upload> {
        reply.postpone(|postponed, cx| self.hold(cx, Held::Postponed(postponed, number)))
    }

    pub(super) fn defer_with_body(
        &mut self,
        number: usize,
        upload: Upload,
        reply: Reply<'_, '_>,
    ) -> Answered<Upload> {
        reply.defer_with_body(|deferred, cx| {
            self.hold(cx, Held::Deferred(deferred, number));
            (upload, None)
        })
    }

    /// Uses, drops or keeps what it has just got.
    fn hold(&mut self, cx: &mut Turn, held: Held) {
        let owed = match &held {
            Held::Deferred(deferred, _) => Some(deferred.connection()),
            Held::Stream(streaming) => Some(streaming.stream.connection()),
            Held::Postponed(..) => None,
        };
        self.seen.borrow_mut().owed.extend(owed);
        match self.dice.below(15) {
            0..4 => self.advance(cx, held),
            4 => drop(held),
            _ => self.held.push(held),
        }
        self.act(cx);
    }

    /// Does something, or nothing: with something that it holds, or with any connection.
    pub(super) fn act(&mut self, cx: &mut Turn) {
        if self.is_calm {
            return;
        }
        if self.dice.one_in(6) && !self.connections.is_empty() {
            let at = self.dice.below(self.connections.len());
            let mut peer = cx.peer(self.connections[at]);
            if self.dice.one_in(2) { peer.pause() } else { peer.resume() }
        }
        if !self.held.is_empty() && self.dice.one_in(2) {
            let held = self.held.swap_remove(self.dice.below(self.held.len()));
            if !self.dice.one_in(25) {
                self.advance(cx, held);
            }
        }
    }

    fn advance(&mut self, cx: &mut Turn, held: Held) {
        match held {
            Held::Deferred(deferred, number) => {
                if self.dice.one_in(6) {
                    deferred.interim(cx, Status::EARLY_HINTS, &[("Link", "</b>")]);
                }
                deferred.answer(cx, |reply| self.respond(number, reply));
            }
            Held::Postponed(postponed, number) if self.dice.one_in(3) => {
                postponed.answer(cx, |reply| self.respond(number, reply));
            }
            Held::Postponed(postponed, number) => {
                self.seen.borrow_mut().again.insert(number);
                postponed.deliver(cx);
            }
            Held::Stream(mut streaming) => {
                for _ in 0..self.dice.below(4) {
                    let len = streaming.left.unwrap_or(usize::MAX).min(self.len());
                    streaming.send(cx, len);
                }
                if streaming.left.unwrap_or(0) == 0 && self.dice.one_in(2) {
                    self.finish(cx, streaming);
                } else {
                    self.held.push(Held::Stream(streaming));
                }
            }
        }
    }

    fn finish(&mut self, cx: &mut Turn, Streaming { stream, number, sent, .. }: Streaming) {
        let mut seen = self.seen.borrow_mut();
        seen.streamed.insert(number, sent);
        seen.owed.remove(&stream.connection());
        drop(seen);
        stream.finish_with(cx, if self.dice.one_in(2) { &[] } else { &[("Checksum", "7")] });
    }

    /// Ends everything that it has begun, and acts no more.
    pub(super) fn settle(&mut self, cx: &mut Turn) {
        self.is_calm = true;
        while let Some(held) = self.held.pop() {
            match held {
                Held::Stream(mut streaming) => {
                    streaming.send(cx, streaming.left.unwrap_or(0));
                    self.finish(cx, streaming);
                }
                held => self.advance(cx, held),
            }
        }
        for id in std::mem::take(&mut self.connections) {
            cx.peer(id).resume();
        }
    }
}

impl Streaming {
    fn send(&mut self, cx: &mut Turn, len: usize) -> Sent {
        let part = noise_from(self.sent, len);
        self.sent += len;
        self.left = self.left.map(|left| left - len);
        self.stream.send(cx, part)
    }
}
