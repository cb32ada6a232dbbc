//! Which upstream suits a client, by their addresses alone: rendezvous hashing.

use std::net::IpAddr;

use super::Upstream;

/// The number of an upstream for [`score`], the same in every process.
pub(super) fn number_of(upstream: &Upstream) -> u64 {
    // FNV-1a.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    upstream.address.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// How well an upstream suits a client: the best one serves it. A score depends on nothing else, so
/// upstreams that come and go move no client between two others.
pub(super) fn score(number: u64, client: u64) -> u64 {
    mix(number ^ mix(client))
}

/// The number of a client: an IPv4 address, or an IPv6 /64 prefix.
pub(super) fn client_of(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    }
}

/// Spreads a number over all bits: the finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
