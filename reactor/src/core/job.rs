//! Work that may block, on its way to another thread.

use std::io;

use super::Core;
use crate::sys::Kernel;

/// Work for another thread, or the error that there is none. It returns what is to be done in the
/// reactor's thread afterwards.
pub(crate) type Job = Box<dyn FnOnce(io::Result<&Kernel>) -> Then + Send>;

/// What is to be done in the reactor's thread when a job is done.
pub(crate) type Then = Box<dyn FnOnce(&mut Core) + Send>;
