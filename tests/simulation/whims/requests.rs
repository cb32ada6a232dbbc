//! Clients that mix requests of all kinds.

use std::time::Duration;

use sluicegate_reactor::testing::Sim;
use sluicegate_reactor::testing::simulation::Client;

use super::ADDRESS;
use crate::noise;

/// A request that was sent.
pub(super) struct Asked {
    pub(super) number: usize,
    pub(super) is_head: bool,
    /// Whether the client wants no other response.
    pub(super) is_last: bool,
    /// Whether it breaks a rule.
    pub(super) is_bad: bool,
    /// Its end in the bytes that the client sends.
    pub(super) end: usize,
}

/// A client and what it asks for.
pub(super) struct Talk {
    pub(super) client: Client,
    pub(super) sent: Vec<u8>,
    pub(super) asked: Vec<Asked>,
    /// Whether the last request is incomplete.
    pub(super) is_cut: bool,
    pub(super) resets: bool,
}

/// Makes up clients.
pub(super) fn clients(sim: &mut Sim) -> Vec<Talk> {
    let count = 1 + sim.below(4);
    (0..count).map(|number| client(sim, 100 * number)).collect()
}

/// Makes up a client whose requests are numbered from `first`.
fn client(sim: &mut Sim, first: usize) -> Talk {
    let (mut sent, count) = (Vec::new(), 1 + sim.below(6));
    let asked: Vec<_> = (0..count).map(|at| request(sim, first + at, &mut sent)).collect();
    let is_cut = sim.below(5) == 0;
    if is_cut {
        sent.truncate(sim.below(sent.len()));
    }
    let (mut client, mut begin) = (sim.client(ADDRESS), 0);
    for end in asked.iter().map(|asked| asked.end).filter(|end| *end <= sent.len()) {
        if sim.below(3) == 0 {
            let time = Duration::from_millis([1, 100, 1000][sim.below(3)]);
            client = client.sends(&sent[begin..end]).waits(time);
            begin = end;
        }
    }
    client = client.sends(&sent[begin..]);
    let way = sim.below(6);
    let client = match way {
        0 | 1 => client.finishes(),
        2 => client.waits(Duration::from_millis(300)).resets(),
        3 => client.reads_slowly(),
        _ => client,
    };
    Talk { client, sent, asked, is_cut, resets: way == 2 }
}

/// Makes up a request.
fn request(sim: &mut Sim, number: usize, out: &mut Vec<u8>) -> Asked {
    let (is_old, is_head, is_bad) = (sim.below(5) == 0, sim.below(6) == 0, sim.below(25) == 0);
    let (method, version) = (["POST", "HEAD"][usize::from(is_head)], u8::from(!is_old));
    let mut head = format!("{method} /{number} HTTP/1.{version}\r\nHost: h\r\n");
    let len = [0, 1, 13, 3000, 30_000, 65_536, 65_537, 120_000][sim.below(8)];
    let mut body = noise(len);
    if sim.below(5) == 0 {
        body = form(&body, sim.below(6) != 0);
        head += "Content-Type: multipart/form-data; boundary=xyz\r\n";
    }
    let mut is_last = is_old;
    match sim.below(12) {
        0 => {
            head += "Connection: close\r\n";
            is_last = true;
        }
        1..10 if is_old => {
            head += "Connection: keep-alive\r\n";
            is_last = false;
        }
        1 => {
            head += "Connection: upgrade\r\nUpgrade: echo\r\n";
            body.clear();
        }
        2..5 if !is_old => head += "Expect: 100-continue\r\n",
        _ => {}
    }
    head += if is_bad { "Bad field\r\n" } else { "" };
    head += &format!("X-Length: {}\r\n", body.len());
    out.extend_from_slice(head.as_bytes());
    push_body(sim, &body, is_old, out);
    Asked { number, is_head, is_last, is_bad, end: out.len() }
}

/// A form with two files, one of them empty.
fn form(content: &[u8], is_complete: bool) -> Vec<u8> {
    let head = "Content-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\n";
    let end = if is_complete { "--" } else { "" };
    let mut form = format!("--xyz\r\n{head}").into_bytes();
    form.extend_from_slice(content);
    form.extend_from_slice(format!("\r\n--xyz\r\n{head}\r\n--xyz{end}").as_bytes());
    form
}

/// Ends a head, and appends a body in some framing.
fn push_body(sim: &mut Sim, body: &[u8], is_old: bool, out: &mut Vec<u8>) {
    if body.is_empty() && sim.below(2) == 0 {
        out.extend_from_slice(b"\r\n");
    } else if is_old || sim.below(2) == 0 {
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
    } else {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks([1000, 7000, 65_536][sim.below(3)]) {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice([&b"0\r\n\r\n"[..], b"0\r\nA: b\r\n\r\n"][sim.below(2)]);
    }
}
