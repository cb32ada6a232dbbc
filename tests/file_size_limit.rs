//! An access log at the file size limit of the process does not end it by `SIGXFSZ`.

#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::fs::{self, File};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate_protocols::access_log::{AccessLog, LogFormat};
use sluicegate_protocols::http::{LogRecord, Status};

const LIMIT: u64 = 1000;

/// Many lines, in another thread than the one that blocks the signal for itself.
#[test]
fn a_log_as_large_as_the_process_may_write_is_an_error_and_not_its_end() {
    let directory = tempfile::tempdir().expect("a new directory");
    let path = directory.path().join("log");
    let log = AccessLog::start(LogFormat::Json, File::create(&path).expect("a file"));
    let log = log.expect("a thread");
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), ..before }).expect("a lower limit");
    for number in 0..100 {
        log.add(&LogRecord {
            peer: None,
            user: None,
            time: number,
            request_line: b"GET / HTTP/1.1",
            status: Status::OK,
            body_sent: 0,
            referer: None,
            user_agent: None,
        });
    }
    // This waits for the last attempt to write.
    drop(log);
    setrlimit(Resource::Fsize, before).expect("the limit of before");
    assert_eq!(fs::metadata(&path).expect("a file").len(), LIMIT);
}
