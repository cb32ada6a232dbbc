//! The upstreams as a state machine: no clock, no connections.

use std::net::IpAddr;
use std::time::Duration;

use super::hash;
use super::health::{FULL, Health};
use super::{Balance, Change, Upstream, UpstreamState, UpstreamStatus, UpstreamsOptions};

/// Identifies an upstream of an [`Upstreams`]. Ids are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(u64);

/// The result of [`Upstreams::choose`]: what the client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Connect to this upstream. The connection already counts.
    Connect(UpstreamId),
    /// Wait: all candidates have their maximum number of connections.
    Wait,
    /// Give up: the client has tried all upstreams.
    Exhausted,
}

/// A list of upstreams, with their connections and their health.
///
/// The caller must report the outcome of each connection that was [chosen](Upstreams::choose):
/// either [`connected`](Upstreams::connected) and later [`closed`](Upstreams::closed), or
/// [`failed`](Upstreams::failed), or [`given_up`](Upstreams::given_up). `now` is a monotonic time
/// with any start, such as [`Turn::now`](sluicegate_reactor::Turn::now). Reports about an upstream
/// that is no longer in the list have no effect.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_protocols::upstreams::{Choice, Upstreams, UpstreamsOptions};
/// use sluicegate_reactor::Target;
///
/// let list: [Target; 2] = ["10.0.0.1:80".parse()?, "10.0.0.2:80".parse()?];
/// let mut upstreams = Upstreams::new(list, UpstreamsOptions::default());
/// let now = Duration::ZERO;
/// let Choice::Connect(first) = upstreams.choose(now, None, &[]) else { panic!() };
/// upstreams.failed(first, now);
/// let Choice::Connect(second) = upstreams.choose(now, None, &[first]) else { panic!() };
/// assert_eq!(upstreams.get(second).unwrap().to_string(), "10.0.0.2:80");
/// upstreams.connected(second, now);
/// assert_eq!(upstreams.snapshot(now)[1].open, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Upstreams {
    options: UpstreamsOptions,
    /// In the order of the list, followed by those that were removed and still have connections.
    entries: Vec<Entry>,
    next_id: u64,
    /// Counts the turns of [`Entry::turn`]: that of the upstream that was last chosen.
    turn: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    id: UpstreamId,
    upstream: Upstream,
    /// For [`hash::score`].
    number: u64,
    health: Health,
    is_draining: bool,
    counts: Counts,
    /// When it was last chosen, or added.
    last_turn: u64,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    connecting: u32,
    open: u32,
    connected: u64,
    failed: u64,
}

impl Entry {
    fn connections(&self) -> u32 {
        self.counts.connecting + self.counts.open
    }

    /// Its connections, in relation to its share of them.
    fn load(&self, now: Duration, slow_start: Duration) -> u64 {
        u64::from(self.connections() + 1) * FULL * FULL / self.health.share(now, slow_start)
    }

    /// When it is its turn: the sooner after the last one the larger its share is.
    fn turn(&self, now: Duration, slow_start: Duration) -> u64 {
        self.last_turn + FULL * FULL / self.health.share(now, slow_start)
    }

    fn state(&self, now: Duration, slow_start: Duration) -> UpstreamState {
        match () {
            () if self.is_draining => UpstreamState::Draining,
            () if self.health.is_down() => UpstreamState::Down,
            () if self.health.is_ejected() => UpstreamState::Ejected,
            () if self.health.share(now, slow_start) < FULL => UpstreamState::Starting,
            () => UpstreamState::Up,
        }
    }
}

impl Upstreams {
    /// Creates a list. Duplicates are ignored.
    pub fn new(
        list: impl IntoIterator<Item: Into<Upstream>>,
        options: UpstreamsOptions,
    ) -> Upstreams {
        let mut upstreams = Upstreams { options, entries: Vec::new(), next_id: 0, turn: 0 };
        upstreams.take_over(list, &Health::default());
        upstreams
    }

    /// Replaces the list, for example after its file was reloaded. Upstreams that are in both lists
    /// keep their connections and their health. Removed ones get no further connections, and
    /// disappear once their last connection is closed.
    pub fn replace(&mut self, list: impl IntoIterator<Item: Into<Upstream>>, now: Duration) {
        self.take_over(list, &Health::since(now));
    }

    fn take_over(&mut self, list: impl IntoIterator<Item: Into<Upstream>>, new: &Health) {
        let mut before = std::mem::take(&mut self.entries);
        for upstream in list {
            let upstream = upstream.into();
            if self.entries.iter().any(|entry| entry.upstream == upstream) {
                continue;
            }
            let known = before.iter().position(|entry| entry.upstream == upstream);
            let entry = match known {
                Some(at) => Entry { is_draining: false, ..before.remove(at) },
                None => self.entry(upstream, new.clone()),
            };
            self.entries.push(entry);
        }
        before.retain(|entry| entry.connections() > 0);
        self.entries.extend(before.into_iter().map(|entry| Entry { is_draining: true, ..entry }));
    }

    fn entry(&mut self, upstream: Upstream, health: Health) -> Entry {
        let id = UpstreamId(self.next_id);
        self.next_id += 1;
        let number = hash::number_of(&upstream);
        let (counts, last_turn) = (Counts::default(), self.turn);
        Entry { id, upstream, number, health, is_draining: false, counts, last_turn }
    }

    /// Chooses an upstream that is not in `tried`. `source` is the address of the client, for
    /// [`Balance::SourceHash`]. Takes time proportional to the number of upstreams.
    pub fn choose(
        &mut self,
        now: Duration,
        source: Option<IpAddr>,
        tried: &[UpstreamId],
    ) -> Choice {
        for is_usable in [true, false] {
            let is_candidate = |entry: &Entry| {
                !entry.is_draining
                    && entry.health.is_usable(now) == is_usable
                    && !tried.contains(&entry.id)
            };
            if self.entries.iter().any(is_candidate) {
                let chosen = self.choose_among(now, source, is_candidate);
                return chosen.map_or(Choice::Wait, Choice::Connect);
            }
        }
        Choice::Exhausted
    }

    /// Chooses a candidate with room for a connection.
    fn choose_among(
        &mut self,
        now: Duration,
        source: Option<IpAddr>,
        is_candidate: impl Fn(&Entry) -> bool,
    ) -> Option<UpstreamId> {
        let UpstreamsOptions { balance, max_connections, slow_start, .. } = self.options;
        let has_room =
            |entry: &Entry| max_connections.is_none_or(|most| entry.connections() < most);
        let is_candidate = |entry: &Entry| is_candidate(entry) && has_room(entry);
        let candidates = self.entries.iter_mut().filter(|entry| is_candidate(entry));
        let last = self.turn;
        let turn = |entry: &Entry| entry.turn(now, slow_start).max(last);
        let chosen = match (balance, source) {
            (Balance::SourceHash, Some(source)) => {
                let client = hash::client_of(source);
                candidates.max_by_key(|entry| hash::score(entry.number, client))?
            }
            (Balance::LeastConnections, _) => {
                candidates.min_by_key(|entry| (entry.load(now, slow_start), turn(entry)))?
            }
            (Balance::RoundRobin | Balance::SourceHash, _) => {
                candidates.min_by_key(|it| turn(it))?
            }
        };
        self.turn = turn(chosen);
        chosen.last_turn = self.turn;
        chosen.counts.connecting += 1;
        chosen.health.tried();
        Some(chosen.id)
    }

    fn entry_mut(&mut self, id: UpstreamId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Reports that a connection was established. Logs the change that this makes.
    pub fn connected(&mut self, id: UpstreamId, now: Duration) -> Option<Change> {
        let entry = self.entry_mut(id)?;
        entry.counts.connecting -= 1;
        entry.counts.open += 1;
        entry.counts.connected += 1;
        let change = entry.health.connected(now);
        self.log_change(id, change)
    }

    /// Reports that the upstream failed: a connection to it could not be established. Logs the
    /// change that this makes.
    pub fn failed(&mut self, id: UpstreamId, now: Duration) -> Option<Change> {
        let is_only = self.iter().count() == 1;
        let UpstreamsOptions { max_failures, fail_timeout, .. } = self.options;
        let max_failures = max_failures.filter(|_| !is_only);
        let entry = self.entry_mut(id)?;
        entry.counts.connecting -= 1;
        entry.counts.failed += 1;
        let change = entry.health.failed(now, max_failures, fail_timeout);
        self.forget_drained();
        self.log_change(id, change)
    }

    /// Reports that a connection was abandoned before it was established, for a reason that does
    /// not count against the upstream.
    pub fn given_up(&mut self, id: UpstreamId) {
        if let Some(entry) = self.entry_mut(id) {
            entry.counts.connecting -= 1;
            entry.health.given_up();
            self.forget_drained();
        }
    }

    /// Reports that an established connection was closed.
    pub fn closed(&mut self, id: UpstreamId) {
        if let Some(entry) = self.entry_mut(id) {
            entry.counts.open -= 1;
            self.forget_drained();
        }
    }

    fn forget_drained(&mut self) {
        self.entries.retain(|entry| !entry.is_draining || entry.connections() > 0);
    }

    /// Reports the result of a check. Logs the change that this makes.
    pub fn checked(&mut self, id: UpstreamId, succeeded: bool, now: Duration) -> Option<Change> {
        let options = self.options;
        let change = self.entry_mut(id)?.health.checked(succeeded, now, &options);
        self.log_change(id, change)
    }

    /// The time at which the next ejected upstream may be tried again, if any is ejected. Waiting
    /// clients are served at that time, if not earlier.
    #[must_use]
    pub fn next_trial(&self, now: Duration) -> Option<Duration> {
        let listed = self.entries.iter().filter(|entry| !entry.is_draining);
        listed.filter_map(|entry| entry.health.trial_at(now)).min()
    }

    /// The upstreams in the list, to check them.
    pub fn iter(&self) -> impl Iterator<Item = (UpstreamId, &Upstream)> {
        let listed = self.entries.iter().filter(|entry| !entry.is_draining);
        listed.map(|entry| (entry.id, &entry.upstream))
    }

    /// The upstream with this id.
    #[must_use]
    pub fn get(&self, id: UpstreamId) -> Option<&Upstream> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| &entry.upstream)
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &UpstreamsOptions {
        &self.options
    }

    /// Logs a change of an upstream, if there was one, and returns it.
    fn log_change(&self, id: UpstreamId, change: Option<Change>) -> Option<Change> {
        let upstream = self.get(id)?;
        match change? {
            Change::Ejected => {
                let time = self.options.fail_timeout;
                log::warn!("{upstream} is ejected for {time:?} after failures");
            }
            Change::Down => log::warn!("{upstream} is down: checks have failed"),
            // As a warning, so that whoever sees the others sees this too.
            Change::Up => log::warn!("{upstream} is up again"),
        }
        change
    }

    /// The state of all upstreams. Those that were removed from the list and still drain come last.
    #[must_use]
    pub fn snapshot(&self, now: Duration) -> Vec<UpstreamStatus> {
        let status = |entry: &Entry| UpstreamStatus {
            upstream: entry.upstream.clone(),
            state: entry.state(now, self.options.slow_start),
            connecting: entry.counts.connecting,
            open: entry.counts.open,
            connected: entry.counts.connected,
            failed: entry.counts.failed,
            requests: None,
        };
        self.entries.iter().map(status).collect()
    }
}
