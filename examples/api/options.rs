//! The options of the server.

use std::path::PathBuf;

use clap::Parser;
use sluicegate_reactor::Target;

use super::common;

const EXAMPLES: &str = "\
Examples, for `api --uploads /tmp --origin example.org:80`:
  curl -H 'Content-Type: application/json' -d '[1]' localhost:8080/echo
  curl 'localhost:8080/search?q=words'    the query, decoded
  curl localhost:8080/slow                a sum that a worker computes
  curl -N localhost:8080/events           an event per second
  curl -T FILE localhost:8080/upload/NAME stored as /tmp/NAME
  curl localhost:8080/upstream            the first page of the origin";

/// An HTTP API to try with curl.
#[derive(Parser)]
#[command(name = "api", version, after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) server: common::Server,
    /// Directory for uploads, which clients may replace. By default there are none.
    #[arg(long, value_name = "DIR")]
    pub(super) uploads: Option<PathBuf>,
    /// Server whose first page is the response to /upstream: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    pub(super) origin: Option<Target>,
}

impl Options {
    /// Allows a confined process what these options need.
    pub(super) fn allow(&mut self) {
        let sandbox = &mut self.server.privileges.allowed;
        if let Some(uploads) = &self.uploads {
            sandbox.write(uploads);
        }
        if self.origin.is_some() {
            sandbox.connect();
        }
    }
}
