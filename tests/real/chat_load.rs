//! The example `chat` with many members, of whom some talk and some do not read.
//!
//! The long form takes about a minute, with 5,000 members of whom 100 talk:
//!
//! ```sh
//! cargo build --release --all-features --examples
//! SLUICEGATE_CHAT_MEMBERS=5000 SLUICEGATE_CHAT_ROUNDS=60 cargo test --release \
//!     -p sluicegate-tests --all-features --test real chat_load -- --nocapture
//! ```

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sluicegate_reactor::{
    Connect, Connector, Context, Handler, HandlerId, Input, Limits, Reactor, Receive, Sessions,
    Turn,
};
use socket2::{Domain, Socket, Type};

use crate::descriptors;
use crate::memory::anonymous;
use crate::process::{PATIENCE, Server, eventually, example};

/// How the line begins that ends the greeting.
const WELCOME: &[u8] = b"* you are ";
/// The last character of each message, which stands nowhere else.
const MARK: u8 = b'#';
/// The bytes of a line that is said.
const LINE: usize = 900;
/// How many members connect at the same time, so that the backlog has room for them.
const CONNECTING: usize = 100;

/// The members who read. Each of them hears everything.
struct Crowd {
    connector: Connector<Crowd>,
    server: SocketAddr,
    members: usize,
    /// How many have begun to connect, and how many are in the room.
    begun: usize,
    joined: usize,
    /// How many messages they have heard together.
    heard: usize,
}

struct Member {
    number: usize,
    /// What has arrived, until the member is in the room.
    greeting: Option<Vec<u8>>,
}

/// The first members say a line each.
struct Talk {
    talkers: usize,
}

impl Crowd {
    fn connect_next(&mut self, cx: &mut Turn) {
        if self.begun < self.members {
            let member = Member { number: self.begun, greeting: Some(Vec::new()) };
            cx.connect(self.connector, self.server, member);
            self.begun += 1;
        }
    }
}

impl Handler for Crowd {
    type Session = Member;

    fn on_open(&mut self, _: &mut Context<'_>) -> Member {
        unreachable!("a client accepts nobody");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, member: &mut Member, input: &mut Input<'_>) {
        let bytes = input.take();
        let Some(greeting) = &mut member.greeting else {
            self.heard += bytes.iter().filter(|byte| **byte == MARK).count();
            return;
        };
        greeting.extend_from_slice(bytes);
        let is_welcome = |line: &[u8]| line.starts_with(WELCOME) && line.ends_with(b"\n");
        if greeting.split_inclusive(|byte| *byte == b'\n').any(is_welcome) {
            member.greeting = None;
            self.joined += 1;
            self.connect_next(cx);
        }
    }
}

impl Receive<Talk, Member> for Crowd {
    fn on_message(&mut self, cx: &mut Sessions<'_, Member>, Talk { talkers }: Talk) {
        let line = format!("{}{}\n", "x".repeat(LINE - 2), MARK as char);
        cx.for_each(|cx, member| {
            if member.number < talkers {
                cx.send(&line[..]);
            }
        });
    }
}

/// The crowd, which takes turns with the test.
struct Clients {
    reactor: Reactor,
    crowd: HandlerId<Crowd>,
}

impl Clients {
    fn new(server: SocketAddr, members: usize) -> Clients {
        let mut reactor = Reactor::new().expect("a reactor");
        let crowd = reactor.reserve();
        let limits = Limits { idle: None, ..Limits::default() };
        let connect = Connect { limits, ..Connect::default() };
        let connector = reactor.connector(crowd, &connect).expect("a connector");
        let mut handler = Crowd { connector, server, members, begun: 0, joined: 0, heard: 0 };
        (0..CONNECTING).for_each(|_| handler.connect_next(&mut reactor));
        reactor.install(crowd, handler);
        Clients { reactor, crowd }
    }

    fn turn_until(&mut self, what: &str, mut is_so: impl FnMut(&Crowd) -> bool) {
        let start = Instant::now();
        while !is_so(self.reactor.handler(self.crowd)) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            self.reactor.turn(Some(Duration::from_millis(100))).expect("a turn");
        }
    }

    /// Lets each talker say a line, and waits until everybody has heard all of them.
    fn round(&mut self, talkers: usize) {
        let crowd = self.reactor.handler(self.crowd);
        let heard = crowd.heard + talkers * crowd.members;
        let posted = self.reactor.handle(self.crowd).post(Talk { talkers });
        assert!(posted.is_ok());
        self.turn_until("a round that everybody hears", |crowd| crowd.heard == heard);
    }
}

/// A member who reads nothing after the greeting. As for a client far away, few bytes are on the
/// way to it: the send buffer of a connection grows with the size of its segments.
fn slow_member(server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_tcp_mss(536).expect("an option");
    socket.set_recv_buffer_size(4096).expect("an option");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.connect(&server.into()).expect("a connection");
    let mut lines = BufReader::new(TcpStream::from(socket));
    let mut line = Vec::new();
    while !line.starts_with(WELCOME) {
        line.clear();
        lines.read_until(b'\n', &mut line).expect("a greeting");
    }
    lines.into_inner()
}

fn variable(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// `SLUICEGATE_CHAT_MEMBERS=5000` and `SLUICEGATE_CHAT_ROUNDS=60` are the long form.
#[test]
#[expect(clippy::print_stderr, reason = "the long form is run for these numbers")]
fn slow_members_of_a_large_room_take_little_memory_and_are_dropped_and_the_others_miss_nothing() {
    let members = variable("SLUICEGATE_CHAT_MEMBERS", 300);
    let rounds = variable("SLUICEGATE_CHAT_ROUNDS", 10);
    // All of them talk at once, and say more than a queue holds.
    let (talkers, slow) = (100, members / 10);
    let Some((_, _turn)) = descriptors::thousands(members) else { return };
    let server = Server::start(&mut example("chat"));
    let open = || fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a process").count();
    let before = open();
    let mut clients = Clients::new(server.address, members - slow);
    clients.turn_until("a room with all who read", |crowd| crowd.joined == crowd.members);
    let slow_members: Vec<_> = (0..slow).map(|_| slow_member(server.address)).collect();
    assert_eq!(open(), before + members);

    let empty = anonymous(server.pid());
    let (mut most, start) = (empty, Instant::now());
    for _ in 0..rounds {
        clients.round(talkers);
        most = most.max(anonymous(server.pid()));
    }
    let heard = rounds * talkers * (members - slow);
    eprintln!(
        "{members} members: {heard} messages heard in {:?}; {empty} bytes of memory before, \
         {most} at most",
        start.elapsed()
    );
    // Each of the slow members is owed 64 KiB, which all of them share, and each of the others up
    // to 32 lines until the end of a turn.
    let grown = most - empty;
    let bound = (2 << 20) + slow as u64 * (8 << 10) + (members - slow) as u64 * (2 << 10);
    assert!(grown < bound, "{grown} bytes for {slow} slow members of {members}");

    eventually("a room without slow members", || (open() == before + members - slow).then_some(()));
    drop(slow_members);
    clients.round(talkers);
}
