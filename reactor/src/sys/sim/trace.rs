//! The events in a world, in a readable form.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};

use super::{Event, Machine, World};

/// Most lines kept.
const LINES: usize = 200;
/// The maximum number of bytes shown of the data that a call has moved.
const SHOWN: usize = 24;

/// Lines like those of `strace(1)`: when, who, what, and `<- fault` for faults of the dice.
#[derive(Default)]
pub(super) struct Trace {
    mode: Mode,
    who: String,
    fault: bool,
    lines: VecDeque<String>,
}

/// Where the lines go.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// Nowhere.
    #[default]
    Off,
    /// The last lines are kept.
    Kept,
    /// The last lines are kept, and all lines are written to standard error.
    Live,
}

impl Trace {
    /// Marks the call being made as faulty.
    pub(super) fn mark(&mut self) {
        self.fault = true;
    }
}

impl World {
    pub(crate) fn set_trace(&self, mode: Mode) {
        self.0.borrow_mut().trace.mode = mode;
    }

    /// The last lines, one after the other.
    pub(crate) fn last_lines(&self) -> String {
        self.0.borrow().trace.lines.iter().map(String::as_str).collect()
    }

    /// Sets who acts from now on.
    pub(crate) fn set_actor(&self, who: impl fmt::Display) {
        let state = &mut *self.0.borrow_mut();
        if state.trace.mode != Mode::Off {
            state.trace.who = who.to_string();
        }
    }

    /// Notes an event.
    pub(crate) fn note(&self, what: impl fmt::Display) {
        self.0.borrow_mut().note(what);
    }
}

impl Machine {
    pub(super) fn note(&mut self, what: impl fmt::Display) {
        let fault = std::mem::take(&mut self.trace.fault);
        let trace = &mut self.trace;
        if trace.mode == Mode::Off {
            return;
        }
        let (seconds, micros) = (self.elapsed / 1_000_000_000, self.elapsed / 1000 % 1_000_000);
        let fault = if fault { "   <- fault" } else { "" };
        let line = format!("{seconds:>4}.{micros:06}  {:<10} {what}{fault}\n", trace.who);
        if trace.mode == Mode::Live {
            // Not captured by a test. An error is ignored, since nobody may be reading.
            let _ = io::stderr().write_all(line.as_bytes());
        }
        if trace.lines.len() == LINES {
            trace.lines.pop_front();
        }
        trace.lines.push_back(line);
    }
}

impl Machine {
    /// Notes the events that a wait returns, by descriptor.
    pub(super) fn note_events(&mut self, events: &[Event]) {
        if self.trace.mode == Mode::Off || events.is_empty() {
            return;
        }
        let one = |event: &Event| match self.table.registered_as(event.token) {
            Some(fd) => format!("{fd} {:?}", event.ready),
            None => format!("closed {:?}", event.ready),
        };
        let all = events.iter().map(one).collect::<Vec<_>>().join(", ");
        self.note(format_args!("wait = {all}"));
    }
}

/// The beginning of some bytes, in quotes.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.0[..self.0.len().min(SHOWN)];
        let more = if self.0.len() > SHOWN { "..." } else { "" };
        write!(f, "\"{}\"{more}", start.escape_ascii())
    }
}

/// The result of a call, as `strace(1)` would show it.
pub(crate) struct Said<'a, T>(pub(crate) &'a io::Result<T>);

impl<T: fmt::Display> fmt::Display for Said<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(value) => value.fmt(f),
            Err(error) => match (name(error), error.raw_os_error()) {
                (Some(name), _) => f.write_str(name),
                (None, Some(errno)) => write!(f, "errno {errno}"),
                (None, None) => error.fmt(f),
            },
        }
    }
}

fn name(error: &io::Error) -> Option<&'static str> {
    let name = match error.raw_os_error() {
        Some(libc::EINTR) => "EINTR",
        Some(libc::ENOBUFS) => "ENOBUFS",
        Some(libc::EMFILE) => "EMFILE",
        Some(libc::ENFILE) => "ENFILE",
        Some(libc::ENOENT) => "ENOENT",
        Some(libc::EPIPE) => "EPIPE",
        Some(libc::ECONNRESET) => "ECONNRESET",
        Some(libc::ECONNABORTED) => "ECONNABORTED",
        Some(libc::ECONNREFUSED) => "ECONNREFUSED",
        Some(libc::ENOTCONN) => "ENOTCONN",
        Some(libc::ETIMEDOUT) => "ETIMEDOUT",
        _ if error.kind() == io::ErrorKind::WouldBlock => "EAGAIN",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_keeps_its_last_lines_and_marks_faults() {
        let world = World::new(1);
        world.note("nobody listens");
        world.set_trace(Mode::Kept);
        world.set_actor("client 1");
        for number in 0..=LINES {
            world.note(number);
        }
        world.0.borrow_mut().trace.mark();
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        world.note(format_args!("connect {} {}", Said(&Err::<u8, _>(refused)), Shown(&[10; 30])));
        let lines = world.last_lines();
        assert_eq!(lines.lines().count(), LINES);
        assert_eq!(lines.lines().next(), Some("   0.000000  client 1   2"));
        let last = lines.lines().last().expect("a line");
        let shown = "\\n".repeat(SHOWN);
        assert_eq!(
            last,
            format!("   0.000000  client 1   connect ECONNREFUSED \"{shown}\"...   <- fault")
        );
    }
}
