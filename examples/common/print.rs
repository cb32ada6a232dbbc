//! Printing, which must keep no server from starting or ending, and no reactor from its
//! connections: standard output may be a pipe that nobody reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long to wait for a reader of standard output.
const READER: Duration = Duration::from_secs(1);

/// The maximum number of texts that wait to be printed. Further ones are lost.
const MOST: usize = 64;

/// Text to print, and where to say that it was printed.
type Text = (String, Sender<io::Result<()>>);

/// The texts that wait, if there is a thread that prints. The thread ends when there are none:
/// system calls on descriptors are slower while a process has a second thread.
static WAITING: Mutex<Option<VecDeque<Text>>> = Mutex::new(None);

/// Prints lines, and waits for that for at most a second.
pub(super) fn print(lines: String) -> io::Result<()> {
    let printed = match start(lines) {
        Ok(printed) => printed,
        Err(error) => {
            log::warn!("cannot start the thread that prints: {error}");
            return Ok(());
        }
    };
    printed.recv_timeout(READER).unwrap_or_else(|_| {
        log::warn!("nobody reads standard output: its lines wait, and may be lost");
        Ok(())
    })
}

/// Has a thread print lines, however long it waits for a reader. The receiver gets the result, or
/// is disconnected if the lines are lost. A process can end while the thread waits.
pub(crate) fn start(lines: String) -> io::Result<Receiver<io::Result<()>>> {
    let (done, printed) = channel();
    let first = (lines, done);
    let mut waiting = waiting();
    match &mut *waiting {
        Some(texts) if texts.len() >= MOST => {}
        Some(texts) => texts.push_back(first),
        None => {
            thread::Builder::new().name("print".into()).spawn(|| print_all(first))?;
            *waiting = Some(VecDeque::new());
        }
    }
    Ok(printed)
}

fn print_all(mut text: Text) {
    loop {
        let (lines, done) = text;
        // Nobody may wait for that any more.
        let _ = done.send(io::stdout().write_all(lines.as_bytes()));
        let mut waiting = waiting();
        match waiting.as_mut().and_then(VecDeque::pop_front) {
            Some(next) => text = next,
            None => return *waiting = None,
        }
    }
}

fn waiting() -> MutexGuard<'static, Option<VecDeque<Text>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
