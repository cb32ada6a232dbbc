//! The hub: rooms, their members, nicknames, and the delivery of messages.
//!
//! All threads report to one hub. That makes nicknames unique, and all members of a room hear its
//! messages in the same order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sluicegate_reactor::*;

use super::outbox::{Delivery, Outbox};
use super::seats::Seats;

pub(crate) const HELP: &str =
    "* /nick NAME, /join ROOM, /who, /help; anything else goes to your room\n";
/// Where members start. While it is full, they start in `lobby-2` and so on.
const LOBBY: &str = "lobby";
/// The maximum number of bytes of messages that a room keeps for those who join.
pub(crate) const HISTORY: usize = 4 << 10;
/// The maximum number of characters of a nickname, and of the name of a room.
const NAME: usize = 20;
/// The maximum number of members who are told about each other's coming and going, and whom `/who`
/// lists. Two notices for each of 5,000 members would be 50 million messages.
pub(crate) const NOTICED: usize = 50;
/// The time between two attempts to tell the members of a front that they missed something.
const RETRY: Duration = Duration::from_millis(100);

/// The connection of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    /// Which of the [fronts](super::front::Front) it belongs to.
    pub(crate) front: usize,
    pub(crate) id: ConnId,
}

/// A report of a front about a member.
pub(crate) struct Report(pub(crate) Seat, pub(crate) What);

pub(crate) enum What {
    Opened,
    Said(String),
    Closed,
}

/// The hub tries again to tell members that they missed something.
struct Retry;

pub(crate) struct Hub {
    /// Known once it is registered.
    own: Option<HandlerId<Hub>>,
    is_retrying: bool,
    fronts: Vec<Outbox>,
    /// The maximum number of members of a room.
    room_size: usize,
    members: BTreeMap<Seat, Member>,
    rooms: BTreeMap<String, Room>,
    /// The names of all members, in lower case.
    names: BTreeSet<String>,
    /// How many guests there have been.
    guests: u64,
}

struct Member {
    name: String,
    room: String,
}

#[derive(Default)]
struct Room {
    /// The members of each front.
    seats: Vec<Seats>,
    len: usize,
    history: VecDeque<Bytes>,
    /// The bytes of the history.
    kept: usize,
}

impl Room {
    fn deliver(&self, fronts: &[Outbox], text: &Bytes) {
        for (front, to) in fronts.iter().zip(&self.seats).filter(|(_, to)| !to.is_empty()) {
            front.post(to.clone(), text.clone());
        }
    }

    fn say(&mut self, fronts: &[Outbox], text: Bytes) {
        self.deliver(fronts, &text);
        self.kept += text.len();
        self.history.push_back(text);
        while self.kept > HISTORY {
            self.kept -= self.history.pop_front().map_or(0, |oldest| oldest.len());
        }
    }

    /// Tells all members something about one of them, unless there are too many.
    fn notice(&self, fronts: &[Outbox], text: String) {
        if self.len <= NOTICED {
            self.deliver(fronts, &text.into());
        }
    }

    fn add(&mut self, seat: Seat) {
        self.seats.resize_with(self.seats.len().max(seat.front + 1), Seats::default);
        self.seats[seat.front].add(seat.id);
        self.len += 1;
    }

    fn remove(&mut self, seat: Seat) {
        self.seats[seat.front].remove(seat.id);
        self.len -= 1;
    }
}

/// The letters that are blank: fillers of Hangul, and blanks of Egyptian hieroglyphs. With them, a
/// name could look like another one, or like nothing.
const BLANK: [char; 6] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{13441}', '\u{13442}'];

/// Whether this can be the name of a member or a room. Other characters could look like text of the
/// server, or move the cursors of terminals.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| (c.is_alphanumeric() || matches!(c, '-' | '_')) && !BLANK.contains(&c);
    name.chars().all(is_plain) && (1..=NAME).contains(&name.chars().count())
}

impl Hub {
    pub(crate) fn new(fronts: Vec<Handle<Delivery>>, room_size: usize) -> Hub {
        Hub {
            own: None,
            is_retrying: false,
            fronts: fronts.into_iter().map(Outbox::new).collect(),
            room_size,
            members: BTreeMap::new(),
            rooms: BTreeMap::new(),
            names: BTreeSet::new(),
            guests: 0,
        }
    }

    pub(crate) fn register(mut self, reactor: &mut Reactor) -> HandlerId<Hub> {
        let own = reactor.reserve();
        self.own = Some(own);
        reactor.install(own, self);
        own
    }

    fn tell(&self, seat: Seat, text: impl Into<Bytes>) {
        self.fronts[seat.front].post(Seats::of(seat.id), text.into());
    }

    /// Tells members that they missed something, now or when their front has room again.
    fn tell_losses(&mut self, cx: &mut Turn) {
        let untold = self.fronts.iter().filter(|front| !front.tell_loss()).count();
        if untold > 0
            && !self.is_retrying
            && let Some(own) = self.own
        {
            self.is_retrying = true;
            cx.after(RETRY, own, Retry);
        }
    }

    fn has_space(&self, room: &str) -> bool {
        self.rooms.get(room).is_none_or(|room| room.len < self.room_size)
    }

    fn open(&mut self, seat: Seat) {
        let name = loop {
            self.guests += 1;
            let name = format!("guest{}", self.guests);
            if self.names.insert(name.clone()) {
                break name;
            }
        };
        let further = (2..).map(|number| format!("{LOBBY}-{number}"));
        let mut lobbies = std::iter::once(LOBBY.to_owned()).chain(further);
        let room = lobbies.find(|room| self.has_space(room)).unwrap_or_default();
        self.members.insert(seat, Member { name, room: String::new() });
        self.tell(seat, HELP);
        self.enter(seat, room);
    }

    fn enter(&mut self, seat: Seat, name: String) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let room = self.rooms.entry(name.clone()).or_default();
        room.notice(&self.fronts, format!("* {} joined\n", member.name));
        let mut text = room.history.iter().flatten().copied().collect::<Vec<_>>();
        room.add(seat);
        let (who, members) = (&member.name, room.len);
        text.extend(format!("* you are {who} in {name}; members: {members}\n").into_bytes());
        member.room = name;
        self.tell(seat, text);
    }

    /// Takes a member out of its room, and tells the others.
    fn leave(&mut self, seat: Seat, name: &str, notice: String) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.remove(seat);
        if room.len == 0 {
            self.rooms.remove(name);
        } else {
            room.notice(&self.fronts, notice);
        }
    }

    fn close(&mut self, seat: Seat) {
        // The hub does not know a member whose opening could not be reported, because the mailbox
        // was full.
        let Some(Member { name, room }) = self.members.remove(&seat) else { return };
        self.names.remove(&name.to_lowercase());
        self.leave(seat, &room, format!("* {name} left\n"));
    }

    fn said(&mut self, seat: Seat, line: &str) {
        let Some(member) = self.members.get(&seat) else { return };
        let line = line.replace(char::is_control, "");
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            "/nick" => self.rename(seat, rest.trim()),
            "/join" => self.join(seat, rest.trim()),
            "/who" => self.list(seat),
            command if command.starts_with('/') => self.tell(seat, HELP),
            _ if line.trim().is_empty() => {}
            _ => {
                let text = format!("{}: {line}\n", member.name);
                if let Some(room) = self.rooms.get_mut(&member.room) {
                    room.say(&self.fronts, text.into());
                }
            }
        }
    }

    fn rename(&mut self, seat: Seat, new: &str) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let (old, lower) = (member.name.to_lowercase(), new.to_lowercase());
        if !is_name(new) {
            return self.tell(seat, format!("* a name has 1 to {NAME} letters, digits, - or _\n"));
        }
        if lower != old && self.names.contains(&lower) {
            return self.tell(seat, format!("* somebody else is {new}\n"));
        }
        self.names.remove(&old);
        self.names.insert(lower);
        let notice = format!("* {} is now {new}\n", member.name);
        member.name = new.to_owned();
        match self.rooms.get(&member.room) {
            Some(room) if room.len <= NOTICED => room.notice(&self.fronts, notice),
            _ => self.tell(seat, notice),
        }
    }

    fn join(&mut self, seat: Seat, new: &str) {
        let Some(Member { name, room }) = self.members.get(&seat) else { return };
        let refusal = if !is_name(new) {
            format!("* a room has 1 to {NAME} letters, digits, - or _\n")
        } else if new == room {
            format!("* you are in {new}\n")
        } else if !self.has_space(new) {
            format!("* {new} is full\n")
        } else {
            let notice = format!("* {name} left for {new}\n");
            self.leave(seat, &room.clone(), notice);
            return self.enter(seat, new.to_owned());
        };
        self.tell(seat, refusal);
    }

    /// Answers `/who`.
    fn list(&self, seat: Seat) {
        let Some(Member { room: name, .. }) = self.members.get(&seat) else { return };
        let Some(room) = self.rooms.get(name) else { return };
        let seats = room.seats.iter().enumerate();
        let seats = seats.flat_map(|(front, ids)| ids.iter().map(move |id| Seat { front, id }));
        let names = seats.take(NOTICED).filter_map(|seat| self.members.get(&seat));
        let mut names: Vec<_> = names.map(|member| &*member.name).collect();
        names.sort_unstable();
        let more = match room.len.saturating_sub(NOTICED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.tell(seat, format!("* in {name}: {}{more}\n", names.join(", ")));
    }
}

impl Receive<Report> for Hub {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Report(seat, what): Report) {
        match what {
            What::Opened => self.open(seat),
            What::Said(line) => self.said(seat, &line),
            What::Closed => self.close(seat),
        }
        self.tell_losses(cx);
    }
}

impl Receive<Retry> for Hub {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Retry: Retry) {
        self.is_retrying = false;
        self.tell_losses(cx);
    }
}

/// The hub has no connections, only messages.
impl Handler for Hub {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.abort();
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
    }
}
