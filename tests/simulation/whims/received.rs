//! What a client has received for its requests.

use sluicegate_reactor::testing::simulation::End;

use super::Seen;
use super::requests::{Asked, Talk};
use crate::is_noise;

/// The field of a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The body of a response.
enum Body {
    /// All of it, and how many bytes it has with its framing.
    Whole(Vec<u8>, usize),
    Cut,
    /// What has come of one that ends with the connection.
    UntilClose(Vec<u8>),
}

impl Body {
    fn of(head: &str, rest: &[u8], has_none: bool) -> Body {
        if has_none {
            return Body::Whole(Vec::new(), 0);
        }
        if let Some(length) = field(head, "Content-Length") {
            let length: usize = length.parse().expect("a length");
            assert_eq!(field(head, "Transfer-Encoding"), None, "{head}");
            return rest.get(..length).map_or(Body::Cut, |body| Body::Whole(body.into(), length));
        }
        if field(head, "Transfer-Encoding").is_none() {
            assert_eq!(field(head, "Connection"), Some("close"), "{head}");
            return Body::UntilClose(rest.to_vec());
        }
        Body::of_chunks(rest).unwrap_or(Body::Cut)
    }

    fn of_chunks(all: &[u8]) -> Option<Body> {
        let (mut body, mut rest) = (Vec::new(), all);
        loop {
            let end = rest.windows(2).position(|two| two == b"\r\n")?;
            let size = str::from_utf8(&rest[..end]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            rest = &rest[end + 2..];
            if size == 0 {
                rest =
                    rest.strip_prefix(b"Checksum: 7\r\n").unwrap_or(rest).strip_prefix(b"\r\n")?;
                return Some(Body::Whole(body, all.len() - rest.len()));
            }
            let (chunk, after) = rest.split_at_checked(size + 2)?;
            assert!(chunk.ends_with(b"\r\n"));
            body.extend_from_slice(&chunk[..size]);
            rest = after;
        }
    }
}

/// Takes the next head that is not that of an interim response, and its status.
fn take_head<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, u16)> {
    loop {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = str::from_utf8(&rest[..end + 2]).expect("text");
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        let status = head[9..12].parse().expect("a status");
        *rest = &rest[end + 4..];
        if status >= 200 || status == 101 {
            return Some((head, status));
        }
    }
}

/// Checks what a client has received.
///
/// # Errors
/// What is missing.
pub(super) fn check(talk: &Talk, seen: &Seen) -> Result<(), String> {
    let received = talk.client.received();
    let mut rest = &received[..];
    for asked in &talk.asked {
        let (head, status) = take_head(&mut rest).ok_or(format!("{} has none", asked.number))?;
        if status == 101 {
            let echoed = &talk.sent[asked.end.min(talk.sent.len())..];
            assert!(echoed.starts_with(rest), "bytes that nobody has sent");
            return if rest == echoed { Ok(()) } else { Err("bytes after an upgrade".into()) };
        }
        if talk.is_cut && status == 408 {
            // It may not have sent the whole method.
            return Ok(());
        }
        check_head(asked, head, status);
        match Body::of(head, rest, asked.is_head || status == 204) {
            Body::Whole(body, count) => {
                rest = &rest[count..];
                check_whole(talk, asked, (head, status), &body, seen);
            }
            Body::UntilClose(body) => {
                assert!(is_noise(0, &body), "{} is not exact", asked.number);
                if talk.client.end() == End::Finished {
                    let expected = seen.streamed.get(&asked.number);
                    assert_eq!(expected, Some(&body.len()), "{} looks whole", asked.number);
                }
                return Ok(());
            }
            Body::Cut => return Err(format!("{} is cut", asked.number)),
        }
        if field(head, "Connection") == Some("close") {
            assert!(rest.is_empty(), "more behind the last response");
            return Ok(());
        }
    }
    assert!(rest.is_empty(), "more than was asked for");
    Ok(())
}

/// Checks that a head is that of a response to this request.
fn check_head(asked: &Asked, head: &str, status: u16) {
    if field(head, "X-Refused").is_some() {
        let is_possible = matches!(status, 400 | 403 | 408 | 413 | 415 | 500 | 503 | 507);
        assert!(is_possible, "{head}");
    } else {
        assert!(!asked.is_bad, "{head}");
        assert_eq!(field(head, "X-Number"), Some(&*asked.number.to_string()), "{head}");
    }
    assert!(!asked.is_last || field(head, "Connection") == Some("close"), "{head}");
}

/// Checks a response that is complete.
fn check_whole(talk: &Talk, asked: &Asked, of: (&str, u16), body: &[u8], seen: &Seen) {
    let ((head, status), number) = (of, asked.number);
    if field(head, "X-Refused").is_some() {
        return;
    }
    if status == 200 && !asked.is_head {
        assert!(is_noise(0, body), "{number} is not exact");
        match seen.streamed.get(&number) {
            Some(len) => assert_eq!(body.len(), *len, "{number} is not whole"),
            None => assert_eq!(field(head, "Transfer-Encoding"), None, "{number} looks whole"),
        }
    }
    let (logged, len) = seen.logged.get(&number).copied().expect("a line of the log");
    assert_eq!(logged, status, "{number}");
    assert!(len == body.len() as u64 || talk.client.end() == End::Reset, "{number}: {len}");
}
