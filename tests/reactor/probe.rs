//! The handler of these tests: it notes what it is called for and does what the test says.

use std::fmt;

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Limits, Listen, Payload, Reason, Timeout, Turn,
};

/// What a probe is called for.
pub(crate) enum Call<'a, 'i> {
    Open,
    Ready,
    Data(&'a mut Input<'i>),
    Received(Payload<'i>),
    Relayed(u64),
    Drain,
    Eof,
    Timeout(Timeout),
    Stop,
}

impl Call<'_, '_> {
    /// What a handler does that does nothing of its own: input is dropped.
    pub(crate) fn by_default(self, cx: &mut Context<'_>) {
        match self {
            Call::Open | Call::Ready | Call::Received(_) | Call::Drain => {}
            Call::Data(input) => {
                input.take();
            }
            Call::Timeout(Timeout::WriteStall) => cx.abort(),
            Call::Relayed(0) => {}
            Call::Relayed(_) | Call::Eof | Call::Timeout(_) | Call::Stop => cx.close(),
        }
    }
}

/// Few bytes are shown, of many their number.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0..=32 => self.0.escape_ascii().fmt(f),
            len => write!(f, "of {len}"),
        }
    }
}

/// What a probe has seen.
#[derive(Default)]
pub(crate) struct Notes {
    /// One line a call: the number of the connection, the callback, what came with it.
    pub(crate) log: Vec<String>,
    /// The connections by number.
    pub(crate) ids: Vec<ConnId>,
    /// The number of the one it is called for.
    pub(crate) current: usize,
}

impl Notes {
    pub(crate) fn add(&mut self, what: impl fmt::Display) {
        self.log.push(format!("{} {what}", self.current));
    }

    /// Takes the log.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

type Act = dyn FnMut(&mut Context<'_>, Call<'_, '_>, &mut Notes);
type OnClose = dyn FnMut(&mut Turn, ConnId, &mut Notes);

pub(crate) struct Probe {
    pub(crate) notes: Notes,
    act: Box<Act>,
    on_close: Box<OnClose>,
}

impl Probe {
    pub(crate) fn new(
        act: impl FnMut(&mut Context<'_>, Call<'_, '_>, &mut Notes) + 'static,
    ) -> Probe {
        Probe { notes: Notes::default(), act: Box::new(act), on_close: Box::new(|_, _, _| {}) }
    }

    /// Sends back what it receives.
    pub(crate) fn echo() -> Probe {
        Probe::new(|cx, call, _| match call {
            Call::Data(input) => {
                cx.send(input.take());
            }
            call => call.by_default(cx),
        })
    }

    pub(crate) fn on_close(
        mut self,
        act: impl FnMut(&mut Turn, ConnId, &mut Notes) + 'static,
    ) -> Probe {
        self.on_close = Box::new(act);
        self
    }

    fn call(&mut self, cx: &mut Context<'_>, number: usize, call: Call<'_, '_>) {
        self.notes.current = number;
        match &call {
            Call::Open => self.notes.add("open"),
            Call::Ready => self.notes.add("ready"),
            Call::Data(input) => self.notes.add(format_args!("data {}", Shown(input))),
            Call::Received(bytes) => self.notes.add(format_args!("received {}", Shown(bytes))),
            Call::Relayed(left) => self.notes.add(format_args!("relayed, {left} left")),
            Call::Drain => self.notes.add("drain"),
            Call::Eof => self.notes.add("eof"),
            Call::Timeout(which) => self.notes.add(format_args!("timeout {which:?}")),
            Call::Stop => self.notes.add("stop"),
        }
        (self.act)(cx, call, &mut self.notes);
    }
}

impl Handler for Probe {
    type Session = usize;

    fn on_open(&mut self, cx: &mut Context<'_>) -> usize {
        self.notes.ids.push(cx.id());
        let number = self.notes.ids.len() - 1;
        self.call(cx, number, Call::Open);
        number
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        self.call(cx, *number, Call::Ready);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, number: &mut usize, input: &mut Input<'_>) {
        self.call(cx, *number, Call::Data(input));
    }

    fn on_received(&mut self, cx: &mut Context<'_>, number: &mut usize, bytes: Payload<'_>) {
        self.call(cx, *number, Call::Received(bytes));
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, number: &mut usize, left: u64) {
        self.call(cx, *number, Call::Relayed(left));
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        self.call(cx, *number, Call::Drain);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        self.call(cx, *number, Call::Eof);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, number: &mut usize, which: Timeout) {
        self.call(cx, *number, Call::Timeout(which));
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, number: &mut usize) {
        self.call(cx, *number, Call::Stop);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, number: usize, why: Reason) {
        self.notes.current = number;
        self.notes.add(format_args!("close {why:?}"));
        (self.on_close)(cx, id, &mut self.notes);
    }
}

/// A harness of a probe with limits that differ from the defaults.
pub(crate) fn with_limits(probe: Probe, limits: Limits) -> Harness<Probe> {
    Harness::with(probe, &Listen { limits, ..Listen::default() })
}

/// What the probe has noted since the last time.
pub(crate) fn log(h: &mut Harness<Probe>) -> Vec<String> {
    h.handler().notes.take()
}

/// `len` bytes that tell where they belong.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}
