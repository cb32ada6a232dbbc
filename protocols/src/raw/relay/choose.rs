//! Choosing the target of a connection.

use std::borrow::Cow;
use std::rc::Rc;

use sluicegate_reactor::{Context, Target};

/// Chooses the targets of a [`Relay`](super::Relay), from the first bytes of each client or from
/// its address.
///
/// ```
/// use std::rc::Rc;
///
/// use sluicegate_protocols::raw::relay::{Choice, Choose, Relay};
/// use sluicegate_reactor::{Connect, Context, Listen, Reactor, Target};
///
/// /// SSH and HTTP on one port. (A client of SSH must speak first, as OpenSSH does.)
/// struct SshOrHttp {
///     ssh: Rc<Target>,
///     http: Rc<Target>,
/// }
///
/// impl Choose for SshOrHttp {
///     fn choose(&mut self, _: &Context<'_>, first: &[u8]) -> Choice {
///         match first.get(..4) {
///             None => Choice::Wait,
///             Some(b"SSH-") => Choice::to(&self.ssh),
///             Some(_) => Choice::to(&self.http),
///         }
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let target = |text: &str| text.parse().map(Rc::new);
/// let choose = SshOrHttp { ssh: target("localhost:22")?, http: target("localhost:80")? };
/// let mut reactor = Reactor::new()?;
/// let relay = Relay::register(&mut reactor, choose, &Connect::default(), None)?;
/// reactor.listen("127.0.0.1:0", &Listen::default(), relay)?;
/// # Ok(())
/// # }
/// ```
pub trait Choose: 'static {
    /// Called with no bytes when a client is accepted, and then with all bytes so far each time
    /// more bytes arrive, until the result is not [`Choice::Wait`].
    ///
    /// The client is closed if no choice is made within
    /// [`Limits::handshake`](sluicegate_reactor::Limits::handshake), or before it has sent
    /// [`Limits::max_unread`](sluicegate_reactor::Limits::max_unread) bytes.
    fn choose(&mut self, cx: &Context<'_>, first: &[u8]) -> Choice;
}

/// The result of [`Choose::choose`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// More bytes are needed.
    Wait,
    /// Relay the client to this target, which gets all bytes from the first one on.
    Connect {
        /// The target.
        target: Rc<Target>,
        /// The name of the target that the client requested, if known. It is sent in the PROXY
        /// header ([`Header::authority`](crate::proxy_protocol::Header::authority)).
        authority: Option<Box<str>>,
    },
    /// Close the client's connection.
    Refuse {
        /// The reason, which is logged at level `debug`.
        reason: Cow<'static, str>,
        /// The bytes to send to the client first.
        reply: &'static [u8],
    },
}

impl Choice {
    /// Relays to this target.
    #[must_use]
    pub fn to(target: &Rc<Target>) -> Choice {
        Choice::Connect { target: target.clone(), authority: None }
    }
}

/// The same target for all.
impl Choose for Rc<Target> {
    fn choose(&mut self, _: &Context<'_>, _: &[u8]) -> Choice {
        Choice::to(self)
    }
}
