//! Who receives the messages to which channels.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluicegate_protocols::resp::{Encoder, Version};
use sluicegate_reactor::{Bytes, ConnId, Turn};

use super::glob;

/// With more bytes queued than this, a subscriber that does not read is disconnected. It is the
/// default of Redis, and twice the longest command: all that is published in a turn is queued
/// before any of it is sent.
const MOST_QUEUED: u64 = 32 << 20;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
}

type Members = BTreeMap<ConnId, Version>;

/// The subscribers, by channel and by pattern.
#[derive(Default)]
pub(crate) struct Subscriptions {
    channels: HashMap<Bytes, Members>,
    patterns: BTreeMap<Bytes, Members>,
}

/// The channels and patterns of one client.
#[derive(Default)]
pub(crate) struct Subscribed {
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
}

impl Subscribed {
    pub(crate) fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn of(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

impl Subscriptions {
    /// The number of channels that have subscribers.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The number of patterns that have subscribers.
    pub(crate) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Adds a subscription, or changes the version of its client.
    pub(crate) fn add(&mut self, kind: Kind, name: &Bytes, id: ConnId, version: Version) {
        let members = match kind {
            Kind::Channel => self.channels.entry(name.clone()).or_default(),
            Kind::Pattern => self.patterns.entry(name.clone()).or_default(),
        };
        members.insert(id, version);
    }

    pub(crate) fn remove(&mut self, kind: Kind, name: &[u8], id: ConnId) {
        let members = match kind {
            Kind::Channel => self.channels.get_mut(name),
            Kind::Pattern => self.patterns.get_mut(name),
        };
        let Some(members) = members else { return };
        members.remove(&id);
        if members.is_empty() {
            match kind {
                Kind::Channel => _ = self.channels.remove(name),
                Kind::Pattern => _ = self.patterns.remove(name),
            }
        }
    }

    pub(crate) fn remove_all(&mut self, id: ConnId, subscribed: &Subscribed) {
        subscribed.channels.iter().for_each(|name| self.remove(Kind::Channel, name, id));
        subscribed.patterns.iter().for_each(|name| self.remove(Kind::Pattern, name, id));
    }

    /// Changes the version of a client's subscriptions.
    pub(crate) fn set_version(&mut self, id: ConnId, subscribed: &Subscribed, version: Version) {
        subscribed.channels.iter().for_each(|name| self.add(Kind::Channel, name, id, version));
        subscribed.patterns.iter().for_each(|name| self.add(Kind::Pattern, name, id, version));
    }

    /// Sends a message to the subscribers of a channel and of the patterns that match it. Returns
    /// how many receive it, each subscription counted.
    pub(crate) fn publish(&self, cx: &mut Turn, channel: &[u8], message: &[u8]) -> usize {
        let mut count = 0;
        if let Some(members) = self.channels.get(channel) {
            count += send(cx, members, &[b"message", channel, message]);
        }
        for (pattern, members) in &self.patterns {
            if glob::matches(pattern, channel) {
                count += send(cx, members, &[b"pmessage", pattern, channel, message]);
            }
        }
        count
    }
}

/// Sends a push to all members, who share its bytes. Returns how many receive it.
fn send(cx: &mut Turn, members: &Members, parts: &[&[u8]]) -> usize {
    let encode = |version| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, version);
        encoder.push(parts.len());
        parts.iter().for_each(|part| _ = encoder.bulk(part));
        Bytes::from(bytes)
    };
    let resp2 = LazyCell::new(|| encode(Version::Resp2));
    let resp3 = LazyCell::new(|| encode(Version::Resp3));
    let mut count = 0;
    for (id, version) in members {
        let mut peer = cx.peer(*id);
        // One that was disconnected stays a member until the end of the turn.
        if !peer.is_open() {
            continue;
        }
        count += 1;
        peer.send(match version {
            Version::Resp2 => &*resp2,
            Version::Resp3 => &*resp3,
        });
        if peer.pending() > MOST_QUEUED {
            log::warn!("{}: disconnected: the subscriber does not read", peer.describe());
            peer.abort();
        }
    }
    count
}
