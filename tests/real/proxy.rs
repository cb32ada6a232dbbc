//! The example `proxy`, between clients and servers of these tests and of others.

use std::io::{ErrorKind, Read, Seek, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(target_os = "linux")]
use std::ops::Range;
use std::process::Command;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::echo::exchange;
#[cfg(target_os = "linux")]
use crate::echo::{fill, narrow};
use crate::process::{PATIENCE, Server, example, has, run};
use crate::random::noise;

fn proxy_to(address: SocketAddr) -> Server {
    Server::start(example("proxy").args(["--to", &address.to_string()]))
}

/// A socket with a port of its own, where nobody listens yet. Its connections have small buffers in
/// the kernel.
fn narrow_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("an option");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a free port");
    socket
}

fn narrow_listener() -> TcpListener {
    let socket = narrow_socket();
    socket.listen(128).expect("a listener");
    socket.into()
}

/// What a proxy talks to, and the proxy.
fn upstream() -> (TcpListener, Server) {
    let upstream = narrow_listener();
    let proxy = proxy_to(upstream.local_addr().expect("its address"));
    (upstream, proxy)
}

/// A connection through a proxy: both ends of it.
fn pair(upstream: &TcpListener, proxy: &Server) -> (TcpStream, TcpStream) {
    let client = proxy.connect();
    let (server, _) = upstream.accept().expect("a connection");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    server.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    (client, server)
}

pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

pub(crate) fn end_of(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// Of two ends of a connection through proxies, one ends its direction and still hears the other.
pub(crate) fn end_in_turn(mut first: TcpStream, mut second: TcpStream) {
    first.write_all(b"all I have").expect("a relay");
    first.shutdown(Shutdown::Write).expect("an open connection");
    assert_eq!(end_of(&second).expect("the end"), b"all I have");
    second.write_all(b"and all of mine").expect("a relay");
    drop(second);
    assert_eq!(end_of(&first).expect("the end"), b"and all of mine");
}

#[test]
fn everything_passes_in_both_directions_at_once_and_then_the_end() {
    let echo = Server::start(&mut example("echo"));
    let proxy = proxy_to(echo.address);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let proxy = &proxy;
            scope.spawn(move || exchange(&proxy.connect(), 16 << 20, seed));
        }
    });
    #[cfg(target_os = "linux")]
    exchange(&narrow(&proxy), 4 << 20, 5);
}

#[test]
fn row_14_each_side_can_end_first_and_still_hears_the_other() {
    let (upstream, proxy) = upstream();
    for client_first in [true, false] {
        let (client, server) = pair(&upstream, &proxy);
        let (first, second) = if client_first { (client, server) } else { (server, client) };
        end_in_turn(first, second);
    }
}

#[test]
fn row_14_a_reset_is_passed_on_as_one_in_both_directions() {
    let (upstream, proxy) = upstream();
    for client_first in [true, false] {
        let (client, server) = pair(&upstream, &proxy);
        let (mut first, mut second) =
            if client_first { (client, server) } else { (server, client) };
        second.write_all(b"x").expect("a relay");
        first.read_exact(&mut [0]).expect("a byte");
        reset(first);
        let error = end_of(&second).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn row_16_a_client_whose_target_refuses_sees_the_end() {
    // Nobody else gets the port meanwhile.
    let taken = narrow_socket();
    let address = taken.local_addr().expect("its address").as_socket().expect("one of IP");
    let proxy = proxy_to(address);
    let mut client = proxy.connect();
    // It may be closed already.
    let _ = client.write_all(b"anybody there?");
    assert!(end_of(&client).is_ok_and(|bytes| bytes.is_empty()));
}

#[test]
fn row_17_an_idle_timeout_in_the_middle_of_a_transfer_is_a_reset_for_both() {
    let upstream = narrow_listener();
    let address = upstream.local_addr().expect("its address").to_string();
    let proxy = Server::start(example("proxy").args(["--to", &address, "--idle-timeout", "1"]));
    for target_sends in [true, false] {
        let (client, server) = pair(&upstream, &proxy);
        let (mut sender, reader) = if target_sends { (server, client) } else { (client, server) };
        let block = noise(1 << 20, 1);
        // It blocks until the proxy gives up, since nobody reads.
        let error = loop {
            if let Err(error) = sender.write_all(&block) {
                break error;
            }
        };
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
        let error = end_of(&reader).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn row_17_a_half_closed_pair_without_traffic_ends_although_it_could_be_idle_for_longer() {
    let upstream = narrow_listener();
    let address = upstream.local_addr().expect("its address").to_string();
    let mut command = example("proxy");
    command.args(["--to", &address, "--idle-timeout", "1h", "--half-closed-timeout", "200ms"]);
    let proxy = Server::start(&mut command);
    for client_first in [true, false] {
        let (client, server) = pair(&upstream, &proxy);
        let (first, second) = if client_first { (client, server) } else { (server, client) };
        first.shutdown(Shutdown::Write).expect("an open connection");
        assert_eq!(end_of(&second).expect("the end"), b"");
        let error = end_of(&first).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn row_16_a_target_that_is_not_there_is_named_in_a_warning() {
    let mut log = tempfile::tempfile().expect("a file");
    let mut command = example("proxy");
    command.args(["--to", "unix:/no/such/socket"]).env_remove("RUST_LOG");
    let mut proxy = Server::start(command.stderr(log.try_clone().expect("a descriptor")));
    let client = proxy.connect();
    assert_eq!(end_of(&client).expect("the end"), b"");
    drop(client);
    proxy.signal("TERM");
    assert_eq!(proxy.wait(), Some(0));
    let mut text = String::new();
    log.rewind().expect("a file");
    log.read_to_string(&mut text).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("unix:/no/such/socket: no such host or socket"), "{text}");
}

/// The most that a stalled direction keeps in the process: a buffer, and what that takes in pages
/// of the allocator. What is in a pipe belongs to the kernel.
#[cfg(target_os = "linux")]
const MOST_FOR_A_STALL: u64 = (64 << 10) + (192 << 10);

/// How often the reader stalls.
#[cfg(target_os = "linux")]
const STALLS: u64 = 3;

/// `SLUICEGATE_RELAY_MIB=1024` relays a GiB.
#[cfg(target_os = "linux")]
#[test]
fn row_15_a_reader_that_stalls_costs_no_memory_and_gets_everything_when_it_goes_on() {
    let mib = std::env::var("SLUICEGATE_RELAY_MIB").map_or(64, |mib| mib.parse().expect("MiB"));
    let (upstream, proxy) = upstream();
    let (warm, taker) = pair(&upstream, &proxy);
    stream(&warm, &taker, &[], 0..4, || {});
    let before = crate::memory::anonymous(proxy.pid());
    let assert_flat = || {
        let taken = crate::memory::anonymous(proxy.pid()).saturating_sub(before);
        assert!(taken <= MOST_FOR_A_STALL, "{taken} bytes are kept for a reader that stalls");
    };

    let (client, server) = pair(&upstream, &proxy);
    for stall in 0..STALLS {
        let sent = fill(&client);
        assert_flat();
        client.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream(
            &client,
            &server,
            &sent,
            stall * mib / STALLS..(stall + 1) * mib / STALLS,
            assert_flat,
        );
    }
    client.shutdown(Shutdown::Write).expect("an open connection");
    assert_eq!(end_of(&server).expect("the end"), b"");
}

/// Receives what was sent before, and MiB by MiB what is sent meanwhile, neither of which is kept.
#[cfg(target_os = "linux")]
fn stream(
    mut from: &TcpStream,
    mut to: &TcpStream,
    sent: &[u8],
    mebibytes: Range<u64>,
    mut each: impl FnMut(),
) {
    let numbers = mebibytes.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in numbers {
                from.write_all(&noise(1 << 20, number + 1)).expect("a reader");
            }
        });
        let mut received = vec![0; sent.len()];
        to.read_exact(&mut received).expect("what was sent");
        assert!(received == sent, "{} bytes from before are not the same", sent.len());
        received.resize(1 << 20, 0);
        for number in mebibytes {
            to.read_exact(&mut received).expect("a whole MiB");
            assert!(received == noise(1 << 20, number + 1), "MiB {number} is not the same");
            each();
        }
    });
}

/// How many descriptors of each kind a process has open: pipes, and others.
#[cfg(target_os = "linux")]
fn descriptors_of(pid: u32) -> (usize, usize) {
    let listed = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
    let kinds = listed.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let (pipes, others): (Vec<_>, Vec<_>) =
        kinds.partition(|kind| kind.to_string_lossy().starts_with("pipe:"));
    (pipes.len(), others.len())
}

/// Most ends of pipes that a reactor keeps for later.
#[cfg(target_os = "linux")]
const KEPT: usize = 2 * 16;

/// `SLUICEGATE_PAIRS=10000` makes it as many.
#[cfg(target_os = "linux")]
#[test]
fn row_18_aborted_pairs_leave_no_descriptors_and_no_pipes() {
    let pairs = std::env::var("SLUICEGATE_PAIRS").map_or(500, |n| n.parse().expect("a number"));
    let (upstream, proxy) = upstream();
    // A pair that stays shows that the proxy has opened all that it needs itself.
    let (mut stays, other) = pair(&upstream, &proxy);
    (&other).write_all(b"x").expect("a relay");
    stays.read_exact(&mut [0]).expect("a byte");
    let (own_pipes, before) = descriptors_of(proxy.pid());
    let block = noise(1 << 20, 1);
    for number in 0..pairs {
        let (client, server) = pair(&upstream, &proxy);
        // More than all buffers on the way hold, so that it waits in a pipe.
        if number % 5 == 0 {
            client.set_nonblocking(true).expect("an option");
            while (&client).write(&block).is_ok() {}
        } else {
            (&client).write_all(&block[..number % 1000]).expect("a relay");
        }
        let (first, second) = if number % 2 == 0 { (server, client) } else { (client, server) };
        match number % 3 {
            0 => reset(first),
            _ => drop(first),
        }
        drop(second);
    }
    crate::process::eventually("all other connections to be over", || {
        let (pipes, others) = descriptors_of(proxy.pid());
        (others == before && pipes <= own_pipes + KEPT).then_some(())
    });
    exchange_once(&upstream, &proxy);
}

/// Shows that what the pairs left behind does not come out now.
#[cfg(target_os = "linux")]
fn exchange_once(upstream: &TcpListener, proxy: &Server) {
    let (mut client, server) = pair(upstream, proxy);
    let sent = noise(8 << 20, 9);
    let received = thread::scope(|scope| {
        let reading = scope.spawn(|| end_of(&server).expect("the end"));
        client.write_all(&sent).expect("a reader");
        client.shutdown(Shutdown::Write).expect("an open connection");
        reading.join().expect("a reader")
    });
    assert!(received == sent, "{} bytes of {} arrived", received.len(), sent.len());
}

#[test]
fn curl_gets_a_page_through_it() {
    if !has("curl") {
        return;
    }
    let hello = Server::start(&mut example("hello"));
    let proxy = proxy_to(hello.address);
    let get = |from: &Server| {
        let url = format!("http://{}/", from.address);
        run(Command::new("curl").args(["--silent", "--show-error", "--fail", &url]))
    };
    let (direct, proxied) = (get(&hello), get(&proxy));
    assert_eq!((proxied.code, &proxied.stdout), (Some(0), &direct.stdout), "{proxied:?}");
    assert!(!direct.stdout.is_empty());
}
