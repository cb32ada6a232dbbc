//! The networks that a proxy may connect from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use sluicegate_reactor::Address;

/// A network of proxies: IP addresses with a common prefix, or all clients of Unix sockets.
///
/// It is written `10.0.0.0/8`, `2001:db8::/32`, `127.0.0.1` or `unix`. Text whose address has bits
/// beyond the prefix, as in `10.0.0.1/8`, is rejected, because it may be a mistake. An IPv4-mapped
/// IPv6 address, as reported by a dual-stack socket, is treated as the IPv4 address.
///
/// ```
/// use sluicegate_protocols::proxy_protocol::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains(&"10.1.2.3:56324".parse()?));
/// assert!(network.contains(&"[::ffff:10.1.2.3]:56324".parse()?));
/// assert!(!network.contains(&"11.1.2.3:56324".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The first `prefix` bits of `first`, followed by zeros.
    Ip {
        first: IpAddr,
        prefix: u8,
    },
    Unix,
}

impl Network {
    /// All clients of Unix sockets. The permissions of the socket's file determine who can connect.
    pub const UNIX: Network = Network(Kind::Unix);

    /// The addresses that begin with the first `prefix` bits of `ip`. The bits that follow are
    /// ignored. `None` if `ip` has fewer bits than that.
    #[must_use]
    pub fn new(ip: IpAddr, prefix: u8) -> Option<Network> {
        let longest = bits(ip).1;
        let (ip, prefix) = match (ip.to_canonical(), prefix.checked_sub(96)) {
            (ip, _) if ip.is_ipv4() == (longest == 32) => (ip, prefix),
            (ip, Some(prefix)) => (ip, prefix),
            // All mapped addresses, and others.
            (_, None) => (ip, prefix),
        };
        let first = (prefix <= bits(ip).1).then(|| masked(ip, prefix))?;
        Some(Network(Kind::Ip { first, prefix }))
    }

    /// Whether an address belongs to the network.
    #[must_use]
    pub fn contains(&self, address: &Address) -> bool {
        match (self.0, address) {
            (Kind::Unix, address) => address.is_unix(),
            (Kind::Ip { first, prefix }, Address::Ip(address)) => {
                let ip = address.ip().to_canonical();
                ip.is_ipv4() == first.is_ipv4() && masked(ip, prefix) == first
            }
            (Kind::Ip { .. }, Address::Unix(_)) => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Ip { first, prefix } => write!(f, "{first}/{prefix}"),
            Kind::Unix => f.write_str("unix"),
        }
    }
}

/// An address as a number, and how many bits it has.
fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (ip.to_bits().into(), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

/// An address with zeros behind the prefix.
fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    let (number, longest) = bits(ip);
    let mask = u128::MAX.checked_shl(u32::from(longest - prefix)).unwrap_or(0);
    match ip {
        IpAddr::V4(_) => IpAddr::V4(((number & mask) as u32).into()),
        IpAddr::V6(_) => IpAddr::V6((number & mask).into()),
    }
}

/// Text that is not a [`Network`], and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    text: Box<str>,
    /// The network that has the address of the text, if that is not the first one of its network.
    meant: Option<Network>,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not a network: ", self.text.escape_debug())?;
        match self.meant {
            Some(network) => write!(f, "the address has bits beyond the prefix; write {network}"),
            None => f.write_str("an IP address, address/bits as in 10.0.0.0/8, or unix"),
        }
    }
}

impl std::error::Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let error = |meant| NetworkError { text: text.into(), meant };
        let parse = || {
            if text == "unix" {
                return Some((Network::UNIX, true));
            }
            let (ip, prefix): (IpAddr, u8) = match text.split_once('/') {
                Some((ip, prefix)) => (ip.parse().ok()?, prefix.parse().ok()?),
                None => {
                    let ip = text.parse().ok()?;
                    (ip, bits(ip).1)
                }
            };
            let network = Network::new(ip, prefix)?;
            Some((network, masked(ip, prefix) == ip))
        };
        match parse() {
            Some((network, true)) => Ok(network),
            Some((network, false)) => Err(error(Some(network))),
            None => Err(error(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, ip: &str) -> bool {
        let address = Address::from(std::net::SocketAddr::new(ip.parse().unwrap(), 1));
        network.parse::<Network>().unwrap().contains(&address)
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        for (network, ip, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.0/31", "10.1.2.1", true),
            ("10.1.2.0/31", "10.1.2.2", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::/64", "1.2.3.4", false),
            ("::1", "::1", true),
            ("::1/128", "::2", false),
        ] {
            assert_eq!(contains(network, ip), is_in, "{network} {ip}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4_addresses() {
        for (network, ip, is_in) in [
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:11.1.2.3", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::/0", "::ffff:10.1.2.3", false),
        ] {
            assert_eq!(contains(network, ip), is_in, "{network} {ip}");
        }
    }

    #[test]
    fn unix_sockets_are_a_network() {
        let unix = Address::from_path("/run/a").unwrap();
        assert_eq!("unix".parse(), Ok(Network::UNIX));
        assert!(Network::UNIX.contains(&unix));
        assert!(!Network::UNIX.contains(&"127.0.0.1:1".parse().unwrap()));
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().contains(&unix));
    }

    #[test]
    fn an_address_with_bits_beyond_its_prefix_is_an_error_that_names_its_network() {
        for (text, network) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            let why = "not a network: the address has bits beyond the prefix";
            assert_eq!(error, format!("{text}: {why}; write {network}"));
            assert!(network.parse::<Network>().is_ok());
        }
        let masked = Network::new("10.0.0.1".parse().unwrap(), 8);
        assert_eq!(masked, "10.0.0.0/8".parse().ok());
    }

    #[test]
    fn text_that_is_no_network_is_an_error_that_names_it() {
        for text in ["", "x\n", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "1.2.3.4/-1"] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: not a network", text.escape_debug())));
        }
    }
}
