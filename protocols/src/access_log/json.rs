//! A line of the log as a JSON object.

use std::fmt::{self, Write};

use crate::http::LogRecord;

/// The JSON object of a record, without the newline.
pub(super) struct Json<'a>(pub(super) &'a LogRecord<'a>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        write!(f, "{{\"time\":\"{}\",\"client\":", record.timestamp())?;
        match record.peer {
            Some(peer) => write!(f, "\"{}\"", peer.ip().to_canonical())?,
            None => f.write_str("null")?,
        }
        f.write_str(",\"user\":")?;
        write_text(f, record.user)?;
        f.write_str(",\"request\":")?;
        write_text(f, Some(record.request_line))?;
        write!(f, ",\"status\":{},\"sent\":{}", record.status.code(), record.body_sent)?;
        f.write_str(",\"referer\":")?;
        write_text(f, record.referer)?;
        f.write_str(",\"user_agent\":")?;
        write_text(f, record.user_agent)?;
        f.write_char('}')
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, value: Option<&[u8]>) -> fmt::Result {
    let Some(bytes) = value else { return f.write_str("null") };
    f.write_char('"')?;
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "\\u{byte:04x}")?,
        }
    }
    f.write_char('"')
}
