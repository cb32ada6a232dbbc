//! The receiving side.

use std::any::{Any, TypeId};

use sluicegate_reactor::Address;
use sluicegate_reactor::transport::{Error, Factory, Opened, Output, State, Transport};

use super::{Header, Network};

/// What happens to connections from untrusted addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They are reset.
    #[default]
    Refuse,
    /// They have no header. If they send one, the handler gets it.
    Plain,
}

/// Which connections begin with a PROXY header, and what follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptProxy {
    /// Where proxies connect from. Each of their connections must begin with a header, which may
    /// claim any address. By default nobody is trusted.
    pub trusted: Vec<Network>,
    /// What happens to other connections. By default they are refused.
    pub others: Others,
    /// Creates the transport behind the header, such as TLS, from the address of the client. By
    /// default there is none: the handler gets what follows the header.
    pub inner: Option<Factory<Address>>,
}

impl AcceptProxy {
    /// The factory for [`Listen::transport`](sluicegate_reactor::Listen).
    #[must_use]
    pub fn factory(self) -> Factory<Address> {
        Factory::new(move |peer| self.make(peer))
    }

    fn make(&self, peer: &Address) -> Result<Option<Box<dyn Transport>>, Error> {
        if self.trusted.iter().any(|network| network.contains(peer)) {
            let inner = self.inner.clone();
            return Ok(Some(Box::new(Accepted::Waiting { peer: peer.clone(), inner })));
        }
        match self.others {
            Others::Refuse => Err(format!("{peer} is not a trusted proxy").into()),
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
    Waiting { peer: Address, inner: Option<Factory<Address>> },
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
        let Accepted::Waiting { peer, inner } = self else { return Ok(Opened::Incomplete) };
        let Some((header, consumed)) = Header::parse(wire)? else { return Ok(Opened::Incomplete) };
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

    fn peer_address(&self) -> Option<&Address> {
        let inner = self.inner().and_then(|inner| inner.peer_address());
        inner.or_else(|| self.header()?.source())
    }

    fn local_address(&self) -> Option<&Address> {
        let inner = self.inner().and_then(|inner| inner.local_address());
        inner.or_else(|| self.header()?.destination())
    }

    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        match self.header() {
            Some(header) if of == TypeId::of::<Header>() => Some(header),
            _ => self.inner()?.details(of),
        }
    }
}
