//! Stores values in memory: `set KEY LENGTH` is followed by the value, `get KEY` returns it.

use std::collections::HashMap;

use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_reactor::{Bytes, Context, Listen, Payload, Reactor};

/// The longest value in bytes.
const LONGEST_VALUE: usize = 1 << 20;
/// The most keys.
const MOST_KEYS: usize = 1000;

/// What all connections share.
#[derive(Default)]
struct Store {
    values: HashMap<String, Bytes>,
}

impl Store {
    fn get(&self, cx: &mut Context<'_>, key: &str) {
        match self.values.get(key) {
            Some(value) => {
                cx.send(format!("value {}\n", value.len()));
                cx.send(value);
                cx.send("\n");
            }
            None => _ = cx.send("none\n"),
        }
    }
}

impl LineHandler for Store {
    /// The key of the value that the connection is sending.
    type Session = String;

    fn on_open(&mut self, _: &mut Context<'_>) -> String {
        String::new()
    }

    fn on_line(&mut self, cx: &mut Context<'_>, incoming: &mut String, line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line);
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["get", key] => self.get(cx, key),
            ["set", key, length] => match length.parse() {
                Ok(length) if length <= LONGEST_VALUE => {
                    *incoming = key.into();
                    return Next::Whole(length);
                }
                Ok(length) => {
                    cx.send("error: value too long\n");
                    // `on_block` discards it.
                    return Next::Block(length as u64);
                }
                Err(_) => {
                    cx.send("error: the length is not a number\n");
                    // Nobody knows where the next line begins.
                    cx.close();
                }
            },
            // The newline that people type after a value.
            [""] => {}
            _ => _ = cx.send("error: expected `get KEY` or `set KEY LENGTH`\n"),
        }
        Next::Line
    }

    fn on_whole(&mut self, cx: &mut Context<'_>, incoming: &mut String, value: Payload<'_>) {
        let key = std::mem::take(incoming);
        if self.values.len() < MOST_KEYS || self.values.contains_key(&key) {
            self.values.insert(key, value.into_bytes());
            cx.send("stored\n");
        } else {
            cx.send("error: too many keys\n");
        }
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut reactor = Reactor::new()?;
    let store = reactor.register(Lines::new(Store::default()));
    let listener = reactor.listen(address, &Listen::default(), store)?;
    println!("store on {}", reactor.listener_address(listener).expect("it is open"));
    reactor.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    use sluicegate_reactor::testing::{Harness, State, same_at_every_split};

    fn store() -> Harness<Lines<Store>> {
        Harness::new(Lines::new(Store::default()))
    }

    #[test]
    fn values_are_stored_however_they_arrive() {
        let input = "get a\nset a 5\nx\ny\nz\nget a\nset a 0\nget a\nget\nset a -1\n";
        let outcome = same_at_every_split(store, input);
        let answers = "none\nstored\nvalue 5\nx\ny\nz\nstored\nvalue 0\n\n\
                       error: expected `get KEY` or `set KEY LENGTH`\n\
                       error: the length is not a number\n";
        assert_eq!(outcome.sent, answers);
        assert_eq!(outcome.state, State::Shut);
    }

    #[test]
    fn connections_share_the_values() {
        let mut h = store();
        let (ada, bob) = (h.open(), h.open());
        h.feed(ada, "set greeting 5\nhello");
        assert_eq!(h.sent(ada), "stored\n");
        h.feed(bob, "get greeting\n");
        assert_eq!(h.sent(bob), "value 5\nhello\n");
    }

    #[test]
    fn a_value_that_is_too_long_is_skipped() {
        let mut h = store();
        let client = h.open();
        let long = LONGEST_VALUE + 1;
        h.feed(client, format!("set a {long}\n{}get a\n", "x".repeat(long)));
        assert_eq!(h.sent(client), "error: value too long\nnone\n");
    }

    #[test]
    fn there_is_a_limit_to_the_keys() {
        let mut h = store();
        let client = h.open();
        for key in 0..MOST_KEYS {
            h.feed(client, format!("set {key} 0\n"));
        }
        assert_eq!(h.sent(client), "stored\n".repeat(MOST_KEYS));
        h.feed(client, "set more 0\nset 0 1\nx");
        assert_eq!(h.sent(client), "error: too many keys\nstored\n");
    }
}
