//! Bytes in place of a PROXY protocol header, in any pieces: what is decided about some of them is
//! not changed by more, a header is written as it was parsed, and the handler gets what follows it.
//!
//! The first two bytes of an input choose the pieces and what stands behind the header.

#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::proxy_protocol::{AcceptProxy, Header, Tlv, Version};
use sluicegate_reactor::testing::{Harness, Records};
use sluicegate_reactor::{Address, Context, Handler, Input, Listen};

/// Keeps the address and the bytes of its client.
#[derive(Default)]
struct Recorder {
    peer: Option<Address>,
    bytes: Vec<u8>,
}

impl Handler for Recorder {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.peer = cx.peer_address().ok();
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        self.bytes.extend(input.take());
    }
}

/// Parses the bytes and each of their prefixes.
fn parse(bytes: &[u8]) -> Option<(Header, usize)> {
    let mut decided = None;
    for len in 0..=bytes.len() {
        let parsed = Header::parse(&bytes[..len]);
        match &decided {
            None if parsed == Ok(None) => {}
            None => decided = Some(parsed),
            Some(before) => assert_eq!(&parsed, before, "{len} bytes"),
        }
    }
    decided.and_then(|parsed| parsed.ok().flatten())
}

/// An address as it is written.
fn canonical(address: Option<&Address>) -> Option<Address> {
    address.map(|address| match address {
        Address::Ip(at) => SocketAddr::new(at.ip().to_canonical(), at.port()).into(),
        Address::Unix(_) => address.clone(),
    })
}

/// Writes a header and parses that.
fn round_trip(header: &Header) {
    let bytes = header.encode(Version::V2);
    let (again, end) = parse(&bytes).expect("what was written is valid");
    assert_eq!(end, bytes.len());
    for (one, other) in
        [(header.source(), again.source()), (header.destination(), again.destination())]
    {
        assert_eq!(canonical(one), canonical(other));
    }
    let checked = |header: &Header| {
        let tlvs = header.tlvs().filter(|tlv| tlv.kind != Tlv::CRC32C);
        tlvs.map(|tlv| (tlv.kind, tlv.value.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(checked(header), checked(&again));
    if let Some(ssl) = header.ssl() {
        let parts: usize = ssl.parts().map(|part| 3 + part.value.len()).sum();
        assert_eq!(header.tlvs().find(Tlv::SSL).map(<[u8]>::len), Some(5 + parts));
    }
    let line = header.encode(Version::V1);
    assert_eq!(parse(&line).map(|(_, end)| end), Some(line.len()));
}

fuzz_target!(|input: &[u8]| {
    let [size, behind, bytes @ ..] = input else { return };
    let parsed = parse(bytes);
    if let Some((header, _)) = &parsed {
        round_trip(header);
    }

    let inner = (behind % 2 == 1).then(Records::factory);
    let is_plain = inner.is_none();
    let trusted = vec!["0.0.0.0/0".parse().expect("a network")];
    let accept = AcceptProxy { trusted, inner, ..AcceptProxy::default() };
    let listen = Listen { transport: Some(accept.factory()), ..Listen::default() };
    let mut h = Harness::with(Recorder::default(), &listen);
    let client = h.open();
    let wire = h.address(client);
    for piece in bytes.chunks(1 + usize::from(*size)) {
        h.feed(client, piece);
    }
    h.finish(client);
    let recorder = h.handler();
    match parsed {
        Some((header, end)) if is_plain => {
            assert_eq!(recorder.peer.as_ref(), Some(header.source().unwrap_or(&wire)));
            assert_eq!(recorder.bytes, bytes[end..]);
        }
        Some(_) => {}
        None => assert_eq!((&recorder.peer, recorder.bytes.len()), (&None, 0)),
    }
});
