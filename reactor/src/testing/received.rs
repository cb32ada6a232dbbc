//! The bytes that a client has received, formatted as text.

use std::fmt;
use std::ops::Deref;

/// Bytes that a client has received from a server. Dereferences to a slice.
///
/// It can be compared with byte strings, text, slices and vectors, and `{:?}` formats it as a byte
/// string. A failed assertion therefore shows readably what was sent, and, when compared with text,
/// what was expected:
///
/// ```should_panic
/// # use sluicegate_reactor::testing::Harness;
/// # use sluicegate_reactor::{Context, Handler, Input};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
/// #         cx.send(input.take());
/// #     }
/// # }
/// let mut h = Harness::new(Echo);
/// let client = h.open();
/// h.feed(client, "hello\n");
/// //  left: b"hello\n"
/// // right: "Hello\n"
/// assert_eq!(h.sent(client), "Hello\n");
/// ```
#[derive(Clone, Default, Eq, Hash)]
pub struct Received(pub(super) Vec<u8>);

impl Received {
    /// The bytes as text, to search or to split into lines.
    ///
    /// ```
    /// use sluicegate_reactor::testing::Received;
    ///
    /// let received = Received::from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    /// assert!(received.text().starts_with("HTTP/1.1 200 "));
    /// assert!(received.text().ends_with("\r\n\r\nhello"));
    /// ```
    ///
    /// # Panics
    /// If they are not UTF-8. The message contains the bytes.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(self) {
            Ok(text) => text,
            Err(error) => panic!("{error}: {self:?}"),
        }
    }
}

impl Deref for Received {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Received> for Vec<u8> {
    fn from(received: Received) -> Vec<u8> {
        received.0
    }
}

impl From<Vec<u8>> for Received {
    fn from(bytes: Vec<u8>) -> Received {
        Received(bytes)
    }
}

impl From<&str> for Received {
    fn from(text: &str) -> Received {
        Received(text.into())
    }
}

impl IntoIterator for Received {
    type Item = u8;
    type IntoIter = std::vec::IntoIter<u8>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

/// Compares with everything that is bytes: arrays, slices, vectors, text, and other `Received`.
impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Received {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}
