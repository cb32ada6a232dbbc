//! The targets that a reactor connects to: remotes that a test controls, and listeners in the same
//! world.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::client::{Client, client_address};
use super::network::Coming;
use super::trace::Said;
use super::{Address, Fd, Machine, Object, Step, Stream, World};
use crate::sys::TcpOptions;

/// How a remote handles connections to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// They are established immediately.
    Listens,
    /// They get no response, and stay unfinished until the remote changes.
    Silent,
    /// They fail after the call has returned, with this `errno`, such as `libc::ECONNREFUSED`,
    /// `libc::EHOSTUNREACH` or `libc::ETIMEDOUT`.
    Fails(i32),
    /// The kernel chooses the same address for the local end, so that the socket connects to
    /// itself.
    Itself,
}

/// The state of a name.
pub(super) enum Name {
    Is(Vec<IpAddr>),
    /// It has no answer yet for these lookups.
    Held(Vec<OnAnswer>),
}

type OnAnswer = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>)>;

fn found(addresses: &[IpAddr]) -> io::Result<Vec<SocketAddr>> {
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"));
    }
    Ok(addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect())
}

/// An address outside of the machine.
pub(super) struct Host {
    address: Address,
    remote: Remote,
    /// Streams that wait for an answer, oldest first.
    waiting: Vec<usize>,
    /// Streams that the test has not taken yet, oldest first.
    accepted: VecDeque<usize>,
}

impl World {
    /// Sets how connections to an address end from now on, including those that wait.
    pub(crate) fn set_remote(&self, address: &Address, remote: Remote) {
        let state = &mut *self.0.borrow_mut();
        let at = state.hosts.iter().position(|host| host.address == *address);
        let at = at.unwrap_or_else(|| {
            let (waiting, accepted) = (Vec::new(), VecDeque::new());
            let address = address.clone();
            state.hosts.push(Host { address, remote, waiting, accepted });
            state.hosts.len() - 1
        });
        state.hosts[at].remote = remote;
        for stream in std::mem::take(&mut state.hosts[at].waiting) {
            // It may have been given up meanwhile.
            if state.streams[stream].fd.is_some() {
                state.arrive(stream, at);
                state.settle(stream);
            }
        }
    }

    /// The far end of the oldest connection that was made to an address and not taken before.
    pub(crate) fn accept_remote(&self, address: &Address) -> Option<Client> {
        let state = &mut *self.0.borrow_mut();
        let host = state.hosts.iter_mut().find(|host| host.address == *address)?;
        Some(Client::new(self, host.accepted.pop_front()?))
    }

    /// Queues the results of the next calls that start a connection.
    pub(crate) fn script_connect(&self, steps: impl IntoIterator<Item = Step>) {
        self.0.borrow_mut().connects.extend(steps);
    }

    /// Sets the addresses of a name, and answers the lookups that wait for it.
    pub(crate) fn set_name(&self, name: &str, addresses: Vec<IpAddr>) {
        let name = self.0.borrow_mut().names.insert(name.to_owned(), Name::Is(addresses.clone()));
        if let Some(Name::Held(waiting)) = name {
            waiting.into_iter().for_each(|answer| answer(found(&addresses)));
        }
    }

    /// Leaves lookups of a name without an answer, until [`World::set_name`].
    pub(crate) fn hold_name(&self, name: &str) {
        self.0.borrow_mut().names.insert(name.to_owned(), Name::Held(Vec::new()));
    }

    /// Answers at once, from inside, or when the name is set. A name that was never set has no
    /// addresses.
    pub(crate) fn look_up(
        &self,
        name: &str,
        answer: impl FnOnce(io::Result<Vec<SocketAddr>>) + 'static,
    ) {
        let state = &mut *self.0.borrow_mut();
        state.calls.look_up += 1;
        match state.names.get_mut(name) {
            Some(Name::Held(waiting)) => waiting.push(Box::new(answer)),
            Some(Name::Is(addresses)) => answer(found(addresses)),
            None => answer(found(&[])),
        }
    }

    pub(crate) fn start_connect(&self, address: &Address, _: &TcpOptions) -> io::Result<Fd> {
        let state = &mut *self.0.borrow_mut();
        state.calls.connect += 1;
        let fault = state.fault_in_connect();
        let refused = fault == Some(Step::Errno(libc::ECONNREFUSED));
        state.connects.extend(fault.filter(|_| !refused));
        let said = match state.connects.next(&mut false) {
            // The connection is made nevertheless.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other.map(drop),
        };
        let fd = said.and_then(|()| state.start_stream(address, refused));
        state.note(format_args!("connect({address}) = {}", Said(&fd)));
        fd
    }

    pub(crate) fn take_error(&self, socket: Fd) -> io::Result<()> {
        self.with_socket(socket, |stream, _| stream.take_error())
    }
}

impl Machine {
    fn start_stream(&mut self, address: &Address, refused: bool) -> io::Result<Fd> {
        let state = self;
        let stream = state.streams.len();
        let fd = state.table.insert(Object::Stream(stream))?;
        let near = client_address(address.ip(), stream);
        state.streams.push(Stream::connecting(near, address.clone()));
        state.streams[stream].fd = Some(fd);
        state.streams[stream].spoilt = refused;
        match state.delay() {
            0 => state.reach(stream),
            delay => state.network.send_off(state.elapsed + delay, Coming::Arrival { stream }),
        }
        Ok(fd)
    }

    /// A stream reaches its destination. The caller settles it.
    pub(super) fn reach(&mut self, stream: usize) {
        if self.streams[stream].spoilt {
            return self.streams[stream].refuse(libc::ECONNREFUSED);
        }
        let address = self.streams[stream].peer.clone();
        match self.hosts.iter().position(|host| host.address == address) {
            Some(host) => self.arrive(stream, host),
            None => self.arrive_here(stream, &address),
        }
    }

    /// Applies the answer of its remote to a stream.
    fn arrive(&mut self, stream: usize, host: usize) {
        let (host, near) = (&mut self.hosts[host], &mut self.streams[stream]);
        match host.remote {
            Remote::Silent => host.waiting.push(stream),
            Remote::Fails(errno) => near.refuse(errno),
            Remote::Itself => {
                near.local = host.address.clone();
                near.establish();
            }
            Remote::Listens => {
                near.establish();
                host.accepted.push_back(stream);
            }
        }
    }

    /// Connects a stream to a listener of this machine, if one has room for it.
    fn arrive_here(&mut self, near: usize, address: &Address) {
        let far = self.streams.len();
        let listener = self.table.listener_at(address).filter(|(_, l)| !l.is_full());
        let Some((fd, listener)) = listener else {
            return self.streams[near].refuse(libc::ECONNREFUSED);
        };
        listener.backlog.push_back(far);
        let client = self.streams[near].local.clone();
        self.streams.push(Stream::new(address.clone(), client));
        self.streams[near].establish();
        (self.streams[near].pair, self.streams[far].pair) = (Some(far), Some(near));
        self.edge(fd);
    }

    /// Carries the changes of one end of a connection within the machine to the other.
    pub(super) fn carry(&mut self, from: usize, to: usize) {
        let count = self.streams[to].inbox_room().min(self.streams[from].untaken());
        let bytes = self.streams[from].client_take_some(count);
        let (end, all) = (self.streams[from].state(), self.streams[from].untaken() == 0);
        let too_late = self.streams[to].client_becomes(&bytes, end, all);
        for stream in [from, to] {
            self.queue_edge(stream);
        }
        if too_late {
            self.note(format_args!(
                "{} bytes for a closed socket: a reset is the answer",
                bytes.len()
            ));
            self.streams[to].reset();
            self.send_over(to, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::sim::Faults;
    use crate::sys::{More, Ready};

    /// Both ends of a connection within the machine.
    fn ends(world: &World) -> (Fd, Fd) {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let listener = world.listen(address, 1).unwrap();
        let near = world.start_connect(&address.into(), &TcpOptions::default()).unwrap();
        wait(world);
        (near, world.accept(listener).unwrap())
    }

    /// Lets everything on its way arrive.
    fn wait(world: &World) {
        while let Some(next) = world.next_arrival() {
            world.advance(Duration::from_nanos(next - world.elapsed()));
            world.run_network();
        }
    }

    #[test]
    fn closing_with_unread_bytes_resets_the_other_end() {
        let world = World::new(1);
        let (near, far) = ends(&world);
        world.send(near, b"unread", More::No).unwrap();
        world.close(far);
        let error = world.recv(near, &mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn bytes_that_arrive_at_a_closed_end_are_answered_by_a_reset() {
        for delay in [Duration::ZERO, Duration::from_millis(20)] {
            let world = World::new(1);
            world.set_faults(Faults { delay, ..Faults::none() }, 1);
            let (near, far) = ends(&world);
            world.send(far, b"answer", More::No).unwrap();
            world.close(far);
            wait(&world);
            assert_eq!(world.recv(near, &mut [0; 8]).unwrap(), 6);
            assert_eq!(world.recv(near, &mut [0; 8]).unwrap(), 0, "an end in order so far");
            assert_eq!(world.send(near, b"late", More::No).unwrap(), 4);
            wait(&world);
            let error = world.send(near, b"later", More::No).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn bytes_on_their_way_to_an_end_that_is_closed_meanwhile_are_not_just_lost() {
        let world = World::new(1);
        world.set_faults(Faults { delay: Duration::from_millis(20), ..Faults::none() }, 1);
        let (near, far) = ends(&world);
        world.send(near, b"on the way", More::No).unwrap();
        world.close(far);
        wait(&world);
        assert!(world.stream_status(near).0.any(Ready::HANGUP));
    }
}
