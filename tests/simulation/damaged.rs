//! TLS records that are changed on their way: each ends its connection with an alert, and nothing
//! of it or after it is delivered.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use sluicegate_protocols::testing::{client_end, over_tls};
use sluicegate_protocols::tls::Version;
use sluicegate_reactor::testing::{Faults, Simulation};
use sluicegate_reactor::transport::{Error, Factory, Opened, Output, State, Transport};
use sluicegate_reactor::{Address, ConnId, Context, Handler, Input, Listen, Reason, Turn};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:7";

/// The most plain bytes of a record.
const RECORD: usize = 16 << 10;

/// What happens to a record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    /// A bit of one byte is inverted: this one, counted from the end.
    Changed(usize),
    /// So many bytes are missing at its end.
    Truncated(usize),
    Dropped,
    Repeated,
    /// It arrives behind the next one.
    Late,
}

/// What a client has seen.
#[derive(Default)]
struct Seen {
    /// The number of plain bytes whose records have left unharmed and in order.
    unharmed: usize,
    /// Why the connection has failed.
    error: String,
}

/// A client's end of a connection that damages the record with a certain byte.
struct Damaging {
    inner: Box<dyn Transport>,
    damage: Damage,
    /// The position of the byte.
    at: usize,
    sealed: usize,
    late: Option<Vec<u8>>,
    seen: Arc<Mutex<Seen>>,
}

/// Makes such ends.
fn damaging(damage: Damage, at: usize, seen: &Arc<Mutex<Seen>>) -> Factory<Address> {
    let (clients, seen) = (client_end(), seen.clone());
    Factory::new(move |address| {
        let inner = clients.make(address)?.expect("TLS");
        let seen = seen.clone();
        Ok(Some(Box::new(Damaging { inner, damage, at, sealed: 0, late: None, seen })))
    })
}

impl Damaging {
    /// Puts out a record that may hold the byte in question, or one that follows it.
    fn put(&mut self, plain_len: usize, record: &[u8], out: &mut Output<'_>) {
        let is_hit = (self.sealed..self.sealed + plain_len).contains(&self.at);
        self.sealed += plain_len;
        if !is_hit {
            out.put(record);
            out.put(&self.late.take().unwrap_or_default());
            return;
        }
        let mut unharmed = self.sealed - plain_len;
        match self.damage {
            Damage::Changed(from_end) => {
                let mut record = record.to_vec();
                let position = record.len() - from_end;
                record[position] ^= 0x10;
                out.put(&record);
            }
            Damage::Truncated(missing) => out.put(&record[..record.len() - missing]),
            Damage::Dropped => {}
            Damage::Repeated => {
                unharmed = self.sealed;
                out.put(record);
                out.put(record);
            }
            Damage::Late => self.late = Some(record.to_vec()),
        }
        self.seen.lock().expect("one thread").unharmed = unharmed;
    }
}

impl Transport for Damaging {
    fn start(&mut self, out: &mut Output<'_>) -> Result<(), Error> {
        self.inner.start(out)
    }

    /// An error becomes the end of the stream, since the client expects none.
    fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error> {
        self.inner.open(wire, out).or_else(|error| {
            self.seen.lock().expect("one thread").error = error.to_string();
            Ok(Opened::End)
        })
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        let (result, wire) = Output::collect(|out| self.inner.seal(plain, out));
        if result.is_err() {
            // It has failed, which the client did not learn.
            return Ok(());
        }
        let mut wire = &wire[..];
        for piece in plain.chunks(RECORD) {
            let length = 5 + usize::from(u16::from_be_bytes([wire[3], wire[4]]));
            let (record, rest) = wire.split_at(length);
            self.put(piece.len(), record, out);
            wire = rest;
        }
        result
    }

    fn close(&mut self, out: &mut Output<'_>) {
        let ((), record) = Output::collect(|out| self.inner.close(out));
        self.put(0, &record, out);
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        self.inner.details(of)
    }
}

/// Sends everything back once a stream has ended, and keeps what it has received on connections
/// whose transport has failed.
struct Collect {
    failed: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Handler for Collect {
    type Session = Vec<u8>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn on_data(&mut self, _: &mut Context<'_>, received: &mut Vec<u8>, input: &mut Input<'_>) {
        received.extend(input.take());
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, received: &mut Vec<u8>) {
        cx.send(&received[..]);
        cx.close();
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, received: Vec<u8>, reason: Reason) {
        if reason == Reason::Transport {
            self.failed.borrow_mut().push(received);
        }
    }
}

#[test]
fn a_damaged_record_ends_its_connection_with_an_alert_and_delivers_nothing() {
    // An alert is lost if the socket or the kernel has no room for it.
    let faults = Faults { would_block: 0.0, no_buffers: 0.0, ..Faults::default() };
    let simulation = Simulation::new().faults(faults);
    over_tls(&[Version::Tls12, Version::Tls13], || {
        simulation.run(|sim| {
            let failed = Rc::new(RefCell::new(Vec::new()));
            let collect = Collect { failed: failed.clone() };
            sim.reactor(|reactor| {
                let collect = reactor.register(Watched::new(collect));
                reactor.listen(ADDRESS, &Listen::default(), collect).expect("the address is free");
            });
            for _ in 0..sim.below(4) {
                let bytes = noise([10, 3000, 60_000][sim.below(3)]);
                sim.client(ADDRESS).sends(&bytes).finishes().expects(&bytes);
            }
            let damage = match sim.below(5) {
                0 => Damage::Changed(1 + sim.below(17)),
                // Not more than what follows it at least, so that the server waits for nothing; and
                // nothing of its header, in place of which the next one would state a wrong length.
                1 => Damage::Truncated(1 + sim.below(17)),
                2 => Damage::Dropped,
                3 => Damage::Repeated,
                _ => Damage::Late,
            };
            let bytes = noise([10, 3000, 60_000][sim.below(3)]);
            let seen = Arc::new(Mutex::new(Seen::default()));
            let factory = damaging(damage, sim.below(bytes.len()), &seen);
            let victim = sim.client(ADDRESS).through(factory).sends(&bytes).finishes();
            sim.run();
            let Seen { unharmed, error } = &*seen.lock().expect("one thread");
            if !victim.is_spoilt() {
                assert_eq!(error, "TLS: received fatal alert: BadRecordMac", "{damage:?}");
                let failed = failed.borrow();
                // The handler does not learn of a connection that fails before anything else.
                let is_unknown = failed.is_empty() && *unharmed == 0;
                assert!(is_unknown || *failed == [&bytes[..*unharmed]], "{damage:?}");
            }
            assert_eq!(victim.received(), "", "{damage:?}");
        });
    });
}
