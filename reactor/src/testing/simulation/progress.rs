//! Noticing connections that make no progress.

use crate::core::{Connection, Phase};
use crate::turn::reactor::Reactor;

/// The maximum number of turns in which a connection may make no progress although it could: in
/// each of them a call is made for it, and a fault may let it fail.
const PATIENCE: u32 = 64;

/// How long each connection of a reactor has made no progress, by its place.
#[derive(Default)]
pub(super) struct Progress(Vec<(Standing, u32)>);

/// What changes when a connection makes progress.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Standing {
    generation: u32,
    moved: (u64, u64),
    kept: usize,
}

impl Standing {
    fn of(c: &Connection) -> Standing {
        let moved = (c.received, c.sent);
        Standing { generation: c.generation, moved, kept: c.unread() }
    }
}

impl Progress {
    /// Asserts that no connection waits forever although it could receive or send.
    pub(super) fn after_turn(&mut self, reactor: &Reactor) {
        for (index, c) in &reactor.turn.core.connections {
            if self.0.len() <= index {
                self.0.resize_with(index + 1, Default::default);
            }
            let (standing, turns) = &mut self.0[index];
            let now = Standing::of(c);
            let could = c.is_open() && (c.can_receive() || c.can_send())
                || c.phase == Phase::Closing && c.can_send();
            if now != *standing || !could {
                (*standing, *turns) = (now, 0);
                continue;
            }
            *turns += 1;
            assert!(
                *turns <= PATIENCE,
                "a connection could receive or send, but has not done so for {turns} turns: {:?}",
                c.phase
            );
        }
    }
}
