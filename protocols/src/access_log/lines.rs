//! The lines that wait to be written, and the thread that writes them.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memchr::memrchr;

/// The maximum number of bytes of lines that wait to be written. Further lines are dropped.
pub(super) const MOST: usize = 8 << 20;

/// Where lines are written.
pub(super) type Out = Box<dyn Write + Send>;

/// The lines that wait to be written.
#[derive(Default)]
pub(super) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The number of bytes that the thread has taken and not written. They count towards [`MOST`].
    writing: usize,
    /// Lines dropped since the last warning.
    dropped: u64,
    /// Where further lines are to be written, if elsewhere.
    next_out: Option<Out>,
    /// No more lines are added.
    over: bool,
    /// No more lines are written.
    ended: bool,
}

/// The next action of the thread.
enum Step {
    Write,
    Switch(Out),
    /// Write what is left, once.
    End,
}

impl Lines {
    /// Adds the line that `write` writes, unless too many are waiting.
    pub(super) fn add(&self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        if state.waiting.len() + state.writing >= MOST {
            state.dropped += 1;
            return;
        }
        let wakes = state.waiting.is_empty();
        // Writing to a vector cannot fail.
        let _ = write(&mut state.waiting);
        if wakes {
            self.changed.notify_all();
        }
    }

    /// Makes the thread write to `out` from now on.
    pub(super) fn switch(&self, out: Out) {
        let mut state = self.lock();
        let unused = if state.over { Some(out) } else { state.next_out.replace(out) };
        drop(state);
        // Closing a file may take long.
        drop(unused);
        self.changed.notify_all();
    }

    /// Makes the thread end once all lines are written.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// Waits until the thread has ended, for at most `time`. Returns whether it has.
    pub(super) fn wait_for_end(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !state.ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.ended
    }

    /// Writes waiting lines in as few calls as possible, until [`end`](Lines::end) or until the
    /// reader is gone. After any other error, such as a full disk, it tries again after `pause`, so
    /// that lines stay whole.
    pub(super) fn write(&self, mut out: Out, pause: Duration, warn: impl Fn(String)) {
        let mut taken = Vec::new();
        // How much of its first line this output already has.
        let mut written = 0;
        let mut last_warning = LastWarning::default();
        loop {
            let step = match self.next(&mut taken) {
                Step::Switch(next) => {
                    out = next;
                    // The next output gets whole lines.
                    written = 0;
                    continue;
                }
                step => step,
            };
            let error = write(&mut out, &mut taken, &mut written).err();
            self.lock().writing = taken.len();
            let is_gone = error.as_ref().is_some_and(|it| it.kind() == ErrorKind::BrokenPipe)
                && self.ends_without_reader();
            let ends = is_gone || matches!(step, Step::End);
            // Not while the lines are locked: reactors would wait for the reader of the warning.
            if is_gone {
                warn("the reader is gone; no more lines are written".to_owned());
            } else {
                let left = ends.then(|| count_lines(&taken));
                self.warning(error.as_ref(), left, &mut last_warning).map(&warn);
            }
            if ends {
                self.lock().ended = true;
                self.changed.notify_all();
                return;
            }
            if error.is_some() {
                let waits = |state: &mut State| !state.over && state.next_out.is_none();
                drop(self.changed.wait_timeout_while(self.lock(), pause, waits));
            }
        }
    }

    /// Ends the log, unless further lines are to be written elsewhere. Returns whether it ends.
    fn ends_without_reader(&self) -> bool {
        let mut state = self.lock();
        let ends = state.next_out.is_none();
        state.over |= ends;
        ends
    }

    /// The warning that is due after an attempt to write, if there is one. It is always due after
    /// the last attempt, which leaves `left` lines.
    fn warning(
        &self,
        error: Option<&io::Error>,
        left: Option<u64>,
        last_warning: &mut LastWarning,
    ) -> Option<String> {
        let mut state = self.lock();
        let lost = state.dropped + left.unwrap_or(0);
        let has_reason = lost > 0 || error.is_some();
        if !has_reason || left.is_none() && !last_warning.allows_another(Instant::now()) {
            return None;
        }
        state.dropped = 0;
        let why = error.map_or("the reader is too slow".to_owned(), ToString::to_string);
        Some(format!("{why}; {lost} lines lost"))
    }

    /// Waits until there is something to do. Moves the waiting lines to `taken`.
    fn next(&self, taken: &mut Vec<u8>) -> Step {
        let mut state = self.lock();
        while state.waiting.is_empty()
            && taken.is_empty()
            && !state.over
            && state.next_out.is_none()
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(out) = state.next_out.take() {
            return Step::Switch(out);
        }
        if state.over {
            taken.append(&mut state.waiting);
            return Step::End;
        }
        if taken.is_empty() {
            mem::swap(taken, &mut state.waiting);
        }
        state.writing = taken.len();
        Step::Write
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Writes lines, of which `written` bytes were written before, and removes those that were written
/// to their end.
fn write(out: &mut impl Write, lines: &mut Vec<u8>, written: &mut usize) -> io::Result<()> {
    let result = loop {
        if *written == lines.len() {
            break out.flush();
        }
        match out.write(&lines[*written..]) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(count) => *written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let whole = memrchr(b'\n', &lines[..*written]).map_or(0, |at| at + 1);
    lines.drain(..whole);
    *written -= whole;
    result
}

/// When the last warning was logged.
#[derive(Default)]
pub(super) struct LastWarning(Option<Instant>);

impl LastWarning {
    /// Whether another warning may be logged. If so, it counts as logged.
    pub(super) fn allows_another(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|last| now.duration_since(last) >= super::PAUSE);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
