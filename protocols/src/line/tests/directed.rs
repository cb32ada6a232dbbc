//! Blocks that go where the handler does not see them.

use sluicegate_reactor::fs::{CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::testing::State;

use super::*;

/// `store N`, `relay N` and `discard N` announce a block. A relayed block goes back to its client.
struct Director(Dir);

impl LineHandler for Director {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line);
        cx.send(format!("<{line}>"));
        let (command, count) = line.split_once(' ').unwrap_or((&line, "0"));
        let (count, own) = (count.parse().expect("a size"), cx.id());
        match command {
            "store" => {
                let file = self.0.create("block", &CreateOptions::default());
                cx.receive_file(file.expect("a directory"), Some(count));
            }
            "relay" => cx.relay_part(own, count),
            "discard" => cx.discard(count),
            _ => {}
        }
        Next::Line
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, (): &mut (), saved: Result<Saved, NotSaved>) {
        match saved {
            Ok(_) => _ = cx.send("(stored)"),
            Err(error) => {
                cx.send("(not stored)");
                cx.discard(error.left.unwrap_or(0));
            }
        }
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, (): &mut (), left: u64) {
        cx.send(format!("({left} left)"));
    }
}

fn director(per_turn: u32) -> Harness<Lines<Director>> {
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/spool"),
        |reactor| {
            let spool = reactor.open_dir("/spool").expect("it was made");
            reactor.register(Lines::new(Director(spool)).per_turn(per_turn))
        },
    )
}

#[test]
fn a_block_that_is_directed_elsewhere_is_not_taken_for_lines() {
    let input = "store 4\na\nb\nx\nrelay 4\na\nb\ny\ndiscard 4\na\nb\nz\n\
                 store 0\nrelay 0\ndiscard 0\nend\n";
    for per_turn in [1, 100] {
        let outcome = crate::testing::same_at_every_split(|| director(per_turn), input);
        let told = "<store 4>(stored)<x><relay 4>a\nb\n(0 left)<y><discard 4><z>\
                    <store 0>(stored)<relay 0>(0 left)<discard 0><end>";
        assert_eq!(outcome.sent, told);
    }
}

#[test]
fn a_block_that_could_not_be_stored_can_be_skipped() {
    let mut h = director(100);
    h.files().set_room(3);
    let client = h.open();
    h.feed(client, "store 6\nhello\nnext\n");
    assert_eq!(h.sent(client), "<store 6>(not stored)<next>");
    assert_eq!(h.state(client), State::Open);
}
