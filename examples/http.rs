//! Serves the files of a directory over HTTP.
//!
//! `cargo run --release --example http -- some/directory --port 8080`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::io;
use std::process::ExitCode;

use sluicegate_protocols::access_log::AccessLog;
use sluicegate_protocols::files::Files;
use sluicegate_protocols::http::{Answered, Http, LogRecord, Reply, Request, Service};
use sluicegate_reactor::fs::Committed;
use sluicegate_reactor::{Address, Handle, Receive, Sessions, mailbox};

pub(crate) mod common;
#[path = "common/hangup.rs"]
mod hangup;
#[path = "http/options.rs"]
mod options;

use hangup::Hangups;
use options::Options;

/// The files, and the access log if there is one.
pub(crate) struct Site {
    pub(crate) files: Files,
    pub(crate) log: Option<AccessLog>,
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

/// Tells the site of each thread to read again what may have changed.
#[derive(Clone)]
pub(crate) struct Reload;

impl Receive<Reload> for Site {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Reload) {
        if let Err(error) = self.files.reopen(cx) {
            log::warn!("{error}; serving the previous directory");
        }
    }
}

/// What SIGHUP does.
fn reload(log: Option<&AccessLog>, threads: &[Handle<Reload>]) {
    if let Some(log) = log {
        log.reopen();
    }
    for thread in threads {
        // If its mailbox is full, it has yet to handle the previous ones.
        let _ = thread.post(Reload);
    }
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let root = std::path::absolute(&options.dir)?;
        if let Err(error) = std::fs::read_dir(&root) {
            let root = root.display();
            return Err(format!("{root}: {error}; DIR must be a directory you can read").into());
        }
        let log = options.access_log()?;
        let (threads, mailboxes): (Vec<_>, Vec<_>) =
            (0..options.server.threads).map(|_| mailbox()).unzip();
        // The first thread handles the signals.
        let hangups = std::iter::once(Hangups::register()?).map(Some);
        let parts = mailboxes.into_iter().zip(hangups.chain(std::iter::repeat_with(|| None)));
        let describe = |at: &Address| format!("http://{at}/ serves {}", root.display());
        let limits = options.limits();
        options.server.run_with(parts.collect(), limits, describe, |shard, (mailbox, hangups)| {
            let files = Files::new(shard, &root, options.files())?;
            let site = Site { files, log: log.clone() };
            let http = shard.register(Http::with(site, options.http_limits()));
            shard.attach(mailbox, http);
            if let Some(hangups) = hangups {
                let (log, threads) = (log.clone(), threads.clone());
                hangups.handle(shard, move || reload(log.as_ref(), &threads))?;
            }
            Ok(http)
        })
    })
}
