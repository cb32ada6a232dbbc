//! The members of a room at one front, in a list that deliveries share.

use std::sync::Arc;

use sluicegate_reactor::ConnId;

/// About the square root of the default maximum of a room, so that a change copies least.
const CHUNK: usize = 100;

/// A list in chunks, of which all but the last are full. A clone shares them, and a change copies
/// only those that it changes and the list of chunks. Thousands of deliveries may be waiting while
/// members come and go, and a copy of the whole list for each of them would take gigabytes.
#[derive(Clone, Default)]
pub(crate) struct Seats(Arc<Vec<Arc<Vec<ConnId>>>>);

impl Seats {
    /// The list of one member.
    pub(crate) fn of(id: ConnId) -> Seats {
        Seats(Arc::new(vec![Arc::new(vec![id])]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ConnId> {
        self.0.iter().flat_map(|chunk| chunk.iter().copied())
    }

    pub(crate) fn add(&mut self, id: ConnId) {
        let chunks = Arc::make_mut(&mut self.0);
        match chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(id),
            None => chunks.push(Arc::new(vec![id])),
        }
    }

    /// Removes a member. The last one takes its place.
    pub(crate) fn remove(&mut self, id: ConnId) {
        let chunks = Arc::make_mut(&mut self.0);
        let place = |ids: &Arc<Vec<ConnId>>| ids.iter().position(|it| *it == id);
        let found = chunks.iter().enumerate().find_map(|(at, ids)| Some((at, place(ids)?)));
        let (Some((chunk, place)), Some(last)) = (found, chunks.last_mut()) else { return };
        let moved = Arc::make_mut(last).pop();
        if last.is_empty() {
            chunks.pop();
        }
        if let (Some(moved), Some(chunk)) =
            (moved.filter(|moved| *moved != id), chunks.get_mut(chunk))
        {
            Arc::make_mut(chunk)[place] = moved;
        }
    }
}
