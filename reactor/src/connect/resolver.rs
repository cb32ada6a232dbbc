//! The addresses of names. Workers look them up, since `getaddrinfo(3)` may take seconds.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

use crate::connect::target::in_order;
use crate::core::Core;
use crate::handler::ConnId;
use crate::sys::Kernel;
use crate::threads::jobs::Then;
use crate::threads::workers::Kind;

impl Core {
    /// Looks up the name that a connection is to be made to. The answer comes in a later turn.
    ///
    /// # Errors
    /// `QuotaExceeded` if the lookup was refused: too many wait, or no thread can be started.
    pub(crate) fn look_up(&mut self, id: ConnId, name: String, port: u16) -> io::Result<()> {
        let reply = self.jobs.reply();
        match &self.kernel {
            Kernel::Os => {
                let look_up = move |name: String| answer(id, addresses(&name, port));
                let submitted = self.jobs.workers.submit(Kind::Lookup, name, look_up, &reply);
                submitted.map_err(|refused| {
                    io::Error::new(ErrorKind::QuotaExceeded, refused.to_string())
                })
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                world.look_up(&name, port, move |found| {
                    // The reactor may have stopped by then.
                    let _ = reply.post(answer(id, found));
                });
                Ok(())
            }
        }
    }
}

/// Gives an answer to the connection that it is for, if that is still being made.
fn answer(id: ConnId, found: io::Result<Vec<SocketAddr>>) -> Then {
    Box::new(move |core| {
        if core.find(id).is_some() {
            core.resolved(id.index, found.map(in_order));
        }
    })
}

/// Asks the system, and blocks until it answers.
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
