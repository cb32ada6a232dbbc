//! The addresses of names: looked up by other threads, since `getaddrinfo(3)` may take seconds.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

use super::target::in_order;
use crate::core::ConnId;
use crate::sys::{Address, Kernel};
use crate::threads::handle::Handle;
use crate::threads::workers::{Kind, Workers};

/// What became of the name that a connection is to be made to.
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
    /// One whose answers go to `reply`.
    pub(crate) fn new(reply: Handle<Answer>, workers: Workers) -> Resolver {
        Resolver { reply, workers }
    }

    /// Looks up the name that a connection is to be made to. The answer comes as a message.
    ///
    /// # Errors
    /// `QuotaExceeded` if the lookup was refused: too many wait, or no thread can be started.
    pub(crate) fn look_up(
        &self,
        kernel: &Kernel,
        id: ConnId,
        name: &str,
        port: u16,
    ) -> io::Result<()> {
        match kernel {
            Kernel::Os => {
                let look_up = move |name: String| Answer { id, result: addresses(&name, port) };
                let name = name.to_owned();
                let submitted = self.workers.submit(Kind::Lookup, name, look_up, &self.reply);
                submitted.map_err(|refused| {
                    io::Error::new(ErrorKind::QuotaExceeded, refused.to_string())
                })
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let reply = self.reply.clone();
                world.look_up(name, port, move |result| {
                    // The reactor may have stopped by then.
                    let _ = reply.post(Answer { id, result });
                });
                Ok(())
            }
        }
    }
}

/// Asks the system, and waits.
fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (name, port).to_socket_addrs().map(Iterator::collect).map_err(|error| {
        let kind = match error.kind() {
            // A name that cannot be one.
            ErrorKind::InvalidInput => ErrorKind::InvalidInput,
            kind if error.raw_os_error().is_some() => kind,
            // What getaddrinfo(3) says has no kind of its own in `std`.
            _ => ErrorKind::NotFound,
        };
        io::Error::new(kind, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_the_names_of_this_machine() {
        let found = addresses("localhost", 80).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(!found.is_empty());
    }

    #[test]
    fn what_cannot_be_a_name_is_an_error() {
        assert_eq!(addresses("a\0b", 80).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
