//! What a client of HTTP hears, looked at as it arrives.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use sluicegate_reactor::testing::simulation::{Client, End};

use crate::is_noise;

/// The answers that a client hears: one after the other, each of the right bytes.
pub(crate) struct Answers {
    /// The lengths of those to come, if they are known.
    expected: Option<VecDeque<usize>>,
    /// Whether the last one may be that a request is late: what there is of it has not been read
    /// when a reactor that got no time looks at its deadlines.
    pub(crate) may_be_late: bool,
    /// What has come of a head.
    head: Vec<u8>,
    /// Of the body behind it: whether it is what was asked for, its length, and how much has come.
    is_ok: bool,
    len: usize,
    there: usize,
    /// One has said that it is the last.
    is_last: bool,
}

impl Answers {
    pub(crate) fn to(client: &Client, expected: Option<Vec<usize>>) -> Rc<RefCell<Answers>> {
        let answers = Rc::new(RefCell::new(Answers {
            expected: expected.map(VecDeque::from),
            may_be_late: false,
            head: Vec::new(),
            is_ok: false,
            len: 0,
            there: 0,
            is_last: false,
        }));
        let heard = answers.clone();
        client.clone().hears(move |bytes| heard.borrow_mut().hear(bytes));
        answers
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (body, rest) = bytes.split_at(bytes.len().min(self.len - self.there));
            let is_exact = !self.is_ok || is_noise(self.there, body);
            assert!(is_exact, "a body of {} bytes is not exact", self.len);
            self.there += body.len();
            bytes = rest;
            if let Some((byte, rest)) = rest.split_first() {
                self.head.push(*byte);
                bytes = rest;
                if self.head.ends_with(b"\r\n\r\n") {
                    self.begin();
                }
            }
        }
    }

    /// A head is there.
    fn begin(&mut self) {
        let head = String::from_utf8(std::mem::take(&mut self.head)).expect("characters");
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        assert!(!self.is_last, "an answer behind the last: {head}");
        self.is_last = head.contains("\r\nConnection: close\r\n");
        self.is_ok = head.starts_with("HTTP/1.1 200 OK\r\n");
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        self.len = len.and_then(|len| len.parse().ok()).expect("a length");
        self.there = 0;
        let is_late = self.is_last && head.starts_with("HTTP/1.1 408 ");
        if let Some(expected) = self.expected.as_mut().filter(|_| !is_late || !self.may_be_late) {
            assert_eq!(expected.pop_front().filter(|_| self.is_ok), Some(self.len), "{head}");
        }
    }

    /// Whether no answer is cut.
    pub(crate) fn are_whole(&self) -> bool {
        self.head.is_empty() && self.there == self.len
    }

    /// Whether none is missing either.
    pub(crate) fn are_all(&self) -> bool {
        self.are_whole() && self.expected.as_ref().is_none_or(VecDeque::is_empty)
    }

    /// Whether one has said that it is the last.
    pub(crate) fn say_so(&self) -> bool {
        self.is_last
    }

    /// Asserts that all were heard, or the connection was cut and looks it.
    pub(crate) fn check(&self, client: &Client) {
        assert!(self.are_all() || client.end() == End::Reset, "{client:?}");
    }
}
