//! Listeners: their options, and how to open one.

use std::error::Error;
use std::io;

use crate::core::transport::Factory;
use crate::core::{ConnId, Core, Flags, Group, Limits, Target};
use crate::sys::{Address, Fd, Kernel, SocketFile, TcpOptions, about, look_up};
use crate::time::deadlines;

pub mod activation;
pub(crate) mod custody;
pub(crate) mod listener;
mod shed;
pub(crate) mod update;

use custody::Hold;

/// The options of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The maximum length of the backlog, the queue of connections that wait in the kernel to be
    /// accepted (`listen(2)`). The system may cap it. Has no effect on
    /// [adopted](crate::Turn::adopt_listener) listeners. The default is 4096.
    pub backlog: u32,
    /// The maximum number of connections accepted in one turn; the next turn accepts more. The
    /// default is 64.
    pub accept_budget: u32,
    /// The maximum number of open connections, lingering ones included. The default is 100,000.
    pub max_connections: u32,
    /// What happens to further connections. By default they [wait](WhenFull::Wait).
    pub when_full: WhenFull,
    /// The maximum number of open connections per client, lingering ones included. Further
    /// connections are accepted and immediately reset, and counted in
    /// [`Ledger::refused_per_address`](crate::Ledger::refused_per_address).
    ///
    /// A client is an IPv4 address or a 64-bit IPv6 prefix, which is what one subscriber typically
    /// has. Clients of Unix sockets are not counted. The default is no limit, since many clients
    /// behind a proxy or a carrier's NAT share one address; a server on the open internet should
    /// set one. A limit costs a system call and four hash lookups per connection.
    pub max_per_address: Option<u32>,
    /// The maximum average number of connections accepted per second; 0 counts as 1. Further
    /// connections wait in the backlog. [`Ledger::rate_pauses`](crate::Ledger::rate_pauses) counts
    /// how often the limit was reached. The default is no limit.
    pub accept_rate: Option<u32>,
    /// The maximum burst of connections accepted after a pause, if there is an
    /// [`accept_rate`](crate::Listen::accept_rate). The default is 256.
    pub accept_burst: u32,
    /// The permissions of a Unix socket's file, regardless of the umask. Users who may write to the
    /// file may connect. By default only the server's own user may. Some old systems ignore the
    /// permissions of the file (`unix(7)`); there, restrict access to its directory.
    pub unix_mode: u32,
    /// Makes the transport of each connection from the address of its client. The default is none.
    pub transport: Option<Factory<Address>>,
    /// The maximum number of transport handshakes in progress. Further connections are reset and
    /// counted in [`Ledger::refused_handshakes`](crate::Ledger::refused_handshakes), if they would
    /// begin with a handshake. One that is [started later](crate::Context::start_transport) counts,
    /// but is never refused. The default is 10,000.
    pub max_handshakes: u32,
    /// The options of TCP sockets.
    pub tcp: TcpOptions,
    /// The maximum number of bytes per second that all connections together send. Connections with
    /// queued output take turns. [`Limits::send_rate`] also applies to each connection.
    pub send_rate: Option<u64>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            backlog: 4096,
            accept_budget: 64,
            max_connections: 100_000,
            when_full: WhenFull::Wait,
            max_per_address: None,
            accept_rate: None,
            accept_burst: 256,
            unix_mode: 0o600,
            transport: None,
            max_handshakes: 10_000,
            tcp: TcpOptions::default(),
            send_rate: None,
            limits: Limits::default(),
        }
    }
}

impl Listen {
    /// The share that each of several threads has in these limits: those that apply to all
    /// connections together are divided, and rounded up.
    ///
    /// ```
    /// use sluicegate_reactor::Listen;
    ///
    /// let all = Listen { max_connections: 1000, max_per_address: Some(10), ..Listen::default() };
    /// let share = all.share(3);
    /// assert_eq!((share.max_connections, share.max_per_address), (334, Some(10)));
    /// ```
    ///
    /// # Panics
    /// If `threads` is 0.
    #[must_use]
    pub fn share(&self, threads: usize) -> Listen {
        let threads = u32::try_from(threads).unwrap_or(u32::MAX);
        Listen {
            max_connections: self.max_connections.div_ceil(threads),
            max_handshakes: self.max_handshakes.div_ceil(threads),
            accept_rate: self.accept_rate.map(|rate| rate.div_ceil(threads)),
            send_rate: self.send_rate.map(|rate| rate.div_ceil(threads.into())),
            accept_burst: self.accept_burst.div_ceil(threads),
            ..self.clone()
        }
    }
}

/// What a listener does with further connections when it has
/// [`Listen::max_connections`](crate::Listen::max_connections).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// They wait in the backlog until a connection closes. Clients see a slow server, or time out.
    /// [`Ledger::full_pauses`](crate::Ledger::full_pauses) counts how often the limit was reached.
    #[default]
    Wait,
    /// They are accepted and immediately reset, so that clients learn at once that they should go
    /// elsewhere. [`Ledger::refused_full`](crate::Ledger::refused_full) counts them. Each thread of
    /// a server has its share of the limit, so some are refused before it is reached.
    Refuse,
    /// An idle connection is closed in place of each. If no connection is idle, they wait.
    /// [`Ledger::shed`](crate::Ledger::shed) counts the closed ones.
    ///
    /// A connection is idle if no bytes have moved for a second, nothing is queued, unread or being
    /// received in another way than as a stream, and its handler has neither paused it nor set
    /// [`Limits::idle`](crate::Limits::idle) to `None`. Of a sample of 16 such connections, the one
    /// that has been idle for longest is treated as if that deadline had passed: its handler is
    /// called with [`Timeout::Idle`](crate::Timeout::Idle), and decides. HTTP does not close a
    /// connection whose response is not complete. A handler that works for a connection while no
    /// bytes move should do the same, or pause the connection. The reason of the close is
    /// [`Reason::Shed`](crate::Reason::Shed). It does not linger, so a request that arrives just
    /// then is lost, as with any server that closes idle connections.
    Shed,
}

/// Identifies a listener of a reactor. [`Turn::listener_address`](crate::Turn::listener_address)
/// returns its address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    /// The group of its connections. A server may have several sockets for one address, which
    /// share it.
    pub(crate) group: u16,
}

/// Where a listening socket comes from.
pub(crate) enum Origin {
    /// Opened here; a Unix socket has a file.
    Made(Option<SocketFile>),
    /// Adopted. Other processes may have it open, so its events continue after it is closed.
    Adopted,
    /// Of a server that can pass it to a successor, or has it from its predecessor.
    InCustody(Hold),
}

/// Opens the sockets of a listener: `count` of them if the kernel [divides](crate::sys::DIVIDES)
/// connections at that address, otherwise one.
pub(crate) fn open(
    kernel: &Kernel,
    address: &Address,
    listen: &Listen,
    count: usize,
) -> io::Result<Vec<(Fd, Origin)>> {
    match address {
        Address::Ip(address) => {
            let sockets = kernel.listen_tcp(*address, listen.backlog, &listen.tcp, count)?;
            Ok(sockets.into_iter().map(|socket| (socket, Origin::Made(None))).collect())
        }
        Address::Unix(address) => {
            let (socket, file) = kernel.listen_unix(address, listen.unix_mode, listen.backlog)?;
            Ok(vec![(socket, Origin::Made(file))])
        }
    }
}

/// Tries the addresses of a target until one can be bound.
pub(crate) fn first_bound<T>(
    at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
    mut bind: impl FnMut(&Address) -> io::Result<T>,
) -> io::Result<T> {
    let target = Target::of(at)
        .map_err(|error| io::Error::new(error.kind(), format!("listen on {error}")))?;
    let addresses = match &target {
        Target::Address(address) => vec![address.clone()],
        Target::Name(name, port) => look_up(name, *port)
            .map_err(about(format_args!("listen on {target}")))?
            .into_iter()
            .map(Address::Ip)
            .collect(),
    };
    let text = format!("listen on {target}: the name has no addresses");
    let mut bound = Err(io::Error::new(io::ErrorKind::NotFound, text));
    for address in &addresses {
        bound = bind(address).map_err(about(format_args!("listen on {address}")));
        if bound.is_ok() {
            break;
        }
    }
    bound
}

/// Takes over a connected socket that was opened elsewhere. Its session follows.
pub(crate) fn adopt(
    core: &mut Core,
    socket: Fd,
    handler: u8,
    limits: &Limits,
) -> io::Result<ConnId> {
    if core.has_stopped() {
        return Err(io::Error::other("the reactor has stopped"));
    }
    let peer = core.kernel.peer_address(socket)?;
    let flags = if peer.is_unix() { Flags::STOPS_SHORT } else { Flags::default() };
    let group = adopted_group(core, limits)?;
    let id = core.register(socket, group, handler, flags)?;
    core.groups[usize::from(group)].ledger.adopted += 1;
    deadlines::arm(core, id.index);
    core.schedule(id.index);
    core.note_opened(id.index);
    Ok(id)
}

/// The group of adopted connections with these limits. A program has few different limits.
fn adopted_group(core: &mut Core, limits: &Limits) -> io::Result<u16> {
    let same = |group: &Group| group.is_adopted && group.limits == *limits;
    match core.groups.iter().position(same) {
        Some(index) => Ok(index as u16),
        None => core.add_group(Group { is_adopted: true, ..Group::new(limits.clone(), None) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_that_can_be_bound_is_taken_and_no_other_one_is_tried() {
        let count = look_up("localhost", 0).unwrap().len();
        for taken in 0..=count {
            let mut tried = 0;
            let bound = first_bound(("localhost", 0), |_| {
                tried += 1;
                if tried > taken { Ok(()) } else { Err(io::Error::other("taken")) }
            });
            assert_eq!(tried, count.min(taken + 1));
            assert_eq!(bound.is_ok(), taken < count);
        }
    }
}
