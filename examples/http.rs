//! Serves the files of a directory over HTTP.
//!
//! `cargo run --release --example http -- some/directory --port 8080`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;
use std::sync::{Arc, PoisonError};

use sluicegate_protocols::access_log::AccessLog;
use sluicegate_protocols::auth::{BasicAuth, Checked, Users};
use sluicegate_protocols::files::{Changes, Files, Upload};
use sluicegate_protocols::http::{Answered, Http, LogRecord, Middleware, Reply, Request, Service};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Address, Handle, PostError, Receive, Sessions, mailbox};

pub(crate) mod common;
#[path = "common/http_options.rs"]
mod http_options;
#[path = "http/options.rs"]
mod options;
#[path = "common/web.rs"]
mod web;

use common::reload::{Apply, Read};
use options::Options;

/// The files, and the users and the access log if there are any.
pub(crate) struct Site {
    pub(crate) files: Files,
    pub(crate) auth: Option<BasicAuth>,
    pub(crate) log: Option<AccessLog>,
}

impl Middleware for Site {
    type Inner = Files;

    fn inner(&self) -> &Files {
        &self.files
    }

    fn inner_mut(&mut self) -> &mut Files {
        &mut self.files
    }

    fn call(&mut self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered<Upload> {
        if let Some(auth) = &mut self.auth {
            reply = match auth.admit(request, reply) {
                Ok(reply) => reply,
                Err(answered) => return answered,
            };
        }
        self.files.call(request, reply)
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

/// A worker has checked a password.
impl Receive<Checked> for Site {
    fn on_message(&mut self, cx: &mut Sessions<'_>, checked: Checked) {
        if let Some(auth) = &mut self.auth {
            auth.finish(cx, checked);
        }
    }
}

/// Makes the site of each thread reopen the directory, and use the new users if there are any.
#[derive(Clone)]
pub(crate) struct Reload(pub(crate) Option<Arc<Users>>);

impl Receive<Reload> for Site {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Reload(users): Reload) {
        if let Err(error) = self.files.reopen(cx) {
            log::warn!("{error}; the previous directory is kept");
        }
        if let (Some(auth), Some(users)) = (&mut self.auth, users) {
            auth.set_users(users);
        }
    }
}

/// Reloads the users and reopens the directory on SIGHUP.
fn reload(options: &Options, threads: &[Handle<Reload>]) -> Result<Apply, common::Failure> {
    options.check_directory()?;
    let (users, threads) = (options.users()?, threads.to_vec());
    Ok(Box::new(move || {
        for thread in threads {
            // A thread that has stopped has nothing to reload.
            if let Err(PostError::Full(_)) = thread.post(Reload(users.clone())) {
                log::warn!("a thread has not reloaded: too many messages are waiting for it");
            }
        }
    }))
}

pub(crate) fn main() -> ExitCode {
    common::main(|mut options: Options| {
        let scheme = web::scheme(&mut options.server);
        options.dir = std::path::absolute(&options.dir)?;
        let dir = options.dir.display().to_string();
        options.check_directory()?;
        let users = options.users()?;
        options.allow();
        let (options, workers) = (Arc::new(options), Workers::new());
        let opened = options.server.open(options.limits())?;
        let log = options.log.start()?;
        let threads = 0..options.server.threads;
        let (threads, mailboxes): (Vec<_>, Vec<_>) = threads.map(|_| mailbox()).unzip();
        let (again, changes) = (options.clone(), Changes::default());
        let mut parts: Vec<Read> = vec![Box::new(move || reload(&again, &threads))];
        let path = options.log.access_log.as_deref();
        parts.extend(log.as_ref().zip(path).map(|(log, path)| http_options::reopen(log, path)));
        *options.server.reload.lock().unwrap_or_else(PoisonError::into_inner) = parts;
        let describe = |at: &Address| format!("{scheme}://{at}{} serves {dir}", options.path());
        opened.run_with(mailboxes, describe, |shard, reloads, extra| {
            let files =
                Files::new(shard, &options.dir, options.files())?.with_changes(changes.clone());
            let (done, checked) = mailbox();
            let auth =
                users.clone().map(|users| BasicAuth::new("files", users, workers.clone(), done));
            let site = Site { files, auth, log: log.clone() };
            let (_, metrics, _) = extra;
            let http = Http::with(site, options.http_limits()).with_metrics(metrics);
            let http = shard.register(http);
            shard.attach(reloads, http);
            shard.attach(checked, http);
            Ok(http)
        })
    })
}
