//! Reloading the configuration on SIGHUP: all of it, or nothing if a part is invalid.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::Mutex;

use super::Failure;

/// Reads a part of the configuration, and checks it.
pub(crate) type Read = Box<dyn FnMut() -> Result<Apply, Failure> + Send>;

/// Applies what was read.
pub(crate) type Apply = Box<dyn FnOnce()>;

/// The parts of the configuration that are reloaded, in this order, until one is invalid. A log
/// comes last, because opening it may create it.
pub(crate) type Reload = Mutex<Vec<Read>>;

/// Reads all parts, and then applies them.
pub(super) fn reload(parts: &mut [Read]) {
    let read: Result<Vec<_>, _> = parts.iter_mut().map(|read| read()).collect();
    match read {
        Ok(all) => {
            all.into_iter().for_each(|apply| apply());
            log::info!("the configuration was reloaded");
        }
        Err(Failure(text)) => log::error!("{text}; the configuration is unchanged"),
    }
}

/// The maximum size of a file of the configuration.
const MOST: u64 = 1 << 20;

/// Refuses what would block a thread that serves, or take its memory: a mistake in the name of a
/// file of the configuration.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let wrong = |text| Err(io::Error::new(ErrorKind::InvalidInput, text));
    match path.metadata()? {
        // Opening a FIFO would wait for a writer.
        file if !file.is_file() => wrong("not a regular file"),
        file if file.len() > MOST => wrong("larger than 1 MiB"),
        _ => Ok(()),
    }
}

/// Reads a file of the configuration.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    check(path)?;
    io::read_to_string(File::open(path)?.take(MOST))
}

/// The lines of a text and their numbers, without comments and empty lines.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    (1..).zip(lines).filter(|(_, line)| !line.is_empty())
}
