//! The addresses of a connection.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Core;
use super::transport::Transport;
use crate::sys::{Address, Fd, Kernel, NO_FD};

/// The two ends of a connection: see [`Context::endpoints`](crate::Context::endpoints).
///
/// Each method makes a system call, unless the [transport](crate::transport) knows the address. The
/// value cannot outlive the callback.
#[derive(Clone, Debug)]
pub struct Endpoints<'cx> {
    kernel: Kernel,
    socket: Fd,
    /// What the transport says.
    peer: Option<Arc<Address>>,
    local: Option<Arc<Address>>,
    /// The callback: until it returns, the descriptor is not closed.
    callback: PhantomData<&'cx ()>,
}

impl Endpoints<'_> {
    #[inline]
    pub(crate) fn of(core: &Core, index: u32) -> Self {
        let c = &core[index];
        let find = |address: fn(&dyn Transport) -> Option<&Arc<Address>>| {
            c.special.as_ref()?.transports().find_map(address).cloned()
        };
        Endpoints {
            kernel: core.kernel.clone(),
            socket: c.socket,
            peer: find(|transport| transport.peer_address()),
            local: find(|transport| transport.local_address()),
            callback: PhantomData,
        }
    }

    /// The address of the peer, from the transport if it knows one, or else from the socket. A
    /// client of a Unix socket is usually unnamed.
    ///
    /// # Errors
    /// The error of `getpeername(2)`, such as `NotConnected` after a reset. Except on Linux, it also
    /// fails once the peer of a Unix socket has closed it: with `NotConnected`, or `InvalidInput` on
    /// macOS.
    pub fn peer(&self) -> io::Result<Address> {
        match &self.peer {
            Some(address) => Ok(Address::clone(address)),
            None => self.kernel.peer_address(self.socket()?),
        }
    }

    /// The local address, from the transport if it knows one, or else from the socket.
    ///
    /// # Errors
    /// The error of `getsockname(2)`.
    pub fn local(&self) -> io::Result<Address> {
        match &self.local {
            Some(address) => Ok(Address::clone(address)),
            None => self.kernel.local_address(self.socket()?),
        }
    }

    fn socket(&self) -> io::Result<Fd> {
        if self.socket == NO_FD { Err(io::ErrorKind::NotConnected.into()) } else { Ok(self.socket) }
    }
}
