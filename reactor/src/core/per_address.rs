//! Counts the connections of each client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};

use crate::sys::Address;

impl Address {
    /// What limits for each client count as one client: an IPv4 address, or the 64-bit network of
    /// an IPv6 address (RFC 4291, section 2.5.4), because a subscriber can use any address in it.
    /// `None` for a Unix address.
    ///
    /// ```
    /// use sluicegate_reactor::Address;
    ///
    /// let client = |address: &str| address.parse::<Address>().unwrap().client_network().unwrap();
    /// assert_eq!(client("[2001:db8::1]:80"), client("[2001:db8::2]:81"));
    /// assert_ne!(client("192.0.2.1:80"), client("192.0.2.2:80"));
    /// ```
    pub fn client_network(&self) -> Option<IpAddr> {
        // An IPv4 client of a dual-stack socket counts as IPv4.
        self.ip().map(|ip| match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

/// How many connections of one listener each client has, by its
/// [network](Address::client_network). The hashes are keyed at random, so that
/// clients cannot choose addresses that collide.
pub(crate) struct PerAddress {
    pub(crate) most: u32,
    open: HashMap<IpAddr, u32>,
    /// The client of each connection: when it closes, its socket may not know the peer any more.
    clients: HashMap<u32, IpAddr>,
}

impl PerAddress {
    pub(crate) fn new(most: u32) -> PerAddress {
        PerAddress { most, open: HashMap::new(), clients: HashMap::new() }
    }

    pub(crate) fn has_room(&self, client: IpAddr) -> bool {
        self.open.get(&client).copied().unwrap_or(0) < self.most
    }

    /// Counts a connection.
    pub(crate) fn enter(&mut self, index: u32, client: IpAddr) {
        *self.open.entry(client).or_default() += 1;
        self.clients.insert(index, client);
    }

    /// Removes a connection that has closed.
    pub(crate) fn leave(&mut self, index: u32) {
        let Some(client) = self.clients.remove(&index) else { return };
        if let Entry::Occupied(mut open) = self.open.entry(client) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(address: &str) -> IpAddr {
        let address = Address::from(std::net::SocketAddr::new(address.parse().unwrap(), 0));
        address.client_network().unwrap()
    }

    #[test]
    fn a_client_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(net(one) == net(other), same, "{one} and {other}");
        }
    }

    #[test]
    fn nothing_is_kept_of_a_client_that_has_left() {
        let mut clients = PerAddress::new(2);
        let (one, other) = (net("192.0.2.1"), net("192.0.2.2"));
        clients.enter(7, one);
        clients.enter(8, one);
        clients.enter(9, other);
        assert!(!clients.has_room(one) && clients.has_room(other));
        for index in [7, 8, 9, 8, 10] {
            clients.leave(index);
        }
        assert!(clients.has_room(one) && clients.has_room(other));
        assert!(clients.open.is_empty() && clients.clients.is_empty());
    }
}
