//! The sending side.

use std::any::{Any, TypeId};
use std::mem;

use sluicegate_reactor::transport::{Error, Factory, Offload, Opened, Output, State, Transport};
use sluicegate_reactor::{ConnId, Connector, Handler, Target, Turn};

use super::{Header, Version};

/// Sends a PROXY header as soon as the connection is established, and then passes all bytes through
/// unchanged.
///
/// Use it with [`Turn::connect_through`](sluicegate_reactor::Turn::connect_through). Create one for
/// each connection, and do not use a connection for several clients: the receiver attributes
/// everything on it to the client that the header names.
pub struct SendProxy {
    /// Empty once it was sent.
    header: Vec<u8>,
    inner: Option<Box<dyn Transport>>,
}

impl SendProxy {
    /// Sends this header.
    #[must_use]
    pub fn new(header: &Header, version: Version) -> SendProxy {
        SendProxy { header: header.encode(version), inner: None }
    }

    /// Adds another transport after the header, such as TLS.
    #[must_use]
    pub fn then(self, inner: Box<dyn Transport>) -> SendProxy {
        SendProxy { inner: Some(inner), ..self }
    }
}

/// How a proxy connects for its clients.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The version of the header that names the client, if it is sent one.
    pub(crate) announce: Option<Version>,
    /// Makes what comes after the header.
    pub(crate) transport: Option<Factory<Target>>,
}

impl Outgoing {
    /// Starts to connect to an address with this name, with a connector that has no transport.
    pub(crate) fn connect<H: Handler>(
        &self,
        cx: &mut Turn,
        connector: Connector<H>,
        (name, address): (&Target, &Target),
        header: Option<&Header>,
        session: H::Session,
    ) -> Result<ConnId, Error> {
        let mut transport = self.transport.as_ref().map_or(Ok(None), |inner| inner.make(name))?;
        if let Some((version, header)) = self.announce.zip(header) {
            let proxy = SendProxy { inner: transport, ..SendProxy::new(header, version) };
            transport = Some(Box::new(proxy));
        }
        Ok(match transport {
            Some(transport) => cx.connect_through(connector, address, transport, session),
            None => cx.connect(connector, address, session),
        })
    }
}

impl Transport for SendProxy {
    fn start(&mut self, out: &mut Output<'_>) -> Result<(), Error> {
        out.put(&mem::take(&mut self.header));
        self.inner.as_mut().map_or(Ok(()), |inner| inner.start(out))
    }

    fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error> {
        self.inner.as_mut().map_or(Ok(Opened::Incomplete), |inner| inner.open(wire, out))
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        match &mut self.inner {
            Some(inner) => inner.seal(plain, out),
            None => Err("there is nothing to seal".into()),
        }
    }

    fn close(&mut self, out: &mut Output<'_>) {
        if let Some(inner) = &mut self.inner {
            inner.close(out);
        }
    }

    fn state(&self) -> State {
        self.inner.as_ref().map_or(State::Transparent, |inner| inner.state())
    }

    fn is_secure(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.is_secure())
    }

    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        self.inner.as_ref().and_then(|inner| inner.details(of))
    }

    fn offload(&mut self) -> Option<&mut dyn Offload> {
        self.inner.as_mut()?.offload()
    }
}
