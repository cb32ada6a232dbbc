//! Forms whose parts go to files and to the service.

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, NewFile};
use sluicegate_reactor::testing::{Files, Harness, State};
use sluicegate_reactor::{ConnId, Listen, Payload, Turn};

use super::{Answered, Http, HttpLimits, Reply, Request, Service, answers};
use crate::http::Status;
use crate::http::multipart::{FormLimits, FormPart};
use crate::testing::same_at_every_split;

/// Saves each file under its name, and answers with what a form consists of.
struct Inbox {
    dir: Dir,
    /// The connection of the last part, if parts pause their connections.
    paused: Option<Option<ConnId>>,
}

impl Service for Inbox {
    type State = String;

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered<String> {
        reply.read_form(FormLimits { parts: 4, part_head: 200 }, String::new())
    }

    fn on_part(
        &mut self,
        cx: &mut Turn,
        connection: ConnId,
        form: &mut String,
        part: &FormPart,
    ) -> Result<Option<NewFile>, Status> {
        if let Some(paused) = &mut self.paused {
            *paused = Some(connection);
            cx.peer(connection).pause();
        }
        *form += &format!("{}=", String::from_utf8_lossy(part.name()));
        let Some(name) = part.file_name() else { return Ok(None) };
        if name == b"refused" {
            return Err(Status::FORBIDDEN);
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let file = self.dir.create(name, &CreateOptions::default());
        file.map(Some).map_err(|error| Status::for_unsaved(&error))
    }

    fn on_piece(
        &mut self,
        _: &mut Turn,
        _: ConnId,
        form: &mut String,
        piece: &[u8],
    ) -> Result<(), Status> {
        *form += std::str::from_utf8(piece).expect("text");
        if form.contains('!') { Err(Status::FORBIDDEN) } else { Ok(()) }
    }

    fn on_part_saved(&mut self, _: &mut Turn, _: ConnId, form: &mut String, saved: Committed) {
        *form += &format!("{saved:?} ");
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        form: String,
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered<String> {
        assert!(body.is_empty());
        reply.send(form)
    }
}

fn inbox_on(disk: impl FnOnce(&mut Files), limits: HttpLimits) -> Harness<Http<Inbox>> {
    let disk = |files: &mut Files| {
        files.make_dir("/in");
        files.put_file("/in/there", b"what was there", 0);
        disk(files);
    };
    Harness::build(&Listen::default(), disk, |reactor| {
        let dir = reactor.open_dir("/in").expect("it was made");
        reactor.register(Http::with(Inbox { dir, paused: None }, limits))
    })
}

fn inbox() -> Harness<Http<Inbox>> {
    inbox_on(|_| {}, HttpLimits::default())
}

/// The two kinds of disks: those that workers write, and those in memory.
const DISKS: [fn(&mut Files); 2] = [|_| {}, Files::set_in_memory];

/// A form of parts with a name, or with a name and a file name.
fn form(parts: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, data) in parts {
        let name = name.replace('/', "\"; filename=\"");
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body += &format!("--xyz\r\n{head}\r\n\r\n{data}\r\n");
    }
    body + "--xyz--\r\n"
}

const HEAD: &str =
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=xyz\r\n";

fn exact(body: &str) -> String {
    format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The same in chunks of this size.
fn chunked(body: &str, size: usize) -> String {
    let chunks = body.as_bytes().chunks(size).map(|chunk| {
        format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).expect("ASCII"))
    });
    format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>())
}

fn content(h: &mut Harness<Http<Inbox>>, name: &str) -> Option<String> {
    let files = h.files();
    let content = files.content(format!("/in/{name}"));
    content.map(|content| String::from_utf8_lossy(content).into_owned())
}

/// Asserts that no upload has left anything: only the directory is open.
fn assert_nothing_left(h: &mut Harness<Http<Inbox>>) {
    assert_eq!(h.files().temporary(), 0);
    assert_eq!(h.open_descriptors().files, 1);
}

#[test]
fn row_51_parts_go_to_files_and_to_the_service_however_they_arrive() {
    let tricky = "\r\n--xy\r\n\r\n--xy-\r\r\n-";
    let body = form(&[("a", "one\r\n"), ("b/new", tricky), ("c/there", ""), ("d", tricky)]);
    let expected = format!("200 a=one\r\nb=Created c=Replaced d={tricky}");
    for disk in DISKS {
        for request in [exact(&body), chunked(&body, 3), chunked(&body, 20)] {
            // What follows is the next request.
            let input = request + &exact("--xyz--");
            let make = || inbox_on(disk, HttpLimits::default());
            let outcome = same_at_every_split(make, &input);
            assert_eq!(answers(&outcome.sent), [&*expected, "200 "]);
            assert_eq!(outcome.state, State::Open);
            let mut h = make();
            let client = h.open();
            input.bytes().for_each(|byte| h.feed(client, [byte]));
            assert_eq!(content(&mut h, "new").as_deref(), Some(tricky));
            assert_eq!(content(&mut h, "there").as_deref(), Some(""));
            assert_nothing_left(&mut h);
        }
    }
}

#[test]
fn row_51_a_file_of_any_size_arrives_whole() {
    for disk in DISKS {
        for (size, piece) in [(1 << 20, 100_000), (300_000, 4096), (70_000, 65_537)] {
            let data: String = (0..size / 10).map(|i| format!("{i:08}\r\n")).collect();
            let body = form(&[("a/new", &data), ("b", "x")]);
            for request in [exact(&body), chunked(&body, 10_000)] {
                let mut h = inbox_on(disk, HttpLimits::default());
                let client = h.open();
                request.as_bytes().chunks(piece).for_each(|piece| h.feed(client, piece));
                assert_eq!(answers(&h.sent(client)), ["200 a=Created b=x"]);
                assert!(content(&mut h, "new") == Some(data.clone()), "{size} {piece}");
            }
        }
    }
}

#[test]
fn workers_write_pieces_together_that_end_with_what_might_be_a_delimiter() {
    let data = "\r".repeat(20_000) + &"a line\r\n".repeat(1000);
    let body = form(&[("a/new", &data)]);
    for (request, piece) in [(exact(&body), 1), (exact(&body), 15), (chunked(&body, 1), 4096)] {
        let mut h = inbox();
        let client = h.open();
        h.hold_disk();
        request.as_bytes().chunks(piece).for_each(|piece| h.feed(client, piece));
        assert_eq!(h.calls().write_at, 1, "{piece}");
        h.release_disk();
        assert_eq!(answers(&h.sent(client)), ["200 a=Created "]);
        assert!(content(&mut h, "new") == Some(data.clone()), "{piece}");
        assert!(h.calls().write_at <= data.len() as u64 / 4096 + 1, "{piece}");
    }
}

#[test]
fn row_51_what_is_no_form_is_refused_before_its_body_is_read() {
    let other = exact("body").replace("multipart/form-data", "text/plain");
    let none = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody".to_owned();
    let no_boundary = exact("body").replace("boundary=xyz", "boundary=");
    let rows = [(other, "415"), (none, "415"), (no_boundary, "400"), (exact(""), "400")];
    for (request, status) in rows {
        let outcome = same_at_every_split(inbox, request + &exact("--xyz--"));
        assert_eq!(answers(&outcome.sent), [status, "200 "]);
    }
}

#[test]
fn row_51_a_malformed_form_is_refused_and_only_its_complete_files_stay() {
    let body = form(&[("a/new", "one"), ("b/there", "two")]);
    let second = body.find("two").expect("the second file");
    for disk in DISKS {
        // Cut off anywhere, by the announced length or by the last chunk.
        for end in 1..second + "two\r\n--xyz".len() {
            for request in [exact(&body[..end]), chunked(&body[..end], end)] {
                let mut h = inbox_on(disk, HttpLimits::default());
                let client = h.open();
                h.feed(client, &request);
                assert_eq!(answers(&h.sent(client)), ["400"], "{end}");
                assert_ne!(h.state(client), State::Open);
                let first_is_there = content(&mut h, "new").is_some();
                let delimiter = body.find("one\r\n--xyz").expect("a part") + "one\r\n--xyz".len();
                assert_eq!(first_is_there, end >= delimiter, "{end}");
                assert_eq!(content(&mut h, "there").as_deref(), Some("what was there"));
                assert_nothing_left(&mut h);
            }
        }
        let wrong = body[..second].to_owned() + "two\r\n--xyz..";
        let outcome = same_at_every_split(|| inbox_on(disk, HttpLimits::default()), exact(&wrong));
        assert_eq!(answers(&outcome.sent), ["400"]);
    }
}

#[test]
fn row_51_limits_apply_to_parts_their_heads_and_the_whole_form() {
    let many = form(&[("a", ""); 5]);
    let long = form(&[(&"a".repeat(200), "")]);
    let limits = HttpLimits { body: 600, ..HttpLimits::default() };
    let large = form(&[("a/new", &"x".repeat(600))]);
    for body in [many, long, large] {
        for request in [exact(&body), chunked(&body, 50)] {
            let make = || inbox_on(|_| {}, limits.clone());
            let mut h = make();
            let client = h.open();
            h.feed(client, &request);
            assert_eq!(answers(&h.sent(client)), ["413"]);
            assert_eq!(content(&mut h, "new"), None);
            assert_nothing_left(&mut h);
            let outcome = same_at_every_split(make, &request);
            assert_eq!(answers(&outcome.sent), ["413"]);
        }
    }
}

#[test]
fn row_51_a_service_can_refuse_a_part_and_a_piece() {
    for body in [form(&[("a/refused", "x")]), form(&[("a", "x!")]), form(&[("a", "!")])] {
        for request in [exact(&body), chunked(&body, 3)] {
            let outcome = same_at_every_split(inbox, request);
            assert_eq!(answers(&outcome.sent), ["403"], "{body}");
            assert_ne!(outcome.state, State::Open);
        }
    }
}

#[test]
fn row_51_a_full_disk_is_507_and_leaves_nothing() {
    for disk in DISKS {
        for request in [exact, |body: &str| chunked(body, 5)] {
            let mut h = inbox_on(disk, HttpLimits::default());
            h.files().set_room(10);
            let client = h.open();
            // The last pieces might have belonged to a delimiter.
            h.feed(client, request(&form(&[("a/new", "1234567\r\n--xy\r\n--xy")])));
            assert_eq!(answers(&h.sent(client)), ["507"]);
            assert_eq!(content(&mut h, "new"), None);
            assert_nothing_left(&mut h);
        }
    }
}

#[test]
fn row_51_a_client_that_leaves_leaves_nothing() {
    let body = form(&[("a", "one"), ("b/there", "two")]);
    let end = body.find("two\r\n--xyz").expect("a part") + "two\r\n--xy".len();
    for request in [exact(&body), chunked(&body, 1000)] {
        let start = request.find("--xyz").expect("a body");
        for leave in [Harness::finish, Harness::reset] {
            for len in start..start + end {
                let mut h = inbox();
                let client = h.open();
                h.feed(client, &request[..len]);
                leave(&mut h, client);
                assert!(h.sent(client).is_empty());
                assert_eq!(content(&mut h, "there").as_deref(), Some("what was there"));
                assert_nothing_left(&mut h);
            }
        }
    }
}

#[test]
fn row_51_a_service_that_pauses_at_a_part_gets_the_rest_when_it_resumes() {
    for disk in DISKS {
        let mut h = inbox_on(disk, HttpLimits::default());
        h.handler().service().paused = Some(None);
        let client = h.open();
        h.feed(client, exact(&form(&[("a/new", "one"), ("b", "two")])));
        for _ in 0..2 {
            assert!(h.sent(client).is_empty());
            let id = h.handler().service().paused.flatten().expect("a part came");
            h.reactor().peer(id).resume();
            h.run();
        }
        assert_eq!(answers(&h.sent(client)), ["200 a=Created b=two"]);
    }
}

#[test]
fn row_24_a_client_is_told_to_continue_only_with_a_form() {
    let expecting = |request: String| {
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        (format!("{head}\r\nExpect: 100-continue\r\n\r\n"), body.to_owned())
    };
    let (head, body) = expecting(exact(&form(&[("a", "one")])));
    let mut h = inbox();
    let client = h.open();
    h.feed(client, head);
    assert_eq!(h.sent(client), "HTTP/1.1 100 Continue\r\n\r\n");
    h.feed(client, body);
    assert_eq!(answers(&h.sent(client)), ["200 a=one"]);
    let (head, _) = expecting(exact("body").replace("form-data", "mixed"));
    let client = h.open();
    h.feed(client, head);
    assert_eq!(answers(&h.sent(client)), ["415"]);
}
