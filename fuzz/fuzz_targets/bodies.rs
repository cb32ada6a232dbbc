//! Bodies of requests on their way into files, chunked or not, in any pieces: the file has what a
//! naive reading of the whole input says, or is not there, and all is the same for every split.
//!
//! The first byte of an input chooses the pieces and the disk, the second the length of the body.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::{Answered, Http, HttpLimits, Reply, Request, Service};
use sluicegate_reactor::Listen;
use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::{Harness, Received, State};

/// Most bytes of a body.
const BODY: u64 = 300;

/// Most bytes of a trailer section.
const TRAILERS: usize = 64;

/// Saves each body in a file of its own.
struct Inbox {
    dir: Dir,
    begun: usize,
}

impl Service for Inbox {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let file = self.dir.create(self.begun.to_string(), &CreateOptions::default());
        self.begun += 1;
        reply.save(file.expect("a new file"), ())
    }

    fn on_saved(
        &mut self,
        _: &Request<'_>,
        (): (),
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.saved(saved)
    }
}

/// How an exchange went: the answers, the server's end and the files.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    sent: Received,
    state: State,
    files: Vec<Option<Vec<u8>>>,
}

/// Pieces of bytes; the small ones cost the most turns and so are not all there.
const SIZES: [usize; 8] = [1, 2, 3, 5, 8, 16, 64, 256];

fuzz_target!(|input: &[u8]| {
    let [choice, length, bytes @ ..] = input else { return };
    let piece = SIZES[usize::from(choice % 8)];
    let in_memory = choice & 8 > 0;
    let framing = match length {
        0 => "Transfer-Encoding: chunked".to_owned(),
        length => format!("Content-Length: {length}"),
    };
    let head = format!("PUT / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
    let whole = exchange(&head, bytes, usize::MAX, in_memory);
    let split = exchange(&head, bytes, piece, in_memory);
    assert_eq!(split, whole, "in pieces of {piece} bytes, and whole");
    let expected = match usize::from(*length) {
        0 => read_chunks(bytes),
        length => bytes.get(..length).map(<[u8]>::to_vec),
    };
    assert_eq!(whole.files[0], expected);
});

fn exchange(head: &str, bytes: &[u8], piece: usize, in_memory: bool) -> Outcome {
    let limits = HttpLimits { body: BODY, head: TRAILERS, ..HttpLimits::default() };
    let mut h = Harness::build(
        &Listen::default(),
        |files| {
            files.make_dir("/in");
            if in_memory {
                files.set_in_memory();
            }
        },
        |reactor| {
            let dir = reactor.fs().open_dir("/in").expect("it was made");
            reactor.register(Http::with(Inbox { dir, begun: 0 }, limits))
        },
    );
    let client = h.open();
    h.feed(client, head);
    for piece in bytes.chunks(piece) {
        h.feed(client, piece);
    }
    h.finish(client);
    let (sent, state) = (h.sent(client), h.state(client));
    assert_eq!(h.ledger().panics, 0);
    let begun = h.handler().service().begun;
    let files = h.files();
    let content = |at| files.content(format!("/in/{at}")).map(<[u8]>::to_vec);
    let contents = (0..begun).map(content).collect();
    assert_eq!(files.temporary(), 0, "files without a name are left");
    Outcome { sent, state, files: contents }
}

/// A chunked body, if it is whole and right.
fn read_chunks(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = line(&mut bytes)?;
        let digits = line.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digits, extensions) = line.split_at(digits);
        let size = u64::from_str_radix(digits, 16).ok()?;
        if !are_extensions(extensions) || size > BODY - body.len() as u64 {
            return None;
        }
        if size == 0 {
            break;
        }
        let (data, rest) = bytes.split_at_checked(size as usize)?;
        body.extend(data);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
    let mut trailers = 0;
    loop {
        let line = line(&mut bytes)?;
        if line.is_empty() {
            return Some(body);
        }
        trailers += line.chars().count() + 2;
        let (name, _) = line.split_once(':')?;
        if !is_token(name) || trailers > TRAILERS {
            return None;
        }
    }
}

/// Whether this is nothing, or extensions of a chunk.
fn are_extensions(text: &str) -> bool {
    // A quote stands for a quoted string.
    let (mut brief, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        brief.push(c);
        while c == '"' {
            match chars.next() {
                Some('"') => break,
                Some('\\') => _ = chars.next(),
                Some(_) => {}
                None => return false,
            }
        }
    }
    let blank = [' ', '\t'];
    let mut parts = brief.split(';').map(|part| part.trim_matches(blank));
    let is_extension = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, "none"));
        let value = value.trim_start_matches(blank);
        is_token(name.trim_end_matches(blank)) && (value == "\"" || is_token(value))
    };
    !text.ends_with(blank) && parts.next() == Some("") && parts.all(is_extension)
}

fn is_token(text: &str) -> bool {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_valid)
}

/// What comes before a CRLF, a character for a byte, without control characters.
fn line(bytes: &mut &[u8]) -> Option<String> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line: String = bytes[..end].iter().map(|byte| char::from(*byte)).collect();
    *bytes = &bytes[end + 2..];
    (!line.contains(|c: char| c.is_ascii_control() && c != '\t')).then_some(line)
}
