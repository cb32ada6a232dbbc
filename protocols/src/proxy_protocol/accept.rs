//! The receiving side.

use std::any::{Any, TypeId};
use std::sync::Arc;

use sluicegate_reactor::Address;
use sluicegate_reactor::transport::{Error, Factory, Offload, Opened, Output, State, Transport};

use super::{Header, Network};
use crate::warnings::SharedWarnings;

/// What happens to connections from untrusted addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They are reset.
    #[default]
    Refuse,
    /// They have no header. If they send one, it is passed to the handler as data.
    Plain,
}

/// Which connections begin with a PROXY header, and what follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptProxy {
    /// The networks that proxies connect from. Each of their connections must begin with a header,
    /// which may claim any address. By default none is trusted.
    pub trusted: Vec<Network>,
    /// What happens to connections from other addresses. By default they are refused.
    pub others: Others,
    /// Creates the transport that follows the header, such as TLS, from the address of the client.
    /// By default there is none, and the handler gets the bytes after the header.
    pub inner: Option<Factory<Address>>,
}

impl AcceptProxy {
    /// The factory for [`Listen::transport`](sluicegate_reactor::Listen). If a proxy is refused, or
    /// its header is invalid, a warning is logged, at most once per second.
    #[must_use]
    pub fn factory(self) -> Factory<Address> {
        let warnings = Arc::new(SharedWarnings::of(module_path!()));
        Factory::new(move |peer| self.make(peer, &warnings))
    }

    fn make(
        &self,
        peer: &Address,
        warnings: &Arc<SharedWarnings>,
    ) -> Result<Option<Box<dyn Transport>>, Error> {
        if self.trusted.iter().any(|network| network.contains(peer)) {
            let (peer, inner, warnings) = (peer.clone(), self.inner.clone(), warnings.clone());
            return Ok(Some(Box::new(Accepted::Waiting { peer, inner, warnings })));
        }
        match self.others {
            Others::Refuse => {
                warnings.warn(format_args!("{peer} was refused: it is not a trusted proxy"));
                Err(format!("{peer} is not a trusted proxy").into())
            }
            Others::Plain => make(self.inner.as_ref(), peer),
        }
    }
}

/// Makes the inner transport, if there is one.
fn make(
    inner: Option<&Factory<Address>>,
    client: &Address,
) -> Result<Option<Box<dyn Transport>>, Error> {
    inner.map_or(Ok(None), |factory| factory.make(client))
}

/// The transport of a proxy's connection.
enum Accepted {
    /// Until the header has arrived.
    Waiting { peer: Address, inner: Option<Factory<Address>>, warnings: Arc<SharedWarnings> },
    /// From then on.
    Done { header: Header, inner: Option<Box<dyn Transport>> },
}

impl Accepted {
    fn header(&self) -> Option<&Header> {
        match self {
            Accepted::Waiting { .. } => None,
            Accepted::Done { header, .. } => Some(header),
        }
    }

    fn inner(&self) -> Option<&dyn Transport> {
        match self {
            Accepted::Waiting { .. } => None,
            Accepted::Done { inner, .. } => inner.as_deref(),
        }
    }

    fn inner_mut(&mut self) -> Option<&mut Box<dyn Transport>> {
        match self {
            Accepted::Waiting { .. } => None,
            Accepted::Done { inner, .. } => inner.as_mut(),
        }
    }
}

impl Transport for Accepted {
    fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error> {
        if let Some(inner) = self.inner_mut() {
            return inner.open(wire, out);
        }
        let Accepted::Waiting { peer, inner, warnings } = self else {
            return Ok(Opened::Incomplete);
        };
        let parsed = Header::parse(wire)
            .inspect_err(|error| warnings.warn(format_args!("{peer} was refused: {error}")))?;
        let Some((header, consumed)) = parsed else { return Ok(Opened::Incomplete) };
        let mut inner = make(inner.as_ref(), header.source().unwrap_or(peer))?;
        if let Some(inner) = &mut inner {
            inner.start(out)?;
        }
        *self = Accepted::Done { header, inner };
        Ok(Opened::nothing(consumed))
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        match self.inner_mut() {
            Some(inner) => inner.seal(plain, out),
            None => Err("there is nothing to seal".into()),
        }
    }

    fn close(&mut self, out: &mut Output<'_>) {
        if let Some(inner) = self.inner_mut() {
            inner.close(out);
        }
    }

    fn state(&self) -> State {
        match self {
            Accepted::Waiting { .. } => State::Handshake,
            Accepted::Done { inner, .. } => {
                inner.as_ref().map_or(State::Transparent, |inner| inner.state())
            }
        }
    }

    fn is_secure(&self) -> bool {
        self.inner().is_some_and(|inner| inner.is_secure())
    }

    fn peer_address(&self) -> Option<&Arc<Address>> {
        let inner = self.inner().and_then(|inner| inner.peer_address());
        inner.or_else(|| Some(&self.header()?.addresses.as_ref()?.0))
    }

    fn local_address(&self) -> Option<&Arc<Address>> {
        let inner = self.inner().and_then(|inner| inner.local_address());
        inner.or_else(|| Some(&self.header()?.addresses.as_ref()?.1))
    }

    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        match self.header() {
            Some(header) if of == TypeId::of::<Header>() => Some(header),
            _ => self.inner()?.details(of),
        }
    }

    fn offload(&mut self) -> Option<&mut dyn Offload> {
        self.inner_mut()?.offload()
    }
}
