//! An access log that a separate thread prints: reactors make no system call for it and never wait
//! for its reader, and lines stay whole.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most bytes of lines that wait to be printed. Further lines are lost.
pub(crate) const MOST: usize = 8 << 20;

/// Least time between two warnings, and between two attempts to write after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the last lines to be written.
const LAST: Duration = Duration::from_secs(1);

/// The lines that wait to be printed.
#[derive(Default)]
pub(crate) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines lost since the last warning.
    lost: u64,
    /// No more lines are added.
    over: bool,
}

impl Lines {
    /// Adds a line, unless too many are waiting.
    pub(crate) fn add(&self, line: impl Display) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        if state.waiting.len() >= MOST {
            state.lost += 1;
            return;
        }
        let wakes = state.waiting.is_empty();
        // Writing to a vector cannot fail.
        let _ = writeln!(state.waiting, "{line}");
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Makes [`write_to`](Lines::write_to) return.
    pub(crate) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_one();
    }

    /// Writes waiting lines in as few calls as possible, until [`end`](Lines::end) or until the
    /// reader is gone. After any other error, such as a full disk, it tries again after a pause, so
    /// that lines stay whole.
    pub(crate) fn write_to(&self, mut out: impl Write, pause: Duration, warn: impl Fn(String)) {
        let mut taken = Vec::new();
        let mut warnings = Warnings::default();
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() && taken.is_empty() && !state.over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if taken.is_empty() {
                mem::swap(&mut taken, &mut state.waiting);
            }
            drop(state);
            let error = write(&mut out, &mut taken).err();
            let mut state = self.lock();
            if error.as_ref().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
                state.over = true;
                return warn(
                    "access log: the reader is gone; no more lines are written".to_owned(),
                );
            }
            let ends = state.over && (error.is_some() || state.waiting.is_empty());
            if ends {
                let left = taken.iter().chain(&state.waiting);
                state.lost += left.filter(|byte| **byte == b'\n').count() as u64;
            }
            let lost = state.lost;
            if (lost > 0 || error.is_some()) && (ends || warnings.are_due(Instant::now())) {
                state.lost = 0;
                let why =
                    error.as_ref().map_or("the reader is too slow".into(), ToString::to_string);
                warn(format!("access log: {why}; {lost} lines lost"));
            }
            if ends {
                return;
            }
            if error.is_some() {
                drop(self.changed.wait_timeout_while(state, pause, |state| !state.over));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes bytes and removes those that were written.
fn write(out: &mut impl Write, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    let result = loop {
        if written == bytes.len() {
            break Ok(());
        }
        match out.write(&bytes[written..]) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    bytes.drain(..written);
    result
}

/// When the last warning was logged.
#[derive(Default)]
pub(crate) struct Warnings(Option<Instant>);

impl Warnings {
    /// Whether another warning may be logged. If so, it counts as logged.
    pub(crate) fn are_due(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// An access log on standard output.
pub(crate) struct AccessLog {
    pub(crate) lines: Arc<Lines>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl AccessLog {
    /// # Errors
    /// If standard output cannot be duplicated or the thread cannot be started.
    pub(crate) fn new() -> io::Result<AccessLog> {
        let lines = Arc::new(Lines::default());
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let waiting = Arc::clone(&lines);
        // This thread also logs the warnings: their reader may be as slow as that of the lines.
        let (end, ended) = mpsc::channel();
        let write = move || {
            waiting.write_to(out, PAUSE, |text| log::warn!("{text}"));
            drop::<mpsc::Sender<()>>(end);
        };
        thread::Builder::new().name("access log".into()).spawn(write)?;
        Ok(AccessLog { lines, ended })
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines.end();
        // The thread cannot be stopped while it waits for a reader that does not read.
        if self.ended.recv_timeout(LAST) == Err(RecvTimeoutError::Timeout) {
            log::warn!("access log: the reader is stalled; the last lines are lost");
        }
    }
}
