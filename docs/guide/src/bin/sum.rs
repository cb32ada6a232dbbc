//! Adds numbers: `add 5` answers with the new sum, `quit` ends the connection.

use sluicegate_protocols::line::{Delimiter, LineHandler, Lines, Next, Splitter};
use sluicegate_reactor::{Context, Listen, Reactor};

/// The maximum length of a line in bytes.
const LONGEST_LINE: usize = 100;

struct Sum;

impl LineHandler for Sum {
    type Session = i64;

    fn on_open(&mut self, _: &mut Context<'_>) -> i64 {
        0
    }

    fn on_line(&mut self, cx: &mut Context<'_>, sum: &mut i64, line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line);
        match line.split_once(' ') {
            Some(("add", number)) => {
                match number.parse().ok().and_then(|number| sum.checked_add(number)) {
                    Some(new) => {
                        *sum = new;
                        cx.send(format!("{sum}\n"));
                    }
                    None => _ = cx.send("error: not a number, or too large\n"),
                }
            }
            None if line == "quit" => {
                cx.send("bye\n");
                cx.close();
            }
            _ => _ = cx.send("error: expected `add NUMBER` or `quit`\n"),
        }
        Next::Line
    }

    fn on_too_long(&mut self, cx: &mut Context<'_>, _: &mut i64, _: &[u8]) {
        cx.send("error: line too long\n");
        cx.close();
    }
}

fn lines() -> Lines<Sum> {
    Lines::with(Sum, Splitter::new(Delimiter::newline(), LONGEST_LINE))
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut reactor = Reactor::new()?;
    let sum = reactor.register(lines());
    let listener = reactor.listen(address, &Listen::default(), sum)?;
    println!("sum on {}", reactor.listener_address(listener).expect("it is open"));
    reactor.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    use sluicegate_reactor::testing::{Harness, State, same_at_every_split};

    #[test]
    fn numbers_are_added_however_they_arrive() {
        let input = "add 5\r\nadd -2\nadd x\nadd 9223372036854775807\nsub 1\nquit\nadd 1\n";
        let outcome = same_at_every_split(|| Harness::new(lines()), input);
        let answers = "5\n3\nerror: not a number, or too large\n\
                       error: not a number, or too large\n\
                       error: expected `add NUMBER` or `quit`\nbye\n";
        assert_eq!(outcome.sent, answers);
        assert_eq!(outcome.state, State::Shut);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut h = Harness::new(lines());
        let client = h.open();
        h.feed(client, "x".repeat(LONGEST_LINE));
        assert_eq!(h.sent(client), "");
        h.feed(client, "xx");
        assert_eq!(h.sent(client), "error: line too long\n");
        assert_eq!(h.state(client), State::Shut);
    }
}
