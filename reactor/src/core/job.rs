//! Work that may block, on its way to another thread.

use std::io;

use super::Core;
use crate::sys::Kernel;

/// Work for another thread. It receives an error if no thread could be started, and returns what
/// the reactor's thread does afterwards.
pub(crate) type Job = Box<dyn FnOnce(io::Result<&Kernel>) -> Then + Send>;

/// What the reactor's thread does after a job.
pub(crate) type Then = Box<dyn FnOnce(&mut Core) + Send>;
