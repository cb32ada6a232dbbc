//! The addresses of a name.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

use super::errors::is_shortage;

/// Asks the system for the addresses of a name, and waits for the answer: `getaddrinfo(3)` may take
/// seconds. `NotFound` if the name has none, `QuotaExceeded` if this process or machine has run out
/// of something, so that the name was not looked up.
pub(crate) fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = (name, port).to_socket_addrs().map(Iterator::collect);
    found.map_err(|error| io::Error::new(kind_of(&error), error))
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        // The text cannot be a name.
        ErrorKind::InvalidInput => ErrorKind::InvalidInput,
        _ if is_shortage(error) => ErrorKind::QuotaExceeded,
        kind if error.raw_os_error().is_some() => kind,
        // `std` has no kinds for the errors of `getaddrinfo(3)`.
        _ => ErrorKind::NotFound,
    }
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
    fn a_shortage_says_nothing_about_the_name() {
        let of = |errno| kind_of(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::EMFILE), ErrorKind::QuotaExceeded);
        assert_eq!(of(libc::ENOMEM), ErrorKind::QuotaExceeded);
        assert_eq!(of(libc::EACCES), ErrorKind::PermissionDenied);
        assert_eq!(kind_of(&io::Error::other("unknown name")), ErrorKind::NotFound);
    }

    #[test]
    fn what_cannot_be_a_name_is_an_error() {
        assert_eq!(look_up("a\0b", 80).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
