//! Changing the limits of an open listener.

use super::Listen;
use crate::core::{Core, PerAddress, Phase};
use crate::time::{deadlines, rates};

/// Changes the limits of a group, also for the connections that are open.
pub(crate) fn set_limits(core: &mut Core, group: u16, listen: &Listen) {
    let mut members = core.indexes();
    members.retain(|index| core[*index].group == group && core[*index].phase != Phase::Gone);
    core.groups[usize::from(group)].limit = Some(listen.max_connections);
    limit_clients(core, group, &members, listen.max_per_address);
    let limits = &mut core.groups[usize::from(group)].limits;
    limits.idle = listen.limits.idle;
    let new = listen.limits.send_rate;
    let old = std::mem::replace(&mut limits.send_rate, new);
    // Lingering connections keep the end of their time.
    members.retain(|index| core[*index].phase < Phase::Ended);
    for index in members {
        // A connection without a meter gets one when it next sends under a rate.
        if old != new && core[index].meter().is_some() {
            rates::set(core, index, new);
        }
        deadlines::arm(core, index);
    }
}

/// Changes the maximum number of connections of a client.
fn limit_clients(core: &mut Core, group: u16, members: &[u32], most: Option<u32>) {
    let per_address = core.groups[usize::from(group)].per_address.take();
    let Some(most) = most else { return };
    let mut per_address = per_address.unwrap_or_else(|| {
        let mut all = Box::new(PerAddress::new(most));
        for index in members {
            let address = core.kernel.peer_address(core[*index].socket);
            if let Some(client) = address.ok().and_then(|address| address.client_network()) {
                all.enter(*index, client);
            }
        }
        all
    });
    per_address.most = most;
    core.groups[usize::from(group)].per_address = Some(per_address);
}
