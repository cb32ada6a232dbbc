//! The state machine by itself, and with what connects.

use std::net::IpAddr;
use std::time::Duration;

use sluicegate_reactor::Target;

use super::{Choice, Upstream, UpstreamId, UpstreamState, Upstreams, UpstreamsOptions};

#[cfg(feature = "testing")]
mod balancer;
#[cfg(feature = "testing")]
mod checks;
mod choosing;
mod health;
mod properties;
#[cfg(feature = "testing")]
mod waiting;

const SECOND: Duration = Duration::from_secs(1);

/// The targets `10.0.0.1:80` and so on, by their last number.
fn list(numbers: impl IntoIterator<Item = usize>) -> Vec<Target> {
    let target = |number| format!("10.0.0.{number}:80").parse().expect("a target");
    numbers.into_iter().map(target).collect()
}

/// The number of an upstream in [`list`].
fn number(upstream: &Upstream) -> usize {
    let text = upstream.address.to_string();
    let number = text.strip_prefix("10.0.0.").and_then(|rest| rest.strip_suffix(":80"));
    number.expect("an upstream of the list").parse().expect("a number")
}

/// Chooses for a client from anywhere, at a time. Returns the number of the upstream.
fn choose(upstreams: &mut Upstreams, now: Duration) -> Option<(UpstreamId, usize)> {
    choose_for(upstreams, now, None, &[])
}

fn choose_for(
    upstreams: &mut Upstreams,
    now: Duration,
    source: Option<IpAddr>,
    tried: &[UpstreamId],
) -> Option<(UpstreamId, usize)> {
    match upstreams.choose(now, source, tried) {
        Choice::Connect(id) => Some((id, number(upstreams.get(id).expect("it is in the list")))),
        Choice::Wait | Choice::Exhausted => None,
    }
}

/// The states of all upstreams.
fn states(upstreams: &Upstreams, now: Duration) -> Vec<UpstreamState> {
    upstreams.snapshot(now).into_iter().map(|status| status.state).collect()
}

/// Makes as many connects to one upstream fail as eject it.
fn eject(upstreams: &mut Upstreams, now: Duration, which: usize) {
    let others: Vec<_> = upstreams
        .iter()
        .filter(|(_, upstream)| number(upstream) != which)
        .map(|(id, _)| id)
        .collect();
    for _ in 0..UpstreamsOptions::default().max_failures.expect("a number") {
        let (id, chosen) = choose_for(upstreams, now, None, &others).expect("it has room");
        assert_eq!(chosen, which);
        upstreams.failed(id, now);
    }
}
