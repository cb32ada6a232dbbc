//! What a client has received for its requests.

use std::collections::BTreeMap;

use sluicegate_reactor::testing::simulation::{Client, End};

use super::Plan;
use crate::noise;

/// A request that was sent, and whether its response has no body.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) is_head: bool,
}

/// A body, as far as it has come, whether that is all of it, and what follows.
fn body_of<'a>(head: &str, rest: &'a [u8], is_head: bool) -> (Vec<u8>, bool, &'a [u8]) {
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    if is_head {
        return (Vec::new(), true, rest);
    }
    if let Some(length) = length {
        let length: usize = length.parse().expect("a length");
        let (body, rest) = rest.split_at(length.min(rest.len()));
        return (body.to_vec(), body.len() == length, rest);
    }
    if !head.contains("\r\nTransfer-Encoding: chunked\r\n") {
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        return (rest.to_vec(), false, &[]);
    }
    let (mut body, mut rest) = (Vec::new(), rest);
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            let last = b"0\r\nChecksum: 7\r\n\r\n";
            assert!(last.starts_with(&rest[..rest.len().min(last.len())]), "no end of the body");
            return (body, rest.len() >= last.len(), &rest[rest.len().min(last.len())..]);
        }
        let chunk = &rest[end + 2..];
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        if chunk.len() < size + 2 {
            break;
        }
        assert_eq!(&chunk[size..size + 2], b"\r\n");
        rest = &chunk[size + 2..];
    }
    (body, false, &[])
}

/// Checks what a client has received, which may end with 408 if its last request `may_be_late`.
/// Returns whether it is all that it could expect.
pub(super) fn check(
    client: &Client,
    all: &[Asked],
    may_be_late: bool,
    logged: &BTreeMap<usize, (u16, u64)>,
) -> bool {
    let received = client.received();
    let mut rest = &received[..];
    for Asked { plan, is_head } in all {
        let (head, status) = loop {
            let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
                return false;
            };
            let head = std::str::from_utf8(&rest[..end + 2]).expect("text");
            rest = &rest[end + 4..];
            assert!(head.starts_with("HTTP/1.1 "), "{head}");
            let status: u16 = head[9..12].parse().expect("a status");
            if status >= 200 {
                break (head, status);
            }
        };
        let (body, mut is_whole, behind) = body_of(head, rest, *is_head);
        rest = behind;
        let expected = if *is_head { 0 } else { plan.len };
        if status == 200 {
            assert!(body.len() <= expected && body == noise(body.len()), "{plan:?} is not exact");
            is_whole |= body.len() == expected && !head.contains("\r\nTransfer-Encoding");
            assert!(!is_whole || body.len() == expected, "{plan:?} is short");
        } else if status == 408 && may_be_late {
            return true;
        } else {
            let is_possible = plan.body == "saved" && matches!(status, 500 | 503 | 507);
            assert!(is_possible, "{status} for {plan:?}");
        }
        let is_last = head.contains("\r\nConnection: close\r\n");
        if !is_whole {
            let ends_it = is_last && !head.contains("\r\nTransfer-Encoding") && !*is_head;
            let ends_it = ends_it && !head.contains("\r\nContent-Length");
            assert!(!ends_it || client.end() != End::Finished, "{plan:?} looks whole");
            return false;
        }
        let logged = logged.get(&plan.number).copied();
        // What a transport seals together counts as sent when all of it has left.
        if status == 200 && client.end() != End::Reset {
            assert_eq!(logged, Some((status, expected as u64)), "{plan:?}");
        }
        assert_eq!(logged.map(|(status, _)| status), Some(status), "{plan:?}");
        if is_last {
            assert!(rest.is_empty(), "more behind the last response");
            return true;
        }
    }
    assert!(rest.is_empty(), "more than was asked for");
    true
}
