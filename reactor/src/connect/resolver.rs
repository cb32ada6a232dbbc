//! Looks up the addresses of names on worker threads, since `getaddrinfo(3)` may take seconds.

use std::io::{self, ErrorKind};

use super::attempt::resolved;
use crate::core::{Core, Then};
use crate::sys::{Kernel, look_up};
use crate::threads::handle::Handle;
use crate::threads::workers::{Found, Workers};

/// Looks up the names for all connections that wait for it. Each answer is posted to `reply`. A
/// lookup that the workers refuse fails with `QuotaExceeded`.
pub(crate) fn submit(core: &mut Core, workers: &Workers, reply: &Handle<Then>) {
    for (id, name) in std::mem::take(&mut core.lookups) {
        if core.find(id).is_none() {
            continue;
        }
        let answer = move |found: &Found| -> Then {
            let found = match found {
                Ok(addresses) => Ok(addresses.clone()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            Box::new(move |core| resolved(core, id, found))
        };
        match &core.kernel {
            Kernel::Os => {
                if let Err(error) = workers.look_up(name, |name| look_up(name, 0), answer, reply) {
                    resolved(core, id, Err(io::Error::new(ErrorKind::QuotaExceeded, error)));
                }
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let reply = reply.clone();
                // The reactor may have stopped by then.
                world.look_up(&name, move |found| drop(reply.post(answer(&found))));
            }
        }
    }
}
