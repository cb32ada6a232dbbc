//! Serves the files of a directory over HTTP.
//!
//! `cargo run --release --example http -- some/directory --port 8080`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use clap::Parser;
use sluicegate_protocols::http::files::{Files, FilesOptions};
use sluicegate_protocols::http::{Answered, Http, Record, Reply, Request, Service};
use sluicegate_reactor::fs::{Committed, CreateOptions};
use sluicegate_reactor::{Address, FileTransfer, Limits, Listen};

#[path = "common/apart.rs"]
mod apart;
mod common;

/// Serves the files of a directory over HTTP.
#[derive(Parser)]
struct Options {
    /// The directory.
    #[arg(value_name = "DIR", default_value = ".")]
    root: PathBuf,
    #[command(flatten)]
    server: common::Server,
    /// File to serve for its directory; may be given several times, the first that exists is taken.
    #[arg(long, value_name = "NAME", default_value = "index.html")]
    index: Vec<String>,
    /// Do not list directories.
    #[arg(long)]
    no_listing: bool,
    /// Print a line for each answer, in the Combined format.
    #[arg(long)]
    access_log: bool,
    /// Move files through a buffer instead of sendfile.
    #[arg(long)]
    copy: bool,
    /// Most bytes a second that each connection gets.
    #[arg(long, value_name = "BYTES")]
    rate: Option<u64>,
    /// Let anybody make and replace files, with PUT.
    #[arg(long)]
    upload: bool,
}

/// The files, and where lines of the access log go.
pub(crate) struct Site {
    pub(crate) files: Files,
    pub(crate) log: Option<SyncSender<String>>,
}

impl Service for Site {
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.files.serve(request, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        self.files.saved(request, saved, reply)
    }

    fn wants_log(&self) -> bool {
        self.log.is_some()
    }

    fn on_sent(&mut self, record: &Record<'_>) {
        if let Some(log) = &self.log {
            // Its reader may have gone.
            let _ = log.send(record.to_string());
        }
    }
}

/// Prints lines from a thread of its own, so that the reactors make no system call for them, and
/// lines stay whole.
struct AccessLog {
    lines: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Most lines that wait to be printed. With more, the server waits for its reader.
    const WAITING: usize = 4096;

    fn new() -> AccessLog {
        let (lines, waiting) = sync_channel(AccessLog::WAITING);
        let writer = thread::spawn(move || {
            // The reader may have gone; the server goes on without a log.
            let _ = write_lines(&waiting);
        });
        AccessLog { lines: Some(lines), writer: Some(writer) }
    }

    /// Where one reactor sends its lines.
    fn lines(&self) -> SyncSender<String> {
        self.lines.clone().expect("open until it is dropped")
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes what waits in as few calls as possible, and then waits.
fn write_lines(waiting: &Receiver<String>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout());
    while let Ok(line) = waiting.recv() {
        writeln!(out, "{line}")?;
        for line in waiting.try_iter() {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    Ok(())
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let listing = !options.no_listing;
        let index = options.index;
        let upload = options.upload.then(CreateOptions::default);
        let serve = FilesOptions { index, listing, upload, ..FilesOptions::default() };
        let log = options.access_log.then(AccessLog::new);
        let files = if options.copy { FileTransfer::Copy } else { FileTransfer::Sendfile };
        let limits = Limits { files, send_rate: options.rate, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        let root = std::path::absolute(&options.root)?;
        if let Err(error) = std::fs::read_dir(&root) {
            return Err(format!("{}: {error}", root.display()).into());
        }
        let describe = |at: &Address| format!("http://{at}/ serves {}", root.display());
        apart::run(&options.server, &listen, describe, |reactor| {
            let files = Files::new(reactor.fs(), &options.root, serve.clone())?;
            let log = log.as_ref().map(AccessLog::lines);
            Ok(reactor.register(Http::new(Site { files, log })))
        })
    })
}
