//! Looks up the addresses of names on other threads, since `getaddrinfo(3)` may take seconds.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::core::{ConnId, in_order};
use crate::sys::{Address, Kernel, look_up};
use crate::threads::handle::Handle;
use crate::threads::workers::{Kind, Workers};

/// The result of looking up the name for a connection.
pub(crate) struct Answer {
    pub(crate) id: ConnId,
    result: io::Result<Vec<SocketAddr>>,
}

impl Answer {
    /// The addresses, in the order in which to try them.
    pub(crate) fn addresses(self) -> io::Result<Vec<Address>> {
        self.result.map(in_order)
    }
}

/// Looks names up for one reactor.
pub(crate) struct Resolver {
    reply: Handle<Answer>,
    pub(crate) workers: Workers,
}

impl Resolver {
    /// A resolver whose answers go to `reply`.
    pub(crate) fn new(reply: Handle<Answer>, workers: Workers) -> Resolver {
        Resolver { reply, workers }
    }

    /// Looks up the name of a target for a connection. The answer comes as a message.
    ///
    /// # Errors
    /// `QuotaExceeded` if the lookup was refused: too many are waiting, or no thread can be
    /// started.
    pub(crate) fn look_up(
        &self,
        kernel: &Kernel,
        id: ConnId,
        name: &str,
        port: u16,
    ) -> io::Result<()> {
        match kernel {
            Kernel::Os => {
                let ask = move |name: String| Answer { id, result: look_up(&name, port) };
                let name = name.to_owned();
                let submitted = self.workers.submit(Kind::Lookup, name, ask, &self.reply);
                submitted.map_err(|refused| {
                    io::Error::new(ErrorKind::QuotaExceeded, refused.to_string())
                })
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let reply = self.reply.clone();
                world.look_up(name, port, move |result| {
                    // The reactor may have stopped meanwhile.
                    let _ = reply.post(Answer { id, result });
                });
                Ok(())
            }
        }
    }
}
