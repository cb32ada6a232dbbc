//! The responses of a connection that wait for those before them.
//!
//! A response that another reactor computes takes a place when its request is sent, and keeps the
//! later ones back until it is there. As long as no place is taken, responses are sent directly.

use std::collections::VecDeque;

use super::cache::Reply;
use super::counters::Counters;

/// The longest buffer that is kept.
const LONGEST_SPARE: usize = 2 << 10;
/// How many buffers a reactor keeps: 1 MiB.
const MOST_SPARE: usize = 512;

/// The responses that wait, in the order of their commands.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The number of the first place.
    first: u32,
    places: VecDeque<Place>,
}

enum Place {
    Ready(Reply),
    /// One answer is awaited.
    Awaited,
    /// Some answers are awaited, which make one response.
    Gathers {
        left: usize,
        gathered: Gathered,
    },
}

/// What the reactors answer together.
pub(crate) enum Gathered {
    Text(&'static str),
    Counters(Box<Counters>),
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a response that is complete.
    pub(crate) fn add(&mut self, reply: Reply) {
        self.places.push_back(Place::Ready(reply));
    }

    /// Adds a complete response that is constant: nothing is allocated for it.
    pub(crate) fn add_text(&mut self, text: &'static str) {
        self.gather(0, Gathered::Text(text));
    }

    /// Takes a place for an answer, and returns its number.
    pub(crate) fn wait(&mut self) -> u32 {
        self.take_place(Place::Awaited)
    }

    /// Takes a place for several answers, and returns its number.
    pub(crate) fn gather(&mut self, answers: usize, gathered: Gathered) -> u32 {
        self.take_place(Place::Gathers { left: answers, gathered })
    }

    fn take_place(&mut self, place: Place) -> u32 {
        self.places.push_back(place);
        self.first.wrapping_add(self.places.len() as u32 - 1)
    }

    /// Frees the first place if it is this one and waits for one answer, which is to be sent now.
    pub(crate) fn take_first(&mut self, number: u32) -> bool {
        let is_first = number == self.first && matches!(self.places.front(), Some(Place::Awaited));
        if is_first {
            self.first = self.first.wrapping_add(1);
            self.places.pop_front();
        }
        is_first
    }

    /// An answer has arrived. One of several that make a response together has nothing in it.
    pub(crate) fn fill(&mut self, number: u32, reply: Reply) {
        match self.place(number) {
            Some(Place::Gathers { left, .. }) => *left -= 1,
            Some(place) => *place = Place::Ready(reply),
            None => {}
        }
    }

    /// The counters of another reactor have arrived.
    pub(crate) fn add_counters(&mut self, number: u32, counters: &Counters) {
        if let Some(Place::Gathers { left, gathered }) = self.place(number) {
            *left -= 1;
            if let Gathered::Counters(sum) = gathered {
                sum.add(counters);
            }
        }
    }

    fn place(&mut self, number: u32) -> Option<&mut Place> {
        self.places.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// The first response, if it is complete.
    pub(crate) fn next(&mut self) -> Option<Complete> {
        let complete = match self.places.front()? {
            Place::Ready(_) => true,
            Place::Gathers { left, .. } => *left == 0,
            Place::Awaited => false,
        };
        if !complete {
            return None;
        }
        self.first = self.first.wrapping_add(1);
        match self.places.pop_front()? {
            Place::Ready(reply) => Some(Complete::Reply(reply)),
            Place::Gathers { gathered, .. } => Some(Complete::Gathered(gathered)),
            Place::Awaited => None,
        }
    }
}

/// A response that is complete.
pub(crate) enum Complete {
    Reply(Reply),
    Gathered(Gathered),
}

/// Buffers of responses that have waited, for the next ones.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// Copies a text.
    pub(crate) fn copy(&mut self, text: &[u8]) -> Vec<u8> {
        let mut copy = self.0.pop().unwrap_or_default();
        copy.extend_from_slice(text);
        copy
    }

    /// Keeps a buffer, unless it is long or there are enough.
    pub(crate) fn keep(&mut self, mut text: Vec<u8>) {
        if self.0.len() < MOST_SPARE && text.capacity() <= LONGEST_SPARE {
            text.clear();
            self.0.push(text);
        }
    }
}
