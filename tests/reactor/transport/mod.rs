//! What stands between the wire and a handler: the handler sees what it would see without, and the
//! peer cannot harm it with what is not for the handler.

use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, Received, Records, State, Step, through};
use sluicegate_reactor::transport::{Error, Factory, Opened, Output, State as Phase, Transport};
use sluicegate_reactor::{Address, Context, Handler, Limits, Listen};

use crate::probe::{Call, Probe, log};

mod around_starting;
mod ending;
mod handshake;
mod offload;
mod receiving;
mod sending;
mod starting;

/// A record of the [`Records`] transport.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend((payload.len() as u16).to_be_bytes());
    record.extend(payload.iter().map(|byte| !byte));
    record
}

fn greeting() -> Vec<u8> {
    record(b'g', b"hi")
}

/// The records that were sent, as `kind payload` each, the greeting of the server left out.
fn records(wire: &Received) -> Vec<String> {
    let (mut rest, mut found): (&[u8], Vec<String>) = (wire, Vec::new());
    while let [kind, high, low, behind @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (payload, behind) = behind.split_at(len);
        rest = behind;
        let payload: Vec<u8> = payload.iter().map(|byte| !byte).collect();
        let text = match payload.len() {
            0..32 => payload.escape_ascii().to_string(),
            len => format!("of {len}"),
        };
        found.push(format!("{} {text}", char::from(*kind)));
    }
    assert!(rest.is_empty(), "half a record");
    found.retain(|record| !record.starts_with('g'));
    found
}

/// A harness whose clients write their records themselves.
fn sealed(probe: Probe, limits: Limits) -> Harness<Probe> {
    let transport = Some(Records::factory());
    Harness::with(probe, &Listen { transport, limits, ..Listen::default() })
}

/// A client that has greeted.
fn open<H: Handler>(h: &mut Harness<H>) -> Client {
    let client = h.open();
    h.feed(client, greeting());
    client
}

fn sent(h: &mut Harness<Probe>, client: Client) -> Vec<String> {
    records(&h.sent(client))
}
