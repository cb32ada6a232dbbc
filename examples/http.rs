//! Serves the files of a directory over HTTP.
//!
//! `cargo run --release --example http -- some/directory --port 8080`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::{Answered, Http, LogRecord, Reply, Request, Service};
use sluicegate_reactor::fs::{Committed, CreateOptions};
use sluicegate_reactor::{Address, FileTransfer, Limits, Listen};

#[path = "common/access_log.rs"]
pub(crate) mod access_log;
mod common;
#[path = "common/independent.rs"]
mod independent;

use access_log::{AccessLog, Lines};

/// Serves the files of a directory over HTTP.
#[derive(Parser)]
struct Options {
    /// Directory to serve.
    #[arg(value_name = "DIR", default_value = ".")]
    root: PathBuf,
    #[command(flatten)]
    server: common::Server,
    /// File to serve for a directory; may be repeated, and the first one that exists is served.
    #[arg(long, value_name = "NAME", default_value = "index.html")]
    index: Vec<String>,
    /// Do not list directories.
    #[arg(long)]
    no_listing: bool,
    /// Print a line for each response, in the Combined Log Format. If standard output is read too
    /// slowly, lines are lost, and a warning says how many.
    #[arg(long)]
    access_log: bool,
    /// Copy files through a buffer instead of using sendfile.
    #[arg(long)]
    copy: bool,
    /// Limit each connection to this many bytes per second.
    #[arg(long, value_name = "BYTES")]
    rate: Option<u64>,
    /// Allow anyone to create and replace files with PUT.
    #[arg(long)]
    upload: bool,
}

/// The files, and the lines of the access log if there is one.
pub(crate) struct Site {
    pub(crate) files: Files,
    pub(crate) log: Option<Arc<Lines>>,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.files.serve(request, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        (): (),
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        self.files.saved(request, saved, reply)
    }

    fn wants_log(&self) -> bool {
        self.log.is_some()
    }

    fn on_sent(&mut self, record: &LogRecord<'_>) {
        if let Some(log) = &self.log {
            log.add(record);
        }
    }
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let listing = !options.no_listing;
        let index = options.index;
        let upload = options.upload.then(CreateOptions::default);
        let serve = FilesOptions { index, listing, upload, ..FilesOptions::default() };
        let log = options.access_log.then(AccessLog::new).transpose()?;
        let lines = log.as_ref().map(|log| Arc::clone(&log.lines));
        let files = if options.copy { FileTransfer::Copy } else { FileTransfer::Sendfile };
        let limits = Limits { files, send_rate: options.rate, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        let root = std::path::absolute(&options.root)?;
        if let Err(error) = std::fs::read_dir(&root) {
            return Err(format!("{}: {error}", root.display()).into());
        }
        let describe = |at: &Address| format!("http://{at}/ serves {}", root.display());
        independent::run(&options.server, &listen, describe, |reactor| {
            let files = Files::new(reactor, &options.root, serve.clone())?;
            Ok(reactor.register(Http::new(Site { files, log: lines.clone() })))
        })
    })
}
