//! A command: the arguments that a client has sent. The first one is its name.

use std::fmt;

use sluicegate_reactor::Bytes;

/// A command with its arguments; the first one is its name. It has at least one.
///
/// Arguments are binary-safe: they may contain any bytes.
#[derive(Clone, Copy)]
pub struct Command<'a> {
    /// What the places of arguments refer to.
    bytes: &'a [u8],
    places: &'a [Place],
    separate: &'a [Bytes],
}

/// Where an argument is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Among the others.
    Joined { start: u32, end: u32 },
    /// In the buffer with this number, which it was received into.
    Separate(u32),
}

impl<'a> Command<'a> {
    pub(super) fn new(bytes: &'a [u8], places: &'a [Place], separate: &'a [Bytes]) -> Command<'a> {
        Command { bytes, places, separate }
    }

    /// The name, as the client has sent it. Names are not case-sensitive: compare them with
    /// [`is`](Command::is).
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.get(0).unwrap_or_default()
    }

    /// Whether this is the command with that name, ignoring case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The number of arguments, including the name.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a command has a name")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// An argument. The name is argument 0.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        Some(match *self.places.get(index)? {
            Place::Joined { start, end } => &self.bytes[start as usize..end as usize],
            Place::Separate(number) => &self.separate[number as usize],
        })
    }

    /// The arguments after the name.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let command = *self;
        (1..self.len()).map(move |index| command.get(index).unwrap_or_default())
    }

    /// Returns an argument that outlives the call. A long argument that was received into its own
    /// buffer is not copied; others are.
    #[must_use]
    pub fn to_bytes(&self, index: usize) -> Option<Bytes> {
        match *self.places.get(index)? {
            Place::Joined { .. } => self.get(index).map(Bytes::copy_from_slice),
            Place::Separate(number) => Some(self.separate[number as usize].clone()),
        }
    }
}

impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = (0..self.len()).filter_map(|index| self.get(index));
        f.debug_list().entries(arguments.map(|a| a.escape_ascii().to_string())).finish()
    }
}

/// The arguments of a command that are not in the input any more.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) places: Vec<Place>,
    separate: Vec<Bytes>,
}

impl Kept {
    /// Appends an argument by copying it.
    pub(super) fn push(&mut self, argument: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(argument);
        self.places.push(Place::Joined { start, end: self.bytes.len() as u32 });
    }

    /// Appends an argument with the buffer that it was received into.
    pub(super) fn push_separate(&mut self, argument: Bytes) {
        self.places.push(Place::Separate(self.separate.len() as u32));
        self.separate.push(argument);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.separate.clear();
    }

    pub(super) fn command(&self) -> Command<'_> {
        Command::new(&self.bytes, &self.places, &self.separate)
    }
}
