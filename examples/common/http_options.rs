//! Options of the examples that speak HTTP.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rustix::fs::{OFlags, fcntl_setfl};
use sluicegate_protocols::access_log::{AccessLog, LogFormat};
use sluicegate_protocols::sandbox::Sandbox;

use super::common::reload::Read;

/// Parses a header field.
pub(crate) fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("a header field has the form NAME:VALUE")?;
    Ok((name.trim_end().to_owned(), value.trim().to_owned()))
}

#[derive(Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct Log {
    /// Append one line per response to this file; `-` is standard output. If more than 8 MiB of
    /// lines wait to be written, further lines are dropped, and a warning states how many.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// Format of these lines.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Combined)]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The Combined Log Format of Apache and nginx.
    Combined,
    /// One JSON object per line.
    Json,
}

impl Log {
    /// Allows writing the access log.
    pub(crate) fn allow(&self, sandbox: &mut Sandbox) {
        if let Some(path) = self.access_log.as_deref().filter(|path| *path != Path::new("-")) {
            sandbox.append(path);
        }
    }

    /// Starts the access log, if there is one. Its thread is confined if the process is.
    pub(crate) fn start(&self) -> io::Result<Option<AccessLog>> {
        let format = match self.log_format {
            Format::Combined => LogFormat::Combined,
            Format::Json => LogFormat::Json,
        };
        let start = |path: &PathBuf| AccessLog::start(format, open(path)?);
        self.access_log.as_ref().map(start).transpose()
    }
}

/// Reopens the access log on SIGHUP.
pub(crate) fn reopen(log: &AccessLog, path: &Path) -> Read {
    let (log, path) = (log.clone(), path.to_owned());
    Box::new(move || {
        let (log, file) = (log.clone(), open(&path)?);
        Ok(Box::new(move || log.switch(file)))
    })
}

/// Opens a log file, or standard output if the path is `-`. A FIFO that nobody reads is an error:
/// otherwise this thread, which serves, would wait for a reader.
fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    let mut options = File::options();
    options.append(true).create(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let file = options.open(path).and_then(|file| {
        // The thread that writes the log waits for its reader.
        fcntl_setfl(&file, OFlags::APPEND)?;
        Ok(file)
    });
    file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
