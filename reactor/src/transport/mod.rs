//! Filters between the wire and a handler: encryption, a preamble, or any other transformation of
//! the bytes.
//!
//! A [`Transport`] belongs to one connection. It opens the bytes that arrive and seals the bytes
//! that are sent, for example by decrypting and encrypting them. The handler, its limits and its
//! deadlines see only plain bytes. A [`Factory`] creates the transport:
//! [`Listen::transport`](crate::Listen) for accepted connections and
//! [`Connect::transport`](crate::Connect) for outgoing ones.
//!
//! A connection begins with the transport's handshake, which must complete within
//! [`Limits::handshake`](crate::Limits::handshake). Then the handler gets
//! [`on_open`](crate::Handler::on_open) or [`on_ready`](crate::Handler::on_ready). If the handshake
//! of an accepted connection fails, the handler gets no callback.
//!
//! A protocol that begins in the clear and then switches to TLS, as SMTP does after `STARTTLS`, starts
//! the transport with [`Context::start_transport`](crate::Context::start_transport).
//!
//! | without a transport, or with [one in the kernel](#tls-in-the-kernel) | with one |
//! |---|---|
//! | pieces are joined or gathered for one send | joined to full records, which leave in one send |
//! | regions of files are sent with `sendfile` | read into a buffer, and sealed from there |
//! | long relays use `splice` | copied through the reactor's buffers |
//! | received into files or into separate buffers | the same |
//!
//! Without a transport, sending a file takes no memory, even if the peer reads slowly. With a
//! transport, up to 64 KiB of sealed bytes are kept for each slow peer.
//!
//! Watermarks, rates and counters apply to plain bytes. [`Ledger::wire_received`](crate::Ledger)
//! and [`Ledger::wire_sent`](crate::Ledger) count the bytes on the wire. Plain bytes count as sent
//! once all of the sealed bytes that contain them have been sent.
//!
//! If the peer's socket ends before its transport does, the input ends as usual, and
//! [`Context::is_cut`](crate::Context::is_cut) returns `true`. A relay then resets its destination,
//! and its source too if the two relay to each other, and a file whose end is marked by the end of
//! the stream is not kept.
//!
//! # TLS in the kernel
//!
//! Linux can open and seal the records of TLS (kTLS, `Documentation/networking/tls.rst`; the module
//! `tls`, which `modprobe tls` loads). A transport that implements [`Offload`] gives its keys to
//! the kernel at the end of the handshake. The connection then sends and receives plain bytes, like
//! a connection without a transport. It remains [secure](crate::Context::is_secure), and
//! [`Context::transport`](crate::Context::transport) still returns what was negotiated.
//!
//! Records without application data still go to the transport: alerts, session tickets and key
//! updates. The kernel delivers no data after such a record until the reactor has received the
//! record. The end of the stream is an alert too. The reactor sends this alert once the socket has
//! accepted everything before it, and then shuts down the socket's sending side.
//!
//! The kernel must start at a record boundary. The transport opens complete records that arrived
//! together with the handshake. If it answers one of them, if they are followed by a partial
//! record, or if the socket has no room for the end of the handshake, the transport keeps doing the
//! work. This is also the case if the kernel lacks the module or the cipher, which [`probe_kernel`]
//! detects. FreeBSD also has kernel TLS, but the reactor does not use it.
//!
//! A receive may stop in front of a record without application data. Therefore only `EAGAIN` tells
//! the reactor that the socket is empty, which costs one more call per request, so small responses
//! gain nothing from kernel TLS. The kernel does not report the size of the records on the wire.
//! [`Ledger::offloaded`](crate::Ledger) counts the connections that use it.
//!
//! # Example
//!
//! This filter inverts every byte, without a handshake and without records:
//!
//! ```
//! use sluicegate_reactor::testing::Harness;
//! use sluicegate_reactor::transport::{Error, Factory, Opened, Output, State, Transport};
//! use sluicegate_reactor::{Context, Handler, Input, Listen};
//!
//! struct Inverted;
//!
//! impl Transport for Inverted {
//!     fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
//!         wire.iter_mut().for_each(|byte| *byte = !*byte);
//!         Ok(Opened::Bytes { consumed: wire.len(), plain: 0..wire.len() })
//!     }
//!     fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
//!         let room = out.room(plain.len());
//!         room.iter_mut().zip(plain).for_each(|(to, byte)| *to = !byte);
//!         out.filled(plain.len());
//!         Ok(())
//!     }
//!     fn state(&self) -> State {
//!         State::Open
//!     }
//! }
//!
//! struct Upper;
//!
//! impl Handler for Upper {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         cx.send(input.take().to_ascii_uppercase());
//!     }
//! }
//!
//! let transport = Some(Factory::new(|_| Ok(Some(Box::new(Inverted)))));
//! let mut h = Harness::with(Upper, &Listen { transport, ..Listen::default() });
//! let client = h.open();
//! h.feed(client, b"hello".map(|byte| !byte));
//! assert_eq!(h.sent(client), b"HELLO".map(|byte| !byte));
//! ```

mod handshake;
mod offload;
mod receive;

pub use crate::core::transport::{
    Control, Error, Factory, Keys, Offload, Opened, Output, State, Transport,
};
pub use crate::sys::{Cipher, Key, Suite, TlsVersion};
pub(crate) use handshake::{accepted, advance, begin, start, timed_out};
pub(crate) use offload::held_up;
pub use offload::probe_kernel;
pub(crate) use receive::receive;

use std::io;

use crate::core::transport::Layer;
use crate::core::{Core, Flags};
use crate::outbound;
use crate::sys::retry;

/// Ends a stream, once, when everything else has been sent.
pub(crate) fn close(core: &mut Core, index: u32) {
    match write_end(core, index) {
        Some(Ok(())) => send_owed(core, index),
        Some(Err(error)) => failed(core, index, error),
        None => {}
    }
}

/// Drops the transport of a connection that ends in this turn, after it has ended its stream if
/// `in_order`. Returns whether that failed: the socket did not take the end.
pub(crate) fn end(core: &mut Core, index: u32, layer: Box<Layer>, in_order: bool) -> bool {
    core.special(index).layer = Some(layer);
    let written = in_order.then(|| write_end(core, index)).flatten();
    let is_cut = written.is_some_and(|end| end.is_err() || send_out(core, index).is_err());
    core.drop_buffers(index);
    is_cut
}

/// Lets a transport write the end of its stream. `None` if it has, or has nothing to end.
fn write_end(core: &mut Core, index: u32) -> Option<Result<(), Error>> {
    let layer = core.connections[index as usize].layer()?;
    if layer.handshaking || std::mem::replace(&mut layer.closed, true) {
        return None;
    }
    let close = |transport: &mut dyn Transport, out: &mut Output<'_>| {
        transport.close(out);
        Ok(())
    };
    Some(layer.call(&mut core.pool, close))
}

/// Queues what a transport has put out. Nothing can follow the end of the stream.
fn send_owed(core: &mut Core, index: u32) {
    let c = &mut core.connections[index as usize];
    let has_ended = c.flags.any(Flags::SHUT_WR_DONE);
    let owes = |layer: &&mut Layer| layer.outgoing.len() > 0 && !layer.handshaking;
    let Some(layer) = c.layer().filter(owes) else { return };
    if has_ended {
        return core.pool.give(std::mem::take(&mut layer.outgoing));
    }
    let _ = outbound::append(core, index, |queue, _| queue.owes_wire = true);
}

/// Ends a connection whose transport has failed. What the transport has put out, such as an alert,
/// is sent if the socket takes it.
#[cold]
fn failed(core: &mut Core, index: u32, error: Error) {
    let _ = send_out(core, index);
    core.fail_transport(index, error);
}

/// Sends what a transport has put out, as far as the socket takes it: a call that is short or
/// interrupted is repeated.
fn send_out(core: &mut Core, index: u32) -> io::Result<()> {
    let c = &mut core.connections[index as usize];
    let ledger = &mut core.groups[c.group as usize].ledger;
    let socket = c.socket;
    let Some(layer) = c.layer() else { return Ok(()) };
    while layer.outgoing.len() > 0 {
        retry(|| outbound::transmit_sealed(&core.kernel, socket, layer, &mut core.pool, ledger))?;
    }
    Ok(())
}
