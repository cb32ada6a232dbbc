//! Reloading the configuration on SIGHUP: all of it, or nothing if a part is invalid.

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
