//! Lines with answers, and blocks of bytes between them.

use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Context, Listen};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:11211";

/// `put 5` and five bytes; `get` gives them back with their number in front.
struct Shelf;

impl LineHandler for Shelf {
    type Session = Vec<u8>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn on_line(&mut self, cx: &mut Context<'_>, value: &mut Vec<u8>, line: &[u8]) -> Next {
        let line = std::str::from_utf8(line).expect("characters");
        match line.split_once(' ') {
            Some(("put", size)) => {
                value.clear();
                return Next::Block(size.parse().expect("a number"));
            }
            None if line == "get" => {
                cx.send(format!("{}\n", value.len()));
                cx.send(value.clone());
            }
            _ => panic!("{line:?} was never sent"),
        }
        Next::Line
    }

    fn on_block(&mut self, cx: &mut Context<'_>, value: &mut Vec<u8>, piece: &[u8], left: u64) {
        value.extend_from_slice(piece);
        if left == 0 {
            cx.send("stored\n");
        }
    }
}

/// A random dialogue: what a client says, and what it has to hear.
fn dialogue(sim: &mut Sim) -> (Vec<u8>, Vec<u8>) {
    let (mut said, mut heard, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..sim.below(20) {
        if sim.below(2) == 0 {
            let most = [1, 20, 2000, 20_000][sim.below(4)];
            value = noise(sim.below(most));
            said.extend(format!("put {}\r\n", value.len()).bytes());
            said.extend(&value);
            heard.extend(b"stored\n");
        } else {
            said.extend(b"get\n");
            heard.extend(format!("{}\n", value.len()).bytes());
            heard.extend(&value);
        }
    }
    (said, heard)
}

#[test]
pub(crate) fn row_03_each_line_is_answered_once_and_in_order_and_blocks_are_exact() {
    Simulation::new().run(|sim| {
        sim.reactor(|reactor| {
            let shelf = reactor.register(Watched::new(Lines::new(Shelf)));
            reactor.listen(ADDRESS, &Listen::default(), shelf).expect("the address is free");
        });
        for _ in 0..1 + sim.below(6) {
            let (said, heard) = dialogue(sim);
            let client = sim.client(ADDRESS).sends(said).expects(&heard);
            match sim.below(4) {
                0 => client.awaits(heard.len() / 2).resets(),
                1 => client,
                _ => client.finishes(),
            };
        }
    });
}
