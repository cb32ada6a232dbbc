//! Any input: the result does not depend on its delivery, there is no panic, and every response is
//! whole.

use proptest::prelude::*;
use sluicegate_reactor::testing::State;

use super::{answers, probe};
use crate::testing::same_at_every_split;

/// Pieces of requests and of attacks.
const PIECES: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "X",
    "/",
    "/a?b",
    "*",
    "http://h/",
    "#",
    " ",
    "\t",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/1.9",
    " HTTP/2.0",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    "Host: h",
    "Host: h\r\n",
    "Content-Length: 5",
    "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Connection: close",
    "Connection: keep-alive",
    "hello",
    "5\r\nhello\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
    "GET / HTTP/1.1\r\nHost: h\r\n",
    ":",
    "A: b\r\n",
    "\u{ff}",
    "%",
    "%41",
    "A b\r\n",
    "A\r\n",
    "Host: a b\r\n",
    "Connection: a b\r\n",
    "Content_Length: 5\r\n",
    "Transfer-Encoding: ,\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_input_ends_the_same_however_it_arrives(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..12)
    ) {
        let input = pieces.concat();
        let outcome = same_at_every_split(probe, &input);
        let answers = answers(&outcome.sent);
        for (at, answer) in answers.iter().enumerate() {
            let is_last = at + 1 == answers.len();
            prop_assert!(answer.starts_with("200 ") || is_last && outcome.state != State::Open);
        }
        let mut h = probe();
        let client = h.open();
        h.feed(client, &input);
        prop_assert_eq!(h.ledger().panics, 0);
    }
}
