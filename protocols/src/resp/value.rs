//! The values that a client receives.

use sluicegate_reactor::Bytes;

/// A value of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A simple string: a line.
    Simple(Bytes),
    /// An error. By convention its first word is a code.
    Error(Bytes),
    /// An integer.
    Integer(i64),
    /// A bulk string: any bytes.
    Bulk(Bytes),
    /// A null, or a null bulk string or array of RESP2.
    Null,
    /// An array.
    Array(Vec<Value>),
    /// A map, in the order in which the server has sent it.
    Map(Vec<(Value, Value)>),
    /// A set, in the order in which the server has sent it.
    Set(Vec<Value>),
    /// An out-of-band message, which is not a reply.
    Push(Vec<Value>),
    /// A number with a fraction.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// An integer of any size: its decimal digits.
    BigNumber(Bytes),
    /// Text in a format, such as `txt`.
    Verbatim {
        /// The format.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
}
