//! Options of TCP sockets that the application chooses.

use std::io;
use std::time::Duration;

use socket2::Socket;
#[cfg(not(target_os = "openbsd"))]
use socket2::TcpKeepalive;

use super::about;

/// Probes for a peer that has vanished silently (`SO_KEEPALIVE`, `tcp(7)`).
///
/// The kernel probes an idle connection, and ends it if no probe is answered. This detects a peer
/// whose machine or network is gone even if nothing is being sent and no [deadline](crate::Limits)
/// would end the connection. By default a connection is probed after one minute without traffic,
/// and ended two minutes after the last packet from the peer.
///
/// ```
/// use std::time::Duration;
/// use sluicegate_reactor::{Keepalive, Listen, TcpOptions};
///
/// let keepalive = Keepalive { idle: Duration::from_secs(30), ..Keepalive::default() };
/// let tcp = TcpOptions { keepalive: Some(keepalive), ..TcpOptions::default() };
/// let listen = Listen { tcp, ..Listen::default() };
/// # let _ = listen;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The idle time before the first probe, rounded up to whole seconds. Linux accepts 1 s to
    /// 32,767 s. The default is 60 s.
    pub idle: Duration,
    /// The time between two probes, rounded up to whole seconds. Linux accepts 1 s to 32,767 s. The
    /// default is 10 s.
    pub interval: Duration,
    /// The number of unanswered probes after which the connection is ended. Linux accepts 1 to 127.
    /// The default is 6.
    pub count: u32,
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        let (idle, interval) = (Duration::from_secs(60), Duration::from_secs(10));
        Keepalive { idle, interval, count: 6 }
    }
}

/// The options of the TCP sockets of a [listener](crate::Listen::tcp) or a
/// [connector](crate::Connect::tcp). They have no effect on Unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The maximum number of unsent bytes that the kernel buffers for a connection, not counting
    /// those in flight (`TCP_NOTSENT_LOWAT`, Linux only). `None` leaves the limit to the kernel,
    /// which is cheapest, but a peer that stops reading pins up to 4 MiB of kernel memory. See
    /// `benches/README.md`.
    pub unsent: Option<u32>,
    /// The name of the congestion control algorithm (`TCP_CONGESTION`, `tcp(7)`). Linux and FreeBSD
    /// only; other systems refuse a name with `ErrorKind::Unsupported`. `None` leaves the choice to
    /// the system. On Linux, an unprivileged process may use only the algorithms in
    /// `net.ipv4.tcp_allowed_congestion_control`.
    pub congestion: Option<String>,
    /// Probes on idle connections, to notice peers that have vanished. With `None` there are no
    /// probes, and only [`Limits`](crate::Limits) end idle connections.
    pub keepalive: Option<Keepalive>,
    /// Whether a listener at an IPv6 address takes no connections from IPv4 clients
    /// (`IPV6_V6ONLY`). Then an IPv4 listener can have the same port beside one at `::`. With
    /// `false`, `::` takes both, except on OpenBSD, which has no such sockets.
    pub only_ipv6: bool,
}

impl TcpOptions {
    /// Sets these options of a socket, and `TCP_NODELAY`, before it is connected: a congestion
    /// control that paces keeps pacing even if another one replaces it later (`sk_pacing_status`;
    /// Linux 6.18).
    pub(super) fn apply(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        #[cfg(target_os = "linux")]
        if let Some(bytes) = self.unsent {
            socket.set_tcp_notsent_lowat(bytes).map_err(about("unsent"))?;
        }
        if let Some(name) = &self.congestion {
            let what = format_args!("congestion {}", name.escape_debug());
            set_congestion(socket, name).map_err(about(what))?;
        }
        if let Some(keepalive) = &self.keepalive {
            set_keepalive(socket, keepalive).map_err(about(format_args!("{keepalive:?}")))?;
        }
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn set_congestion(socket: &Socket, name: &str) -> io::Result<()> {
    socket.set_tcp_congestion(name.as_bytes()).map_err(|error| match error.kind() {
        // The system's text would be "No such file or directory".
        kind @ io::ErrorKind::NotFound => {
            io::Error::new(kind, "the system has no congestion control algorithm with that name")
        }
        _ => error,
    })
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn set_congestion(_: &Socket, _: &str) -> io::Result<()> {
    let text = "this system cannot set the congestion control of a socket";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

#[cfg(not(target_os = "openbsd"))]
fn set_keepalive(socket: &Socket, keepalive: &Keepalive) -> io::Result<()> {
    let whole =
        |time: Duration| Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0));
    let times = TcpKeepalive::new()
        .with_time(whole(keepalive.idle))
        .with_interval(whole(keepalive.interval))
        .with_retries(keepalive.count);
    socket.set_tcp_keepalive(&times)
}

/// OpenBSD has `SO_KEEPALIVE`, but its times are system-wide (`sysctl(2)`).
#[cfg(target_os = "openbsd")]
fn set_keepalive(_: &Socket, _: &Keepalive) -> io::Result<()> {
    let text = "this system has one set of keepalive times for all sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}
