//! The invariants of a reactor with any handlers.

use crate::core::transport::Layer;
use crate::core::{Connection, Flags, Ledger, NO_SESSION, Phase, Queue, is_due};
use crate::inbound;
use crate::sys::sim::{OpenDescriptors, World};
use crate::sys::{NO_FD, Ready};
use crate::time::deadlines;
use crate::turn::reactor::Reactor;

/// Checked after every turn.
pub(super) fn after_turn(reactor: &Reactor, world: &World) {
    if let Some(misuse) = world.misuse() {
        panic!("the reactor misused a descriptor: {misuse}");
    }
    let ledger = reactor.ledger();
    let pending: u64 = connections(reactor).map(Connection::pending).sum();
    assert_eq!(
        ledger.queued,
        ledger.sent + ledger.dropped + pending,
        "queued = sent + dropped + pending; pending is {pending} and the ledger {ledger:?}"
    );
    let Ledger { write_through, send_bytes, gather_bytes, sendfile_bytes, .. } = ledger;
    let Ledger { splice_bytes, sealed_bytes, .. } = ledger;
    let ways = send_bytes + gather_bytes + sendfile_bytes + splice_bytes + sealed_bytes;
    assert_eq!(ledger.sent, ways, "sent = the sum of the ways to send: {ledger:?}");
    assert!(write_through <= send_bytes, "write_through is part of send_bytes: {ledger:?}");
    let apart = ledger.direct_bytes + ledger.received_by_splice;
    assert!(apart <= ledger.received, "the ways to receive are parts of received: {ledger:?}");
    let open = connections(reactor).count() as u64;
    let begun = ledger.accepted + ledger.adopted + ledger.connects;
    assert_eq!(begun, ledger.closed + open, "accepted + adopted + connects = closed + open");
    let with_session = connections(reactor).filter(|c| c.slot != NO_SESSION).count();
    assert_eq!(reactor.handlers.sessions(), with_session, "each session has one connection");
    for c in connections(reactor) {
        let limits = reactor.turn.core.limits(c.group);
        let most = limits.max_unread.max(limits.max_exact) + reactor.receive.len();
        assert!(c.unread() <= most, "a connection keeps {} bytes of input", c.unread());
        let limits = reactor.turn.core.limits(c.group);
        // If the water marks are the wrong way round, a queue can be both.
        let full = |queue: &Queue| queue.is_full(limits) && !queue.is_low(limits);
        let fills = c.outbound.as_ref().is_some_and(|queue| full(queue));
        // Its feeder waits until the queue is empty.
        let fed = c.special.as_ref().is_some_and(|special| special.feeder.is_some());
        let stops = fed || c.flags.any(Flags::FULL);
        assert!(!fills || stops, "a full queue does not stop the input that fills it");
    }
    let core = &reactor.turn.core;
    // Adding up allocates, which tests of allocations would count.
    if core.budget.is_some() {
        // Batches are whole buffers, however little was received into them.
        let (held, batches) = (core.held(), core.batches.held + core.batches.spare_size());
        assert!(
            held <= core.volume() + batches as u64,
            "a connection holds what it was never given"
        );
    }
    check_handshakes(reactor);
    let scheduled = connections(reactor).filter(|c| c.link.is_linked()).count();
    assert_eq!(reactor.turn.core.wheel.len(), scheduled, "each deadline has a connection");
    check_ends(reactor, world);
}

/// Checks that each handshake in progress is counted in its group.
fn check_handshakes(reactor: &Reactor) {
    let mut handshaking = vec![0; reactor.turn.core.groups.len()];
    for c in connections(reactor).filter(|c| layer(c).is_some_and(|layer| layer.handshaking)) {
        handshaking[usize::from(c.group)] += 1;
    }
    let counted: Vec<u32> =
        reactor.turn.core.groups.iter().map(|group| group.handshaking).collect();
    assert_eq!(counted, handshaking, "the handshakes in progress");
}

/// Checked after every turn of one of the reactors of a world: each socket belongs to a connection.
pub(super) fn sockets<'a>(reactors: impl Iterator<Item = &'a Reactor>, world: &World) {
    let have_one = |reactor| connections(reactor).filter(|c| c.socket != NO_FD).count();
    let held = |reactor: &Reactor| {
        reactor.turn.listeners.iter().flatten().filter(|listener| listener.holds_one()).count()
    };
    let known: usize = reactors.map(|reactor| have_one(reactor) + held(reactor)).sum();
    assert_eq!(world.open_descriptors().streams, known, "a socket is open without a connection");
}

/// Checks that an end is noted only where there is one: an event never reaches another connection
/// than its own. (An event may always say that there is data or room.)
fn check_ends(reactor: &Reactor, world: &World) {
    for c in connections(reactor).filter(|c| c.socket != NO_FD) {
        let (ready, _) = world.stream_status(c.socket);
        for end in [Ready::READ_END, Ready::HANGUP] {
            assert!(
                ready.any(end) || !c.ready.any(end),
                "a connection was told that another one has ended: {ready:?}, noted {:?}",
                c.ready
            );
        }
    }
}

/// Checked when the reactor would sleep: everything that could be done has been done.
pub(super) fn at_rest(reactor: &Reactor, world: &World) {
    for c in connections(reactor).filter(|c| c.socket != NO_FD) {
        let (ready, held) = world.stream_status(c.socket);
        let (phase, noted) = (c.phase, c.ready);
        let has_ended = c.flags.any(Flags::INPUT_ENDED);
        let open = c.wants_input() && !has_ended;
        // One that lingers cannot get past a record that the kernel cannot open.
        let lingers = phase == Phase::Lingering && !has_ended;
        assert!(
            !(open || lingers) || !ready.any(Ready::READ),
            "a connection sleeps with input to receive: {phase:?}, {ready:?}, noted {noted:?}"
        );
        assert!(
            phase != Phase::Handshake || c.sends_clear() || !ready.any(Ready::READ),
            "a handshake sleeps with input to receive: {ready:?}, noted {noted:?}"
        );
        let holds_more = |layer: &Layer| layer.plain.len() > 0 || layer.holds_units;
        assert!(
            !open || !layer(c).is_some_and(holds_more),
            "a connection sleeps with input in its transport: {phase:?}, noted {noted:?}"
        );
        assert!(
            phase != Phase::Connecting || ready == Ready::default(),
            "a connection sleeps and misses the end of its connect: {ready:?}, noted {noted:?}"
        );
        assert!(
            !inbound::is_blocked_in_vain(&reactor.turn.core, c),
            "a relay sleeps although its destination has room"
        );
        let sends = c.outbound.is_some();
        // What follows its handshake waits for that.
        let seals = phase == Phase::Handshake && !c.sends_clear();
        let waits =
            c.outbound.as_ref().is_some_and(|queue| queue.waits_for_disk) || c.waits_for_rate();
        assert!(
            !sends || waits || seals || !ready.any(Ready::WRITE),
            "a connection sleeps with room to send: {phase:?}, {ready:?}, noted {noted:?}"
        );
        let owes = layer(c).is_some_and(|layer| layer.outgoing.len() > 0);
        assert!(
            !owes || sends || phase == Phase::Handshake,
            "a connection sleeps without a queue for what its transport has put out: {phase:?}"
        );
        assert!(
            sends || !held,
            "the last bytes sent are held back, MSG_MORE without more: {phase:?}"
        );
        if let Some((due, which)) = deadlines::first(&reactor.turn.core, c) {
            // Of several deadlines that have passed, one is reported in each tick.
            let tick = reactor.turn.core.tick;
            let latest = if is_due(due, tick) { tick.wrapping_add(1) } else { due };
            let watched = c.link.due().is_some_and(|at| is_due(at, latest));
            assert!(watched, "a deadline is not in the wheel: {phase:?}, {which:?}");
        }
    }
}

/// Checked when everything was closed.
pub(super) fn at_end(reactor: &Reactor, world: &World) {
    after_turn(reactor, world);
    assert_eq!(connections(reactor).count(), 0, "connections are left");
    assert_eq!(reactor.handlers.sessions(), 0, "sessions are left");
    assert!(reactor.turn.core.wheel.is_empty(), "deadlines are left");
    assert_eq!(reactor.turn.timers.next(), None, "timers are left");
}

/// Dropped after its reactor; checks then that nothing is open any more.
pub(super) struct NothingOpen(pub(super) World);

impl Drop for NothingOpen {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.open_descriptors(), OpenDescriptors::default(), "still open");
            assert_eq!(self.0.files().temporary(), 0, "temporary files are left");
        }
    }
}

fn layer(c: &Connection) -> Option<&Layer> {
    c.special.as_ref()?.layer.as_deref()
}

fn connections(reactor: &Reactor) -> impl Iterator<Item = &Connection> {
    reactor.turn.core.connections.iter().map(|(_, connection)| connection)
}
