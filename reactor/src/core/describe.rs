//! What the log says about connections.

use std::fmt::{self, Display};

use super::{ConnId, Core, Endpoints};

impl Core {
    /// Names a connection in the log: by its id, its peer, and the listener that accepted it.
    /// The peer is missing if the socket has forgotten it, as after a reset.
    ///
    /// ```text
    /// ConnId(17.204) from 10.0.0.9:51712 at 10.0.0.1:80
    /// ConnId(18.205) to 10.0.0.2:8080
    /// ```
    pub(crate) fn describe(&self, index: u32) -> impl Display {
        fmt::from_fn(move |f| {
            let c = &self[index];
            write!(f, "{:?}", ConnId { index, generation: c.generation })?;
            let group = &self.groups[usize::from(c.group)];
            let attempt = c.special.as_ref().and_then(|special| special.attempt.as_ref());
            match (attempt, Endpoints::of(self, index).peer()) {
                (Some(attempt), _) => write!(f, " to {}", attempt.target)?,
                (None, Ok(peer)) if group.address.is_some() => write!(f, " from {peer}")?,
                (None, Ok(peer)) if group.connector.is_some() => write!(f, " to {peer}")?,
                (None, Ok(peer)) => write!(f, " with {peer}")?,
                (None, Err(_)) => {}
            }
            group.address.as_ref().map_or(Ok(()), |listener| write!(f, " at {listener}"))
        })
    }
}
