//! Decisions in words.

use std::fmt;

use super::plan::{self, Action, Front, Offer, Placement, Why};
use crate::core::limits::Limits;

/// What was decided and why, for people: `sendfile 1048576: file region of 5000000 left, above
/// small_file 16384`. Made by [`explain`] and [`explain_placement`].
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a> {
    decided: Decided,
    why: Why,
    limits: &'a Limits,
}

#[derive(Clone, Copy, Debug)]
enum Decided {
    Place(Offer, Placement),
    Act(Front, Action),
}

/// Says what [`plan`](super::plan) does with such a front, and why. Nothing is sent.
///
/// ```
/// use sluicegate_reactor::Limits;
/// use sluicegate_reactor::outbound::{Front, explain};
///
/// let header = Front { pieces: 2, memory: 300, ..Front::default() };
/// let explanation = explain(&header, &Limits::default()).to_string();
/// assert_eq!(explanation, "send 300 in 2 pieces: memory, no file region directly behind it");
/// ```
#[must_use]
pub fn explain<'a>(front: &Front, limits: &'a Limits) -> Explanation<'a> {
    let (action, why) = plan::decide(front, limits);
    Explanation { decided: Decided::Act(*front, action), why, limits }
}

/// Says what [`place`](super::place) does with such an offer, and why. Nothing is sent.
///
/// ```
/// use sluicegate_reactor::Limits;
/// use sluicegate_reactor::outbound::{Kind, Offer, explain_placement};
///
/// let offer = Offer { kind: Kind::Shared, len: 100, ..Offer::default() };
/// let explanation = explain_placement(&offer, &Limits::default()).to_string();
/// assert_eq!(explanation, "join 100: shared, up to join 1024");
/// ```
#[must_use]
pub fn explain_placement<'a>(offer: &Offer, limits: &'a Limits) -> Explanation<'a> {
    let (placement, why) = plan::placement(offer, limits);
    Explanation { decided: Decided::Place(*offer, placement), why, limits }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.decided {
            Decided::Place(offer, placement) => {
                show_placement(f, offer, *placement)?;
                self.why_placed(f, offer)
            }
            Decided::Act(front, action) => {
                show_action(f, front, *action)?;
                self.why_done(f, front)
            }
        }
    }
}

fn show_placement(f: &mut fmt::Formatter<'_>, offer: &Offer, place: Placement) -> fmt::Result {
    let verb = match place {
        Placement::Nowhere => return f.write_str("nothing: "),
        Placement::WriteThrough => "write through",
        Placement::Join => "join",
        Placement::Reference => "reference",
    };
    write!(f, "{verb} {}: ", offer.len)
}

fn show_action(f: &mut fmt::Formatter<'_>, front: &Front, action: Action) -> fmt::Result {
    let Front { pieces, memory, .. } = front;
    match action {
        Action::Rest => f.write_str("rest: "),
        Action::Memory { region_follows } => {
            let more = if region_follows { " with MSG_MORE" } else { "" };
            write!(f, "send {memory} in {pieces} pieces{more}: ")
        }
        Action::Read { bytes, nowait } => {
            let how = if nowait { " without waiting" } else { "" };
            write!(f, "read {bytes}{how} and send behind {memory} in {pieces} pieces: ")
        }
        Action::Probe { bytes } => write!(f, "probe {bytes}: "),
        Action::Warm { bytes } => write!(f, "warm {bytes}: "),
        Action::Splice { bytes } => write!(f, "splice {bytes}: "),
        Action::Sendfile { bytes } => write!(f, "sendfile {bytes}: "),
    }
}

impl Explanation<'_> {
    fn why_placed(&self, f: &mut fmt::Formatter<'_>, offer: &Offer) -> fmt::Result {
        let Limits { join, join_in_room, write_through, write_first, .. } = self.limits;
        let room = offer.room;
        match self.why {
            Why::Long => write!(f, "borrowed, above write_through {write_through}, queue empty"),
            Why::FirstOfCallback => write!(
                f,
                "borrowed, above write_first {write_first}, the first of its callback, queue empty"
            ),
            Why::Borrowed if offer.idle => write!(f, "borrowed, up to write_first {write_first}"),
            Why::Borrowed => f.write_str("borrowed, behind what is queued or a full socket"),
            Why::Short => write!(f, "shared, up to join {join}"),
            Why::FitsBehind => {
                write!(f, "shared, up to join_in_room {join_in_room}, and there is room for {room}")
            }
            Why::TooLongToCopy => write!(
                f,
                "shared, above join {join}, and above join_in_room {join_in_room} or room {room}"
            ),
            Why::InFile => f.write_str("in a file"),
            _ => f.write_str("empty"),
        }
    }

    fn why_done(&self, f: &mut fmt::Formatter<'_>, front: &Front) -> fmt::Result {
        let small_file = self.limits.small_file;
        match self.why {
            Why::Empty => return f.write_str("empty"),
            Why::InPipe => return f.write_str("in a pipe, from a relay"),
            Why::MemoryOnly => return f.write_str("memory, no file region directly behind it"),
            _ => write!(f, "file region of {} left, ", front.file_left)?,
        }
        match self.why {
            Why::BeforeColdRegion => f.write_str("not in memory, for which this does not wait"),
            Why::ColdRegion => f.write_str("not in memory"),
            Why::GatherIsFull => f.write_str("to be read, and no room for it in this call"),
            Why::NoSendfile => f.write_str("not to be moved by sendfile"),
            Why::SmallFile => write!(f, "up to small_file {small_file}"),
            Why::NotLookedAt => {
                write!(f, "above small_file {small_file}, and maybe not in memory")
            }
            Why::HeaderOfFile => write!(f, "above small_file {small_file}, by sendfile behind it"),
            _ => write!(f, "above small_file {small_file}"),
        }
    }
}
