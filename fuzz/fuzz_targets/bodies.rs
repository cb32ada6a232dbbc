//! Bodies of requests on their way to a service, chunked or not, in any pieces: saved in files,
//! whole in memory, or piece by piece. The service gets what a naive reading of the whole input
//! says, trailer fields included, or no body, and all is the same for every split.
//!
//! The first byte of an input chooses the pieces, the way and the disk, the second the length of
//! the body.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::{
    Answered, Http, HttpLimits, Reply, Request, Service, Status, Trailers,
};
use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
use sluicegate_reactor::testing::{Harness, Received, State};
use sluicegate_reactor::{ConnId, Listen, Payload, Turn};

/// Most bytes of a body.
const BODY: u64 = 300;

/// Most bytes of a trailer section.
const TRAILERS: usize = 64;

/// How the service asks for bodies.
#[derive(Clone, Copy)]
enum Way {
    Save,
    Read,
    Pieces,
}

/// Saves each body in a file of its own, or keeps it.
struct Inbox {
    way: Way,
    dir: Dir,
    /// The bodies that have arrived in memory, by the number of their request.
    bodies: Vec<Option<Vec<u8>>>,
    /// Their trailer fields.
    trailers: Vec<Vec<Field>>,
}

/// A name and a value, a character for a byte.
type Field = (String, String);

/// The number of a request, and its pieces so far.
type Body = (usize, Vec<u8>);

impl Service for Inbox {
    type State = Body;

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Body> {
        let number = self.bodies.len();
        self.bodies.push(None);
        self.trailers.push(Vec::new());
        let state = (number, Vec::new());
        match self.way {
            Way::Read => reply.read(BODY as usize, state),
            Way::Pieces => reply.read_pieces(state),
            Way::Save => {
                let file = self.dir.create(number.to_string(), &CreateOptions::default());
                reply.save(file.expect("a new file"), state)
            }
        }
    }

    fn on_piece(
        &mut self,
        _: &mut Turn,
        _: ConnId,
        (_, bytes): &mut Body,
        piece: &[u8],
    ) -> Result<(), Status> {
        bytes.extend_from_slice(piece);
        Ok(())
    }

    fn on_trailers(
        &mut self,
        _: &mut Turn,
        _: ConnId,
        (number, _): &mut Body,
        trailers: Trailers<'_>,
    ) {
        let text = |value: &[u8]| value.iter().map(|byte| char::from(*byte)).collect();
        let trailers =
            trailers.iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
        let earlier = std::mem::replace(&mut self.trailers[*number], trailers);
        assert!(earlier.is_empty(), "trailers of one request twice");
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        (number, mut bytes): Body,
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<Body> {
        bytes.extend_from_slice(&body);
        let earlier = self.bodies[number].replace(bytes);
        assert_eq!(earlier, None, "two bodies of one request");
        reply.send("")
    }

    fn on_saved(
        &mut self,
        _: &Request<'_>,
        _: Body,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered<Body> {
        reply.saved(saved)
    }
}

/// How an exchange went: the answers, the server's end, the bodies and their trailer fields.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    sent: Received,
    state: State,
    bodies: Vec<Option<Vec<u8>>>,
    trailers: Vec<Vec<Field>>,
}

/// Pieces of bytes; the small ones cost the most turns and so are not all there.
const SIZES: [usize; 8] = [1, 2, 3, 5, 8, 16, 64, 256];

fuzz_target!(|input: &[u8]| {
    let [choice, length, bytes @ ..] = input else { return };
    let piece = SIZES[usize::from(choice % 8)];
    let in_memory = choice & 8 > 0;
    let way = [Way::Save, Way::Read, Way::Pieces][usize::from(choice >> 4) % 3];
    let framing = match length {
        0 => "Transfer-Encoding: chunked".to_owned(),
        length => format!("Content-Length: {length}"),
    };
    let head = format!("PUT / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
    let whole = exchange(&head, bytes, usize::MAX, (way, in_memory));
    let split = exchange(&head, bytes, piece, (way, in_memory));
    assert_eq!(split, whole, "in pieces of {piece} bytes, and whole");
    let expected = match usize::from(*length) {
        0 => read_chunks(bytes),
        length => bytes.get(..length).map(|body| (body.to_vec(), Vec::new())),
    };
    let (body, trailers) = expected.unzip();
    assert_eq!(whole.bodies[0], body);
    assert_eq!(whole.trailers[0], trailers.unwrap_or_default());
});

fn exchange(head: &str, bytes: &[u8], piece: usize, (way, in_memory): (Way, bool)) -> Outcome {
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
            let dir = reactor.open_dir("/in").expect("it was made");
            let inbox = Inbox { way, dir, bodies: Vec::new(), trailers: Vec::new() };
            reactor.register(Http::with(inbox, limits))
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
    let inbox = h.handler().service();
    let trailers = std::mem::take(&mut inbox.trailers);
    let mut bodies = std::mem::take(&mut inbox.bodies);
    let files = h.files();
    for (number, body) in bodies.iter_mut().enumerate() {
        if let Some(content) = files.content(format!("/in/{number}")) {
            *body = Some(content.to_vec());
        }
    }
    assert_eq!(files.temporary(), 0, "files without a name are left");
    Outcome { sent, state, bodies, trailers }
}

/// A chunked body and its trailer fields, if it is whole and right.
fn read_chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, Vec<Field>)> {
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
    let (mut trailers, mut len) = (Vec::new(), 0);
    loop {
        let line = line(&mut bytes)?;
        if line.is_empty() {
            return Some((body, trailers));
        }
        len += line.chars().count() + 2;
        let (name, value) = line.split_once(':')?;
        if !is_token(name) || len > TRAILERS {
            return None;
        }
        trailers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// Whether this is nothing, or extensions of a chunk.
fn are_extensions(text: &str) -> bool {
    // A quote stands for a quoted string.
    let (mut brief, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        brief.push(c);
        if c == '"' {
            loop {
                match chars.next() {
                    Some('"') => break,
                    Some('\\') => _ = chars.next(),
                    Some(_) => {}
                    None => return false,
                }
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
