//! Targets: addresses and names to connect to or to listen on.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::sys::{Address, invalid};

/// The target of a connect or a listener: an [`Address`], or a host name and a port.
///
/// Text is parsed as an [`Address`], or else as `name:port`. A host that is an IP address needs no
/// lookup.
///
/// ```
/// use sluicegate_reactor::Target;
/// use std::net::SocketAddr;
///
/// let by_name: Target = "db.example:5432".parse()?;
/// assert_eq!(by_name, Target::from(("db.example", 5432)));
/// let literal = Target::from(("::1", 5432));
/// assert_eq!(literal, "[::1]:5432".parse::<SocketAddr>()?.into());
/// let unix: Target = "unix:/run/db.sock".parse()?;
/// assert_eq!(unix.to_string(), "unix:/run/db.sock");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address.
    Address(Address),
    /// A host name, which is resolved, and a port.
    Name(Box<str>, u16),
}

impl Target {
    /// Converts a [`Target`], an address or text into a target.
    ///
    /// ```
    /// use std::io;
    ///
    /// use sluicegate_reactor::Target;
    ///
    /// assert_eq!(Target::of("db.example:5432")?, Target::from(("db.example", 5432)));
    /// let error = Target::of("db.example").unwrap_err();
    /// assert_eq!(error.to_string(), "db.example: a port is missing; write host:port");
    /// # Ok::<(), io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The error of the conversion, with its kind, or `InvalidInput` if it has none. For text, the
    /// message contains the text.
    pub fn of(
        named: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
    ) -> io::Result<Target> {
        named.try_into().map_err(|error| match error.into().downcast() {
            Ok(error) => *error,
            Err(error) => invalid(error),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Address(address) => write!(f, "{address}"),
            Target::Name(name, port) => write!(f, "{}:{port}", name.escape_debug()),
        }
    }
}

// Otherwise the error for unparsed text names `Address`, which the call does not mention.
#[diagnostic::do_not_recommend]
impl<A: Into<Address>> From<A> for Target {
    fn from(address: A) -> Target {
        Target::Address(address.into())
    }
}

impl From<&Address> for Target {
    fn from(address: &Address) -> Target {
        Target::Address(address.clone())
    }
}

impl From<&Target> for Target {
    fn from(target: &Target) -> Target {
        target.clone()
    }
}

impl From<(IpAddr, u16)> for Target {
    fn from((ip, port): (IpAddr, u16)) -> Target {
        SocketAddr::new(ip, port).into()
    }
}

impl From<(&str, u16)> for Target {
    fn from((host, port): (&str, u16)) -> Target {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return (ip, port).into();
        }
        match Address::with_zone(host, port) {
            Some(Ok(address)) => address.into(),
            // The lookup reports a zone that does not exist.
            _ => Target::Name(host.into(), port),
        }
    }
}

impl FromStr for Target {
    type Err = io::Error;

    /// # Errors
    /// `ErrorKind::InvalidInput` if the text is not a target, `ErrorKind::NotFound` if there is no
    /// network interface with the name of its zone, and the errors of [`Address::from_path`] and
    /// [`Address::from_abstract_name`]. The message contains the text.
    fn from_str(text: &str) -> io::Result<Target> {
        if let Some(address) = Address::parse(text) {
            return address.map(Target::from);
        }
        let invalid = |what| invalid(format!("{}: {what}", text.escape_debug()));
        if text.contains("://") {
            return Err(invalid("a target is written host:port, not as a URL"));
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| invalid("a port is missing; write host:port"))?;
        let port = port.parse().map_err(|_| invalid("the port is not a number up to 65535"))?;
        match host {
            "" => Err(invalid("a host is missing")),
            _ if host.contains(':') => Err(invalid("IPv6 addresses are written [address]:port")),
            _ => Ok((host, port).into()),
        }
    }
}

impl TryFrom<&str> for Target {
    type Error = io::Error;
    fn try_from(text: &str) -> io::Result<Target> {
        text.parse()
    }
}

impl TryFrom<&String> for Target {
    type Error = io::Error;
    fn try_from(text: &String) -> io::Result<Target> {
        text.parse()
    }
}

impl TryFrom<String> for Target {
    type Error = io::Error;
    fn try_from(text: String) -> io::Result<Target> {
        text.parse()
    }
}

/// Most addresses that are tried for one name.
const MOST_ADDRESSES: usize = 16;

/// Sorts the addresses of a name into the order in which to try them (RFC 8305, section 4). The
/// families alternate, beginning with that of the first address, and each keeps the resolver's
/// order.
pub(crate) fn in_order(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<Address> {
    let mut addresses = addresses.into_iter().peekable();
    let is_v6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) = addresses.partition(|it| it.is_ipv6() == is_v6);
    let (mut first, mut other) = (first.into_iter(), other.into_iter());
    let pairs = iter::from_fn(|| match (first.next(), other.next()) {
        (None, None) => None,
        (one, other) => Some(one.into_iter().chain(other)),
    });
    pairs.flatten().map(Address::Ip).take(MOST_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_an_address_or_a_name_and_is_shown_as_it_was() {
        for text in [
            "127.0.0.1:1",
            "[::1]:65535",
            "[fe80::1%3]:80",
            "name:80",
            "a.b-c.example:0",
            "unix:/a b",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!(Target::from(("fe80::1%3", 80)), "[fe80::1%3]:80".parse().unwrap());
        assert_eq!("name:80".parse::<Target>().unwrap(), Target::Name("name".into(), 80));
    }

    #[test]
    fn text_that_is_no_target_says_why() {
        for (text, why) in [
            ("", "a port is missing"),
            ("name", "a port is missing"),
            (":80", "a host is missing"),
            ("name:", "not a number"),
            ("name:65536", "not a number"),
            ("name:-1", "not a number"),
            ("::1:80", "written [address]:port"),
            ("[::1:80", "written [address]:port"),
            ("fe80::1%3:80", "written [address]:port"),
            ("unix:", "is empty"),
            ("http://name:80", "not as a URL"),
            ("http://127.0.0.1:80/", "not as a URL"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn families_take_turns_and_keep_their_order() {
        for (given, expected) in [
            ("", ""),
            ("4", "4"),
            ("abc4", "a4bc"),
            ("123a", "1a23"),
            ("12ab", "1a2b"),
            ("ab1234", "a1b234"),
            ("aaaaaaaaaaaaaaaaaaaaaaaa1", "a1aaaaaaaaaaaaaa"),
        ] {
            let address = |name: char| match name.to_digit(10) {
                Some(digit) => SocketAddr::from(([10, 0, 0, digit as u8], 80)),
                None => SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, name as u16], 80)),
            };
            let ordered = in_order(given.chars().map(address));
            let expected: Vec<_> = expected.chars().map(|name| address(name).into()).collect();
            assert_eq!(ordered, expected, "{given}");
        }
    }
}
