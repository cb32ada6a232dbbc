//! Access logs, written by a separate thread.
//!
//! A service passes each [`LogRecord`] to [`AccessLog::add`], which formats a line and queues it. A
//! thread writes the queued lines, as many as possible in one call, so reactors never wait for the
//! disk or for the reader of a pipe.
//!
//! ```
//! use std::fs::File;
//!
//! use sluicegate_protocols::access_log::{AccessLog, LogFormat};
//! use sluicegate_protocols::http::{Answered, LogRecord, Reply, Request, Service};
//!
//! struct Hello {
//!     log: AccessLog,
//! }
//!
//! impl Service for Hello {
//!     type State = ();
//!
//!     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         reply.send("Hello, World!")
//!     }
//!
//!     fn wants_log(&self) -> bool {
//!         true
//!     }
//!
//!     fn on_sent(&mut self, record: &LogRecord<'_>) {
//!         self.log.add(record);
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! # let directory = std::env::temp_dir();
//! # let path = directory.join(format!("sluicegate-{}.log", std::process::id()));
//! let file = File::options().append(true).create(true).open(&path)?;
//! let log = AccessLog::start(LogFormat::Combined, file)?;
//! let hello = Hello { log: log.clone() };
//! # drop((hello, log));
//! # std::fs::remove_file(path)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rotation
//!
//! Rename the file, open another one with the same name, and call [`switch`](AccessLog::switch): all
//! further lines are written there. Every line is whole in exactly one of the two files. For
//! logrotate, do this when the process gets SIGHUP, as `examples/http.rs` does.
//!
//! # Failures
//!
//! Failures are reported with `log::warn!`, at most once per second, and do not stop the server:
//!
//! | problem | consequence |
//! |---|---|
//! | the disk or the reader is too slow | up to 8 MiB of lines wait; further ones are dropped and counted |
//! | a write fails, as on a full disk or at the file size limit of the process | it is retried every second; lines wait in the meantime |
//! | the reader of a pipe is gone | logging ends |
//!
//! When the last [`AccessLog`] is dropped, the waiting lines are written, for at most one second.
//!
//! # JSON
//!
//! With [`LogFormat::Json`] each line is a JSON object (RFC 8259) in ASCII:
//!
//! ```json
//! {"time":"2000-10-10T20:55:36Z","client":"127.0.0.1","user":null,"request":"GET / HTTP/1.1","status":200,"sent":5,"referer":null,"user_agent":"curl/8.0"}
//! ```
//!
//! | field | content |
//! |---|---|
//! | `time` | when the request was answered, or its client left without an answer, in UTC |
//! | `client` | the IP address of the client; `null` on a Unix socket |
//! | `user` | the user name in the request's Basic credentials, or `null` |
//! | `request` | the request line as it was received |
//! | `status` | the status of the response |
//! | `sent` | bytes of the response body that the kernel has accepted |
//! | `referer` | the request's `Referer`, or `null` |
//! | `user_agent` | the request's `User-Agent`, or `null` |
//!
//! Bytes from the client that are not printable ASCII are escaped, each as the code point with the
//! same number: byte 0xFF is `\u00ff`. The encoding of such bytes is not known, and this loses no
//! information.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sluicegate_reactor::block_io_signals;

use crate::http::LogRecord;

mod json;
mod lines;
#[cfg(test)]
mod tests;

use lines::Lines;

/// The time between two warnings, and between two attempts to write after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a log that is dropped waits for its last lines to be written.
const LAST: Duration = Duration::from_secs(1);

/// The format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The Combined Log Format of Apache and nginx: the `Display` of a [`LogRecord`].
    #[default]
    Combined,
    /// A [JSON object](self#json).
    Json,
}

/// An access log. Clones write to the same log. See the [module](self).
#[derive(Clone)]
pub struct AccessLog {
    format: LogFormat,
    lines: Arc<Owner>,
}

/// The state that all clones share. The thread has a reference to the lines only.
struct Owner(Arc<Lines>);

impl AccessLog {
    /// Starts the thread that writes the log to `out`, such as a file opened for appending.
    ///
    /// # Errors
    /// The error of starting the thread.
    pub fn start(format: LogFormat, out: impl Write + Send + 'static) -> io::Result<AccessLog> {
        let lines = Arc::new(Lines::default());
        let waiting = Arc::clone(&lines);
        // This thread also logs the warnings: their reader may be as slow as that of the lines.
        let write = move || {
            // A file that may not become any larger is an error like a full disk.
            block_io_signals();
            waiting.write(Box::new(out), PAUSE, |text| log::warn!("access log: {text}"));
        };
        thread::Builder::new().name("access log".into()).spawn(write)?;
        Ok(AccessLog { format, lines: Arc::new(Owner(lines)) })
    }

    /// Adds a line. Never waits for the disk: if too many lines are already waiting, this one is
    /// dropped and counted.
    pub fn add(&self, record: &LogRecord<'_>) {
        self.lines.0.add(|out| match self.format {
            LogFormat::Combined => writeln!(out, "{record}"),
            LogFormat::Json => writeln!(out, "{}", json::Json(record)),
        });
    }

    /// Makes the thread write to `out` instead: lines that are still waiting, and all later ones.
    /// It has no effect if logging has ended because the reader of a pipe is gone.
    ///
    /// This takes a lock, so it must not be called in a signal handler.
    pub fn switch(&self, out: impl Write + Send + 'static) {
        self.lines.0.switch(Box::new(out));
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.end();
        // The thread cannot be stopped while it waits for a reader that does not read.
        if !self.0.wait_for_end(LAST) {
            log::warn!("access log: the reader is stalled; the last lines are lost");
        }
    }
}
