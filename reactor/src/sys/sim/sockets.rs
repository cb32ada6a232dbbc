//! The calls on sockets of a simulated kernel.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr as UnixSocketAddr;

use super::trace::{Said, Shown};
use super::{Address, Calls, Fd, Machine, More, Object, Stream, World};
use crate::sys::{SocketFile, TcpOptions};

/// Sockets: the calls of [`Kernel`](super::Kernel), each documented there.
impl World {
    pub(crate) fn listen_tcp(
        &self,
        address: SocketAddr,
        backlog: u32,
        _options: &TcpOptions,
        count: usize,
    ) -> io::Result<Vec<Fd>> {
        assert_eq!(count, 1, "a simulated kernel does not divide connections");
        self.listen(address, backlog).map(|socket| vec![socket])
    }

    pub(crate) fn listen(&self, mut address: SocketAddr, backlog: u32) -> io::Result<Fd> {
        let state = &mut *self.0.borrow_mut();
        if address.port() == 0 {
            address.set_port(state.next_port);
            state.next_port += 1;
        }
        state.listen(address.into(), backlog)
    }

    /// Without a file: sockets are not in the directories of the simulated disk.
    pub(crate) fn listen_unix(
        &self,
        address: &UnixSocketAddr,
        _mode: u32,
        backlog: u32,
    ) -> io::Result<(Fd, Option<SocketFile>)> {
        let address = Address::from(address.clone());
        let fd = self.0.borrow_mut().listen(address, backlog)?;
        Ok((fd, None))
    }

    /// Sockets of the operating system cannot be used in the simulated kernel.
    pub(crate) fn adopt_listener(&self, _: OwnedFd, _: &TcpOptions) -> io::Result<Fd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn adopt_stream(&self, _: OwnedFd) -> io::Result<Fd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn accept(&self, listener: Fd) -> io::Result<Fd> {
        let state = &mut *self.0.borrow_mut();
        let accepted = state.accept(listener);
        let peer = accepted.as_ref().ok().map(|fd| state.stream_index(*fd));
        match peer.map(|stream| state.streams[stream].peer.clone()) {
            Some(peer) => {
                state.note(format_args!("accept({listener}) = {} from {peer}", Said(&accepted)));
            }
            None => state.note(format_args!("accept({listener}) = {}", Said(&accepted))),
        }
        accepted
    }

    pub(crate) fn local_address(&self, socket: Fd) -> io::Result<Address> {
        let state = &mut *self.0.borrow_mut();
        if let Some(Object::Listener(listener)) = state.table.object(socket) {
            return Ok(listener.address.clone());
        }
        let stream = state.stream_index(socket);
        Ok(state.streams[stream].local.clone())
    }

    pub(crate) fn peer_address(&self, socket: Fd) -> io::Result<Address> {
        self.with_socket(socket, |stream, _| stream.peer_address())
    }

    pub(crate) fn stop_listening(&self, listener: Fd) {
        self.note(format_args!("stop_listening({listener})"));
    }

    pub(crate) fn close(&self, fd: Fd) {
        let state = &mut *self.0.borrow_mut();
        state.note(format_args!("close({fd})"));
        state.close(fd, Stream::close);
    }

    pub(crate) fn reset(&self, socket: Fd) {
        let state = &mut *self.0.borrow_mut();
        state.note(format_args!("reset({socket})"));
        state.close(socket, Stream::reset);
    }

    pub(crate) fn shutdown_write(&self, socket: Fd) -> io::Result<()> {
        let said = self.with_socket(socket, |stream, calls| {
            calls.shutdown += 1;
            stream.shutdown_write()
        });
        self.note(format_args!("shutdown({socket})"));
        said
    }

    pub(crate) fn set_receive_mark(&self, socket: Fd, bytes: usize) -> io::Result<()> {
        self.with_socket(socket, |stream, calls| {
            calls.receive_mark += 1;
            stream.set_receive_mark(bytes);
        });
        self.note(format_args!("setsockopt({socket}, SO_RCVLOWAT, {bytes})"));
        Ok(())
    }

    pub(crate) fn recv_append(
        &self,
        socket: Fd,
        buffer: &mut Vec<u8>,
        most: usize,
    ) -> io::Result<usize> {
        let mut received = vec![0; most.min(buffer.capacity() - buffer.len())];
        let count = self.recv(socket, &mut received)?;
        buffer.extend_from_slice(&received[..count]);
        Ok(count)
    }

    pub(crate) fn recv(&self, socket: Fd, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.recv += 1;
        let stream = state.stream_index(socket);
        state.fault_in_recv(stream, buffer.len());
        let count = state.streams[stream].recv(buffer);
        state.settle(stream);
        match count {
            Ok(count @ 1..) => {
                let data = Shown(&buffer[..count]);
                state.note(format_args!("recv({socket}, {}) = {count} {data}", buffer.len()));
            }
            _ => state.note(format_args!("recv({socket}, {}) = {}", buffer.len(), Said(&count))),
        }
        count
    }

    pub(crate) fn send(&self, socket: Fd, data: &[u8], more: More) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.send += 1;
        state.send("send", socket, &[IoSlice::new(data)], more)
    }

    pub(crate) fn send_gather(
        &self,
        socket: Fd,
        pieces: &[IoSlice<'_>],
        more: More,
    ) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.send_gather += 1;
        state.send("sendmsg", socket, pieces, more)
    }

    pub(crate) fn sendfile(
        &self,
        socket: Fd,
        file: Fd,
        offset: u64,
        bytes: usize,
    ) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.sendfile += 1;
        let inode = state.inode(file);
        let stream = state.stream_index(socket);
        state.wait_for_disk();
        state.touch(inode, offset, bytes);
        state.fault_in_send(stream, bytes);
        let data = state.files.bytes_from(inode, offset)?;
        let data = &data[..bytes.min(data.len())];
        let sent = state.streams[stream].send(&[IoSlice::new(data)], More::No);
        state.settle(stream);
        let said = Said(&sent);
        state.note(format_args!("sendfile({socket}, {file}, {bytes} at {offset}) = {said}"));
        sent
    }

    /// Makes a call on the stream of a descriptor, and queues the edge if it caused one.
    pub(super) fn with_socket<R>(
        &self,
        fd: Fd,
        call: impl FnOnce(&mut Stream, &mut Calls) -> R,
    ) -> R {
        let state = &mut *self.0.borrow_mut();
        let stream = state.stream_index(fd);
        let result = call(&mut state.streams[stream], &mut state.calls);
        state.settle(stream);
        result
    }
}

impl Machine {
    fn accept(&mut self, listener: Fd) -> io::Result<Fd> {
        self.calls.accept += 1;
        self.listener(listener);
        self.fault_in_accept(listener);
        let mut edge = false;
        let step = self.listener(listener).script.next(&mut edge);
        if edge {
            self.edge(listener);
        }
        step?;
        // `accept4(2)` allocates a number before it looks for a connection.
        self.table.check_limit()?;
        let next = self.listener(listener).backlog.pop_front();
        let stream = next.ok_or(io::ErrorKind::WouldBlock)?;
        let fd = self.table.insert(Object::Stream(stream))?;
        self.streams[stream].fd = Some(fd);
        Ok(fd)
    }

    fn send(
        &mut self,
        call: &str,
        socket: Fd,
        pieces: &[IoSlice<'_>],
        more: More,
    ) -> io::Result<usize> {
        self.calls.send_more += u64::from(more == More::Yes);
        let stream = self.stream_index(socket);
        let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        self.fault_in_send(stream, bytes);
        let sent = self.streams[stream].send(pieces, more);
        self.settle(stream);
        let first = Shown(pieces.first().map_or(&[], |piece| piece));
        self.note(format_args!("{call}({socket}, {bytes}) = {} {first}", Said(&sent)));
        sent
    }
}
