//! Connections by their index.

use std::ops::{Index, IndexMut};

use super::{Connection, Core};

/// The connection at an index that the turn has checked, or that a handler was called with: slots
/// are freed only at the end of a turn.
impl Index<u32> for Core {
    type Output = Connection;
    #[inline]
    fn index(&self, index: u32) -> &Connection {
        &self.connections[index as usize]
    }
}

impl IndexMut<u32> for Core {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Connection {
        &mut self.connections[index as usize]
    }
}
