//! From HTTP heads to a queued answer. Run with `cargo bench --bench http`.
//!
//! A client has 16 requests waiting; one turn of the reactor receives them and sends 16 answers.
//! Three contenders get the same bytes:
//!
//! - `Http`: the protocol around a service that says hello;
//! - `canned`: a handler that looks at nothing and sends the same answers ready-made. What `Http`
//!   takes beyond that is the price of HTTP;
//! - `httparse`: only taking the heads apart, without a reactor or a socket.
//!
//! The heads are as `wrk` sends them, and as a browser does. Times are for all 16, rates for one.

use std::hint::black_box;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_reactor::{Context, Handler, Input, Limits};

mod common;

const PIPELINED: usize = 16;

const WRK: &str = "GET / HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    \r\n";

const BROWSER: &str = "GET /articles/2024/an-article?page=2 HTTP/1.1\r\n\
    Host: www.example.org:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://www.example.org:8080/articles/2024/\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    If-Modified-Since: Tue, 05 Mar 2024 10:00:00 GMT\r\n\
    Cache-Control: max-age=0\r\n\
    Priority: u=0, i\r\n\
    \r\n";

struct Hello;

impl Service for Hello {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.header("Content-Type", "text/plain").send("Hello, World!")
    }
}

/// Answers whatever arrives with the same bytes.
struct Canned(Vec<u8>);

impl Handler for Canned {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        cx.send(&self.0[..]);
    }
}

/// One client, and the requests it makes.
struct Exchange<'a> {
    server: common::Server,
    requests: &'a [u8],
}

impl Exchange<'_> {
    fn new(handler: impl Handler, requests: &[u8]) -> Exchange<'_> {
        Exchange { server: common::Server::new(handler, Limits::default(), 1), requests }
    }

    /// One exchange: how long the turn took, and the answers.
    fn once(&mut self) -> (Duration, Vec<u8>) {
        let common::Server { reactor, clients } = &mut self.server;
        clients[0].write_all(self.requests).unwrap();
        let before = reactor.ledger().clone();
        let received = before.received + self.requests.len() as u64;
        let start = Instant::now();
        // One turn is enough, unless the kernel delivers late.
        while reactor.ledger().received < received {
            reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        let elapsed = start.elapsed();
        let mut answers = vec![0; (reactor.ledger().sent - before.sent) as usize];
        clients[0].read_exact(&mut answers).unwrap();
        (elapsed, answers)
    }

    /// How long so many exchanges take, each answered with so many bytes.
    fn times(&mut self, times: u64, expected: usize) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..times {
            let (elapsed, answers) = self.once();
            assert_eq!(answers.len(), expected);
            total += elapsed;
        }
        total
    }
}

/// Takes all heads apart and says how many there are.
fn parse(mut bytes: &[u8]) -> usize {
    let mut heads = 0;
    while !bytes.is_empty() {
        let mut fields = [const { MaybeUninit::uninit() }; PIPELINED];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut fields).unwrap();
        black_box(&request);
        bytes = &bytes[parsed.unwrap()..];
        heads += 1;
    }
    heads
}

fn compare(criterion: &mut Criterion, name: &str, head: &str) {
    let requests = head.repeat(PIPELINED).into_bytes();
    let mut group = criterion.benchmark_group(format!("http/{PIPELINED} {name} heads"));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(PIPELINED as u64));

    let mut http = Exchange::new(Http::new(Hello), &requests);
    let (_, answers) = http.once();
    let text = std::str::from_utf8(&answers).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), PIPELINED);
    let expected = answers.len();
    group.bench_function("Http", |b| b.iter_custom(|times| http.times(times, expected)));

    let mut canned = Exchange::new(Canned(answers), &requests);
    group.bench_function("canned", |b| b.iter_custom(|times| canned.times(times, expected)));

    assert_eq!(parse(&requests), PIPELINED);
    group.bench_function("httparse", |b| b.iter(|| parse(black_box(&requests))));
    group.finish();
}

fn http(criterion: &mut Criterion) {
    compare(criterion, "wrk", WRK);
    compare(criterion, "browser", BROWSER);
}

criterion_group!(benches, http);
criterion_main!(benches);
