//! The transport of the current connection.

use super::Context;
use crate::core::transport::Transport;
use crate::transport;

impl Context<'_> {
    /// Starts a [transport](crate::transport) on an open connection that has none, for protocols
    /// that begin in the clear and switch to TLS, such as SMTP with `STARTTLS` (RFC 3207).
    ///
    /// What is already queued is sent in the clear. Then the transport starts, and whatever is sent
    /// from now on goes through it. Its handshake must complete within
    /// [`Limits::handshake`](crate::Limits::handshake). Then
    /// [`on_ready`](crate::Handler::on_ready) is called, also on a connection that the handler has
    /// accepted, and the input is what the transport opens.
    /// [`wants_input`](Context::wants_input) and [`is_secure`](Context::is_secure) are false until
    /// then.
    ///
    /// The session stays the same. What the peer has said before the handshake is not protected, so
    /// a protocol must forget it (RFC 3207, section 4.2).
    ///
    /// The connection ends with [`Reason::Transport`](crate::Reason::Transport), and
    /// [`transport_error`](crate::Turn::transport_error) says why:
    ///
    /// - if the callback leaves input unconsumed. An attacker may have inserted it, and nothing may
    ///   follow the command that starts TLS;
    /// - if the connection is not open or has a transport, is part of a relay, or receives into a
    ///   buffer or a file;
    /// - if the handshake fails. If the peer hangs up in it, the reason is
    ///   [`Reset`](crate::Reason::Reset), and if it takes too long,
    ///   [`TimedOut`](crate::Reason::TimedOut).
    ///
    /// Nothing happens if the connection is closing.
    ///
    /// ```
    /// use sluicegate_reactor::transport::Factory;
    /// use sluicegate_reactor::{Address, Context, Handler, Input};
    ///
    /// struct Mail {
    ///     tls: Factory<Address>,
    /// }
    ///
    /// impl Handler for Mail {
    ///     type Session = ();
    ///     fn on_open(&mut self, cx: &mut Context<'_>) {
    ///         cx.send("220 mail.example\r\n");
    ///     }
    ///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         if input.strip_prefix(b"STARTTLS\r\n").is_none() {
    ///             return;
    ///         }
    ///         input.consume(10);
    ///         let peer = cx.peer_address().ok();
    ///         match peer.and_then(|peer| self.tls.make(&peer).ok()?) {
    ///             Some(transport) => {
    ///                 cx.send("220 Ready to start TLS\r\n");
    ///                 cx.start_transport(transport);
    ///             }
    ///             None => {
    ///                 cx.send("454 TLS not available\r\n");
    ///             }
    ///         }
    ///     }
    ///     fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
    ///         assert!(cx.is_secure());
    ///     }
    /// }
    /// ```
    pub fn start_transport(&mut self, transport: Box<dyn Transport>) {
        self.with(|core, index| transport::start(core, index, transport));
    }

    /// Whether the connection's [transport](crate::transport) protects its bytes, as TLS does.
    pub fn is_secure(&self) -> bool {
        let special = self.core[self.index].special.as_ref();
        special.is_some_and(|special| special.is_secure())
    }

    /// The details that the connection's [transport](crate::transport) has about the peer, if they
    /// are of type `T`.
    pub fn transport<T: 'static>(&self) -> Option<&T> {
        self.transport_of(self.id())
    }

    /// Whether the peer's stream ended without the end marker of its [transport](crate::transport),
    /// so that an attacker may have truncated it. If the end of the stream completes a message in a
    /// protocol, the message must then be treated as incomplete.
    pub fn is_cut(&self) -> bool {
        self.core[self.index].is_cut()
    }
}
