//! The addresses of names: looked up by other threads, since `getaddrinfo(3)` may take seconds.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::core::Core;
use crate::core::target::in_order;
use crate::handler::ConnId;
use crate::sys::{Kernel, look_up};
use crate::threads::handle::Handle;
use crate::threads::workers::{RunError, Workers};

/// What became of the name that a connection is to be made to.
pub(crate) struct Answer {
    id: ConnId,
    result: io::Result<Vec<SocketAddr>>,
}

/// Looks names up for one reactor.
pub(crate) struct Resolver {
    reply: Handle<Answer>,
    /// Without threads until there is a name.
    workers: Workers,
}

impl Resolver {
    /// One whose answers go here.
    pub(crate) fn new(reply: Handle<Answer>) -> Resolver {
        Resolver { reply, workers: Workers::new() }
    }

    /// Looks a name up for a connection. The answer comes as a message, unless it is an error here:
    /// no thread, or too much to do for those there are.
    pub(crate) fn look_up(
        &self,
        kernel: &Kernel,
        id: ConnId,
        name: &str,
        port: u16,
    ) -> io::Result<()> {
        match kernel {
            Kernel::Os => {
                let name = name.to_owned();
                let job = move || Answer { id, result: look_up(&name, port) };
                self.workers.run(job, &self.reply).map_err(|error| match error {
                    RunError::NoThread(_, error) => error,
                    full @ RunError::Full(_) => {
                        io::Error::new(ErrorKind::QuotaExceeded, full.to_string())
                    }
                })
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let reply = self.reply.clone();
                world.look_up(name, port, move |result| {
                    // It may have stopped meanwhile.
                    let _ = reply.post(Answer { id, result });
                });
                Ok(())
            }
        }
    }
}

impl Core {
    /// Takes an answer, for which the connection may not have waited.
    pub(crate) fn take_answer(&mut self, Answer { id, result }: Answer) {
        if self.find(id).is_some() {
            let found = result.map(in_order);
            self.resolved(id.index, found);
        }
    }
}
