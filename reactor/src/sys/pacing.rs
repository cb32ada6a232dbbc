//! Pacing by a timer, which the way to another process of the same machine does not need.

use std::net::SocketAddr;

use socket2::Socket;

/// Lets a socket that has or will have a loopback address, and those that it accepts, not be paced:
/// there is no congestion, and the timer costs more than what is sent (bench `outbound`, `paced`).
///
/// The congestion control that paces is BBR, in all its versions; Reno is always there and allowed,
/// `tcp(7)`. Once a connection is made it is too late: what BBR has set to pace goes on to
/// (`sk_pacing_status`; Linux 6.18), at a rate that follows from its own delay.
#[cfg(target_os = "linux")]
pub(super) fn end_pacing(socket: &Socket, address: SocketAddr) {
    // Where it cannot be asked or told, in a sandbox, the connection is as good as others.
    if address.ip().to_canonical().is_loopback()
        && socket.tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr"))
    {
        let _ = socket.set_tcp_congestion(b"reno");
    }
}

/// FreeBSD's BBR is a stack of its own that an administrator chooses; the others have none.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_pacing(_: &Socket, _: SocketAddr) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn on_a_loopback_address_alone_what_paces_is_replaced() {
        for (address, name, expected) in [
            ("127.0.0.1:80", "bbr", "reno"),
            ("127.8.9.1:0", "bbr", "reno"),
            ("[::1]:80", "bbr", "reno"),
            ("[::ffff:127.0.0.1]:80", "bbr", "reno"),
            ("0.0.0.0:80", "bbr", "bbr"),
            ("[::]:80", "bbr", "bbr"),
            ("192.0.2.1:80", "bbr", "bbr"),
            ("127.0.0.1:80", "cubic", "cubic"),
            ("192.0.2.1:80", "reno", "reno"),
        ] {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            // A kernel need not have all of them, nor let anybody choose.
            if socket.set_tcp_congestion(name.as_bytes()).is_err() {
                continue;
            }
            end_pacing(&socket, address.parse().unwrap());
            let now = socket.tcp_congestion().unwrap();
            assert!(now.starts_with(expected.as_bytes()), "{address} with {name}: {now:?}");
        }
    }
}
