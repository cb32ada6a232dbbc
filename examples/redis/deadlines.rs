//! When keys expire, in the timing wheel of the reactor.

use std::mem;

use sluicegate_reactor::timer::{Link, Links, MAX_DELAY, Wheel};

/// The width of a tick of the wheel in milliseconds.
const TICK: u64 = 100;

pub(crate) struct Deadlines {
    wheel: Wheel,
    nodes: Nodes,
    free: Vec<u32>,
    /// Those that have passed. Some may have been removed, or used again, since then.
    due: Vec<u32>,
}

#[derive(Default)]
struct Nodes(Vec<Node>);

#[derive(Default)]
struct Node {
    link: Link,
    key: Box<[u8]>,
}

impl Links for Nodes {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

/// A deadline that may have passed.
pub(crate) struct Due {
    pub(crate) deadline: u32,
    pub(crate) key: Box<[u8]>,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        let wheel = Wheel::new(0);
        Deadlines { wheel, nodes: Nodes::default(), free: Vec::new(), due: Vec::new() }
    }
}

impl Deadlines {
    /// Adds a deadline for a key. Returns its number.
    pub(crate) fn add(&mut self, key: &[u8], at: u64, now: u64) -> u32 {
        let deadline = self.free.pop().unwrap_or_else(|| {
            self.nodes.0.push(Node::default());
            self.nodes.0.len() as u32 - 1
        });
        self.put_back(Due { deadline, key: key.into() }, at, now);
        deadline
    }

    /// Sets a deadline that was [due](Deadlines::next_due) again.
    pub(crate) fn put_back(&mut self, due: Due, at: u64, now: u64) {
        let delay = (at.div_ceil(TICK) - now / TICK).min(MAX_DELAY.into());
        self.nodes.0[due.deadline as usize].key = due.key;
        let tick = ((now / TICK) as u32).wrapping_add(delay as u32);
        self.wheel.schedule(&mut self.nodes, due.deadline, tick);
    }

    /// Removes a deadline. Its number will be used again.
    pub(crate) fn remove(&mut self, deadline: u32) {
        self.wheel.cancel(&mut self.nodes, deadline);
        self.nodes.0[deadline as usize] = Node::default();
        self.free.push(deadline);
    }

    /// Notes which deadlines have passed.
    pub(crate) fn advance(&mut self, now: u64) {
        self.wheel.advance(&mut self.nodes, (now / TICK) as u32, &mut self.due);
    }

    /// Takes a deadline that has passed, or was used again since.
    pub(crate) fn next_due(&mut self) -> Option<Due> {
        let deadline = self.due.pop()?;
        let key = mem::take(&mut self.nodes.0[deadline as usize].key);
        Some(Due { deadline, key })
    }
}
