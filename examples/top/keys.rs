//! The keys that a user presses.

use std::io::BufRead;

const CTRL_C: u8 = 3;
const ESC: u8 = 0x1b;

/// What the last bytes were.
#[derive(Clone, Copy)]
enum State {
    Text,
    Escape,
    /// The start of a control sequence, which a byte from 0x40 to 0x7e ends (ECMA-48, section 5.4).
    Sequence,
    /// The start of a function key, which one byte ends.
    Function,
}

/// Waits until the user asks to quit, with q or Ctrl-C. Other keys, and what a terminal sends by
/// itself, may be any bytes. Returns whether the user has asked before the input ended.
pub(crate) fn wait_for_quit(input: impl BufRead) -> bool {
    let mut state = State::Text;
    for byte in input.bytes().map_while(Result::ok) {
        state = match (state, byte) {
            (_, CTRL_C) | (State::Text | State::Escape, b'q') => return true,
            (_, ESC) => State::Escape,
            (State::Escape, b'[') => State::Sequence,
            (State::Escape, b'O') => State::Function,
            (State::Sequence, 0..0x40) => State::Sequence,
            _ => State::Text,
        };
    }
    false
}
