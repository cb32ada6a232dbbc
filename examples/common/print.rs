//! Printing, which must keep no server from starting or ending, and no reactor from its
//! connections: standard output may be a pipe that nobody reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
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
    let (printed, thread) = match start(lines) {
        Ok(started) => started,
        Err(error) => {
            log::warn!("cannot start the thread that prints: {error}");
            return Ok(());
        }
    };
    let Ok(result) = printed.recv_timeout(READER) else {
        log::warn!("nobody reads standard output: its lines wait, and may be lost");
        return Ok(());
    };
    if waiting().is_none() {
        // The thread has nothing left to print. If it panicked, that was reported.
        let _ = thread.map(JoinHandle::join);
    }
    result
}

/// The receiver of the result, which is disconnected if the lines are lost, and the thread if this
/// has started it.
type Started = (Receiver<io::Result<()>>, Option<JoinHandle<()>>);

/// Has a thread print lines, however long it waits for a reader. A process can end while the thread
/// waits.
pub(crate) fn start(lines: String) -> io::Result<Started> {
    let (done, printed) = channel();
    let first = (lines, done);
    let mut waiting = waiting();
    let mut thread = None;
    match &mut *waiting {
        Some(texts) if texts.len() >= MOST => {}
        Some(texts) => texts.push_back(first),
        None => {
            let builder = thread::Builder::new().name("print".into());
            thread = Some(builder.spawn(|| print_all(first))?);
            *waiting = Some(VecDeque::new());
        }
    }
    Ok((printed, thread))
}

fn print_all(mut text: Text) {
    loop {
        let (lines, done) = text;
        let result = io::stdout().write_all(lines.as_bytes());
        let mut waiting = waiting();
        let next = waiting.as_mut().and_then(VecDeque::pop_front);
        if next.is_none() {
            *waiting = None;
        }
        drop(waiting);
        // Nobody may wait for that any more.
        let _ = done.send(result);
        match next {
            Some(next) => text = next,
            None => return,
        }
    }
}

fn waiting() -> MutexGuard<'static, Option<VecDeque<Text>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
