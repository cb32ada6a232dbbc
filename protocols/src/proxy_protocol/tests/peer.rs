//! The other end of a connection that has a transport after its header.

use sluicegate_reactor::testing::Records;
use sluicegate_reactor::transport::{Opened, Output, Transport};

use crate::proxy_protocol::{Header, SendProxy, Version};

/// Speaks [`Records`], perhaps behind a header.
pub(super) struct Peer(Box<dyn Transport>);

impl Peer {
    pub(super) fn new() -> Peer {
        Peer(Box::new(Records::default()))
    }

    pub(super) fn behind(header: &Header, version: Version) -> Peer {
        Peer(Box::new(SendProxy::new(header, version).then(Box::new(Records::default()))))
    }

    /// What it sends first.
    pub(super) fn greeting(&mut self) -> Vec<u8> {
        Output::collect(|out| self.0.start(out).expect("a greeting")).1
    }

    pub(super) fn seal(&mut self, text: &str) -> Vec<u8> {
        Output::collect(|out| self.0.seal(text.as_bytes(), out).expect("records")).1
    }

    pub(super) fn end(&mut self) -> Vec<u8> {
        Output::collect(|out| self.0.close(out)).1
    }

    /// What whole records say, and whether the last of them is the end.
    pub(super) fn open(&mut self, wire: &[u8]) -> (String, bool) {
        let (mut wire, mut text) = (wire.to_vec(), String::new());
        while !wire.is_empty() {
            let opened = Output::collect(|out| self.0.open(&mut wire, out)).0;
            match opened.expect("records") {
                Opened::Bytes { consumed, plain } => {
                    text += str::from_utf8(&wire[plain]).expect("text");
                    wire.drain(..consumed);
                }
                Opened::Incomplete => panic!("{} is incomplete", wire.escape_ascii()),
                Opened::End => return (text, true),
            }
        }
        (text, false)
    }
}
