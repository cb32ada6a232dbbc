//! The addresses of a name.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

/// Asks the system for the addresses of a name, and waits for the answer: `getaddrinfo(3)` may take
/// seconds. `NotFound` if the name has none.
pub(crate) fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (name, port).to_socket_addrs().map(Iterator::collect).map_err(|error| {
        let kind = match error.kind() {
            // The text cannot be a name.
            ErrorKind::InvalidInput => ErrorKind::InvalidInput,
            kind if error.raw_os_error().is_some() => kind,
            // `std` has no kinds for the errors of `getaddrinfo(3)`.
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
        let found = look_up("localhost", 80).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(!found.is_empty());
    }

    #[test]
    fn what_cannot_be_a_name_is_an_error() {
        assert_eq!(look_up("a\0b", 80).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
