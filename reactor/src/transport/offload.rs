//! Transports whose work the kernel does.

use std::io;

use super::receive::open_rest;
use super::{failed, send_owed};
use crate::core::transport::{Control, End, Error, Keys, Layer, Offload, Output};
use crate::core::{Core, Flags, Pool, is_passing};
use crate::sys::{self, Cipher, Direction, HeldUp, Kernel, Suite, TlsVersion};
use crate::time::deadlines;

/// Determines which TLS cipher suites the kernel supports, using connections over the loopback
/// interface.
///
/// The result applies to the whole process. Call this before the threads of a server start, when
/// you create the factory of transports with an [`Offload`](super::Offload). Otherwise the first
/// handshake probes the kernel, and the other connections of its reactor have to wait. If the
/// process lacks the descriptors or memory to probe, the next handshake tries again. The result is
/// logged at level `info`. On systems other than Linux, this does nothing.
///
/// ```
/// sluicegate_reactor::transport::probe_kernel();
/// ```
pub fn probe_kernel() {
    // Probing one suite probes all.
    let any = Suite { version: TlsVersion::Tls13, cipher: Cipher::Aes128Gcm };
    let _ = Kernel::Os.supports_tls(any);
}

/// Leaves the records of a transport to the kernel, if both can. Called at the end of the
/// handshake.
pub(super) fn offload(core: &mut Core, index: u32) {
    let Some(layer) = core.connections[index as usize].layer() else { return };
    let suite = layer.call(&mut core.pool, |transport, _| {
        Ok(transport.offload().and_then(|offload| offload.suite()))
    });
    match suite {
        Ok(Some(suite)) if core.kernel.supports_tls(suite).is_ok() => {}
        Ok(_) => return,
        Err(error) => return failed(core, index, error),
    }
    open_rest(core, index);
    let c = &mut core[index];
    let socket = c.socket;
    let Some(layer) = c.layer() else { return };
    // The kernel begins with a whole record in each direction.
    let is_between_records = layer.incoming.len() == 0 && layer.outgoing.len() == 0;
    if !is_between_records || layer.end.is_some() {
        return;
    }
    if let Err(error) = core.kernel.attach_tls(socket) {
        log::debug!("{}: not offloaded to the kernel: {error}", core.describe(index));
        return;
    }
    match give_keys(core, index) {
        Ok(()) => {
            let (c, group) = core.pair(index);
            c.flags.set(Flags::STOPS_SHORT);
            group.ledger.offloaded += 1;
        }
        Err(error) => failed(core, index, error),
    }
}

/// Passes the keys of a transport to the kernel.
fn give_keys(core: &mut Core, index: u32) -> Result<(), Error> {
    let c = &mut core.connections[index as usize];
    let socket = c.socket;
    let Some(layer) = c.layer() else { return Ok(()) };
    let Keys { send, receive } = call(layer, &mut core.pool, |offload, _| offload.keys())?;
    layer.in_kernel = true;
    core.kernel.set_tls_key(socket, Direction::Send, &send)?;
    core.kernel.set_tls_key(socket, Direction::Receive, &receive)?;
    Ok(())
}

fn call<T>(
    layer: &mut Layer,
    pool: &mut Pool,
    act: impl FnOnce(&mut dyn Offload, &mut Output<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    layer.call(pool, |transport, out| match transport.offload() {
        Some(offload) => act(offload, out),
        None => Err("the transport no longer supports offloading".into()),
    })
}

/// Deals with an error of a receive on a connection whose records the kernel opens.
#[cold]
pub(crate) fn held_up(core: &mut Core, index: u32, error: &io::Error) {
    match sys::held_up(error) {
        Some(HeldUp::Record) => receive_record(core, index),
        Some(HeldUp::Damage) => fail(core, index, error),
        None => core.fail_with(index, error),
    }
}

/// Receives a record that is not data, and passes it to the transport.
fn receive_record(core: &mut Core, index: u32) {
    let c = &mut core.connections[index as usize];
    let ledger = &mut core.groups[c.group as usize].ledger;
    let Some(layer) = c.special.as_mut().and_then(|special| special.layer.as_deref_mut()) else {
        return;
    };
    ledger.recv_calls += 1;
    let (kind, count) = match core.kernel.recv_record(c.socket, &mut core.wire) {
        Ok(Some(record)) => record,
        Ok(None) => return end(core, index, End::Cut),
        Err(error) if is_passing(&error, Direction::Receive, &mut c.ready, ledger) => return,
        Err(error) if sys::held_up(&error).is_some() => return fail(core, index, &error),
        Err(error) => return core.fail_with(index, &error),
    };
    c.active = core.tick;
    let payload = &core.wire[..count];
    match call(layer, &mut core.pool, |offload, out| offload.control(kind, payload, out)) {
        Ok(Control::Nothing) => send_owed(core, index),
        Ok(Control::End) => {
            send_owed(core, index);
            end(core, index, End::Clean);
        }
        Ok(Control::Update { receive, send }) => {
            if layer.next_key.is_some() {
                let error = "the peer updates its key and does not read the responses";
                return failed(core, index, error.into());
            }
            layer.next_key = send;
            match core.kernel.set_tls_key(c.socket, Direction::Receive, &receive) {
                Ok(()) => send_owed(core, index),
                Err(error) => fail(core, index, &error),
            }
        }
        Err(error) => failed(core, index, error),
    }
}

/// Ends the input.
fn end(core: &mut Core, index: u32, end: End) {
    let c = &mut core[index];
    if let Some(layer) = c.layer() {
        layer.end = Some(end);
        core.end_input(index);
        deadlines::note_half_closed(core, index);
    }
}

/// Ends a connection because the kernel cannot continue with its records.
fn fail(core: &mut Core, index: u32, error: &io::Error) {
    let c = &mut core.connections[index as usize];
    let socket = c.socket;
    let Some(layer) = c.layer() else { return };
    // No update is answered any more.
    layer.outgoing.advance(layer.outgoing.len());
    layer.next_key = None;
    let failure = call(layer, &mut core.pool, |offload, out| Ok(offload.fail(error, out)));
    // Sends fail with the error of a damaged record until it was taken (`tls_err_abort`).
    let _ = core.kernel.take_error(socket);
    let error = failure.unwrap_or_else(|error| error);
    failed(core, index, error);
}
