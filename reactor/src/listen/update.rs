//! Changing the limits of an open listener.

use super::Listen;
use crate::core::{Core, Direction, PerAddress, Phase};
use crate::time::{deadlines, rates};

/// Replaces the limits of a group, also for the connections that are open.
pub(crate) fn set_limits(core: &mut Core, group: u16, listen: &Listen) {
    let state = &mut core.groups[usize::from(group)];
    let old = std::mem::replace(&mut state.limits, listen.limits.clone());
    state.limit = listen.max_connections;
    state.set_rates([listen.send_rate, listen.receive_rate]);
    match (&mut state.per_address, listen.max_per_address) {
        (Some(per_address), Some(most)) => per_address.most = most,
        // Of connections that are open, the client is not known.
        (per_address, most) => *per_address = most.map(|most| Box::new(PerAddress::new(most))),
    }
    let new = &listen.limits;
    let rates = [
        (Direction::Send, old.send_rate, new.send_rate),
        (Direction::Receive, old.receive_rate, new.receive_rate),
    ];
    for index in core.indexes() {
        if core[index].group != group || core[index].phase >= Phase::Ended {
            continue;
        }
        for (way, old, new) in rates {
            // A connection without meters gets them when it next moves bytes under a rate.
            if old != new && core[index].meters().is_some() {
                rates::set(core, index, way, new);
            }
            // All connections together may have another rate.
            rates::end_wait(core, index, way);
        }
        deadlines::arm(core, index);
    }
}
