//! Examples under strace: what they ask of the kernel, and what it answers if strace is told to
//! lie.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::{TempDir, tempdir};

use crate::process::{Server, eventually, has, path_of, run, skip};

/// A traced example.
pub(crate) struct Traced {
    pub(crate) server: Server,
    trace: PathBuf,
    _dir: TempDir,
}

impl Traced {
    /// Starts an example under strace, unless there is none or it is forbidden here.
    pub(crate) fn start(options: &[&str], name: &str, arguments: &[&str]) -> Option<Traced> {
        let may = has("strace")
            && (run(Command::new("strace").args(["-o", "/dev/null", "true"])).code == Some(0)
                || skip("strace must not trace"));
        if !may {
            return None;
        }
        let dir = tempdir().expect("a new directory");
        let trace = dir.path().join("trace");
        let mut strace = Command::new("strace");
        // With -D the example is our child, and strace its.
        strace.args(["-D", "-f", "-s", "100", "-o"]).arg(&trace).args(options).arg(path_of(name));
        // Built with AddressSanitizer, it would look for leaks at its end as a tracer of its own.
        strace.env("ASAN_OPTIONS", "detect_leaks=0");
        let server = Server::start(strace.args(arguments));
        Some(Traced { server, trace, _dir: dir })
    }

    /// What was traced so far. The last line may be cut.
    pub(crate) fn trace(&self) -> String {
        fs::read_to_string(&self.trace).expect("a trace of characters")
    }

    /// Ends the example, which must succeed; all that was traced. Clients should have closed
    /// before: for each that has not, it waits.
    pub(crate) fn end(mut self) -> String {
        self.server.signal("TERM");
        self.ended()
    }

    /// The same if it ends by itself.
    pub(crate) fn ended(&mut self) -> String {
        assert_eq!(self.server.wait(), Some(0));
        eventually("the end of the trace", || {
            let trace = self.trace();
            trace.ends_with("+++ exited with 0 +++\n").then_some(trace)
        })
    }
}
