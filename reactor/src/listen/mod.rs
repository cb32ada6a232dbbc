//! How a listener listens, and making one.

pub mod activation;
pub(crate) mod listener;

use std::io;

use crate::core::{ConnId, Core, Flags, Group, GroupId, GroupRates, Limits, PerAddress};
use crate::sys::{Address, Fd};
use crate::time::deadlines;

use listener::{LISTENER_BIT, Listener, Origin, Source};

/// How a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Connections that the kernel holds ready to be accepted (`listen(2)`); it may cap this. Not
    /// for [adopted](Reactor::adopt_listener) listeners, which have theirs.
    pub backlog: u32,
    /// Most connections accepted in one turn; the next turn goes on.
    pub accept_budget: u32,
    /// Most connections open at a time, lingering ones included. Further ones wait in the backlog
    /// until one has closed. [`Ledger::full_pauses`](crate::Ledger::full_pauses) counts how often
    /// that was reached.
    pub max_connections: u32,
    /// Most connections open at a time from one client, lingering ones included. Further ones are
    /// accepted and reset at once, and counted in
    /// [`Ledger::refused_per_address`](crate::Ledger::refused_per_address).
    ///
    /// A client is an IPv4 address or an IPv6 prefix of 64 bits, which is what one subscriber has.
    /// Clients of Unix sockets are not counted. By default there is no limit, as behind a proxy or
    /// a carrier's NAT one address stands for many: a server that faces the internet should set
    /// one. It costs a system call and four hash lookups for each connection.
    pub max_per_address: Option<u32>,
    /// Most connections accepted in a second, over more than a moment. Further ones wait in the
    /// backlog. [`Ledger::rate_pauses`](crate::Ledger::rate_pauses) counts how often that was
    /// reached. By default there is no limit; 0 counts as 1.
    pub accept_rate: Option<u32>,
    /// With an [`accept_rate`](Listen::accept_rate), how many connections can be accepted at once
    /// after a time of rest.
    pub accept_burst: u32,
    /// The permissions of a Unix socket's file, whatever the umask: who may write to it may
    /// connect. By default the server's own user alone. On some old systems they are ignored
    /// (`unix(7)`), and those of the directory decide.
    pub unix_mode: u32,
    /// Bytes that the kernel may hold for a connection beyond what is on its way to the peer
    /// (`TCP_NOTSENT_LOWAT`, Linux only). `None` leaves it to the kernel, which grows a socket
    /// to 4 MiB: the cheapest, but a client that stops reading pins as much. With 256 KiB a bulk
    /// download costs 1.4 times as much, one at 1 MB/s 1.4 times. Not for Unix sockets.
    pub unsent: Option<u32>,
    /// Bytes that all connections together send in a second: those that have something to send take
    /// turns. As [`Limits::send_rate`], which holds for each of them as well.
    pub send_rate: Option<u64>,
    /// The same for what they receive.
    pub receive_rate: Option<u64>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            backlog: 4096,
            accept_budget: 64,
            max_connections: 100_000,
            max_per_address: None,
            accept_rate: None,
            accept_burst: 256,
            unix_mode: 0o600,
            unsent: None,
            send_rate: None,
            receive_rate: None,
            limits: Limits::default(),
        }
    }
}

/// Names a listener of a reactor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    pub(crate) index: u16,
    /// Its connections'.
    pub(crate) group: u16,
}

impl From<ListenerId> for GroupId {
    fn from(listener: ListenerId) -> GroupId {
        GroupId(listener.group)
    }
}

/// Adds a listener for a socket, which is closed if that fails.
pub(crate) fn add(
    core: &mut Core,
    listeners: &mut Vec<Option<Listener>>,
    (socket, origin): (Fd, Origin),
    listen: &Listen,
    handler: u8,
) -> io::Result<ListenerId> {
    match watch(core, listeners.len(), socket, listen) {
        Ok(address) => {
            let id =
                push(core, listeners, Source::Socket(socket, origin), address, listen, handler);
            Ok(id?)
        }
        Err(error) => {
            if let Origin::Made(Some(file)) = origin {
                file.remove();
            }
            core.kernel.close(socket);
            Err(error)
        }
    }
}

/// Registers a listening socket. Says which address it has.
fn watch(core: &mut Core, index: usize, socket: Fd, listen: &Listen) -> io::Result<Address> {
    if core.draining || core.ended {
        return Err(io::Error::other("the reactor is stopping and has closed its listeners"));
    }
    core.has_room_for_group()?;
    let address = core.kernel.local_address(socket)?;
    if let Some(bytes) = listen.unsent
        && !address.is_unix()
    {
        // Accepted sockets inherit it.
        core.kernel.limit_unsent(socket, bytes)?;
    }
    core.selector.add_listener(socket, LISTENER_BIT | index as u64)?;
    Ok(address)
}

/// Adds a listener, with a group for its connections.
pub(crate) fn push(
    core: &mut Core,
    listeners: &mut Vec<Option<Listener>>,
    source: Source,
    address: Address,
    listen: &Listen,
    handler: u8,
) -> io::Result<ListenerId> {
    let group = core.add_group(Group {
        per_address: listen.max_per_address.map(|most| Box::new(PerAddress::new(most))),
        rates: GroupRates::new(&listen.limits, [listen.send_rate, listen.receive_rate]),
        address: Some(address.clone()),
        ..Group::new(listen.limits.clone())
    })?;
    // There are no more listeners than groups.
    let index = listeners.len() as u16;
    listeners.push(Some(Listener::new(source, address, (handler, group), listen)));
    Ok(ListenerId { index, group })
}

/// Takes over a connected socket that was made elsewhere. Its session follows.
pub(crate) fn adopt(
    core: &mut Core,
    socket: Fd,
    handler: u8,
    limits: &Limits,
) -> io::Result<ConnId> {
    let peer = core.kernel.peer_address(socket)?;
    let unix = if peer.is_unix() { Flags::UNIX } else { Flags::default() };
    let group = adopted_group(core, limits)?;
    let id = core.adopt(socket, group, handler, unix.and(Flags::OWES_READY))?;
    core.groups[usize::from(group)].ledger.adopted += 1;
    deadlines::arm(core, id.index);
    core.schedule(id.index);
    Ok(id)
}

/// The group of adopted connections with these limits. A program has few different ones.
fn adopted_group(core: &mut Core, limits: &Limits) -> io::Result<u16> {
    let same = |group: &Group| group.shared && group.limits == *limits;
    match core.groups.iter().position(same) {
        Some(index) => Ok(index as u16),
        None => core.add_group(Group { shared: true, ..Group::new(limits.clone()) }),
    }
}
