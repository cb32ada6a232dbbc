//! Clients that overload a server, a thread for each kind.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// How many clients are slow in each way.
const SLOW: usize = 1000;
/// Between two steps of a slow client.
const STEP: Duration = Duration::from_millis(200);
/// How many of them take their steps at once.
const TOGETHER: usize = 5;
/// Between two connects of those that connect or are reset all the time.
const BETWEEN_CONNECTS: Duration = Duration::from_millis(1);

const HALF_A_REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: overl";
const LISTING: &[u8] = b"GET /many/ HTTP/1.1\r\nHost: overload\r\n\r\n";
const DOWNLOAD: &[u8] = b"GET /large HTTP/1.1\r\nHost: overload\r\n\r\n";

/// Overloads a server until the process is killed. Connections that the server ends are replaced.
pub(crate) fn run(server: SocketAddr) -> io::Result<ExitCode> {
    let kinds: [fn(SocketAddr) -> io::Result<()>; 4] =
        [send_slowly, read_slowly, |server| connect_often(server, b""), download];
    let others = kinds.map(|kind| thread::spawn(move || kind(server)));
    connect_often(server, HALF_A_REQUEST)?;
    others.into_iter().for_each(|thread| drop(thread.join()));
    Ok(ExitCode::SUCCESS)
}

/// A client with a small receive buffer. Its end is a reset, so that no port is held back.
fn client(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(4 << 10)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect(&server.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Takes a step with each of many clients again and again. A client that fails is replaced.
fn step_all(
    server: SocketAddr,
    begin: fn(&mut TcpStream) -> io::Result<()>,
    step: fn(&mut TcpStream, usize) -> io::Result<usize>,
) -> io::Result<()> {
    let mut clients: Vec<Option<TcpStream>> = (0..SLOW).map(|_| None).collect();
    for round in 0.. {
        for (at, place) in clients.iter_mut().enumerate() {
            if at.is_multiple_of(TOGETHER) {
                // They are independent of each other, so they do not all act in the same moment.
                thread::sleep(STEP * TOGETHER as u32 / SLOW as u32);
            }
            let result = match place {
                None => client(server).and_then(|mut stream| {
                    begin(&mut stream)?;
                    *place = Some(stream);
                    Ok(1)
                }),
                Some(stream) => step(stream, round),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => *place = None,
                Ok(_) => {}
            }
        }
    }
    Ok(())
}

fn send_slowly(server: SocketAddr) -> io::Result<()> {
    let step = |stream: &mut TcpStream, round| {
        let request = [HALF_A_REQUEST, &[b'x'; 1000]].concat();
        stream.write(&request[round % request.len()..][..1])
    };
    step_all(server, |stream| stream.write_all(b"GET /a"), step)
}

fn read_slowly(server: SocketAddr) -> io::Result<()> {
    let begin = |stream: &mut TcpStream| stream.write_all(&LISTING.repeat(20));
    step_all(server, begin, |stream, _| stream.read(&mut [0; 64]))
}

fn connect_often(server: SocketAddr, said: &[u8]) -> io::Result<()> {
    loop {
        // Whether the server takes it or not, the next one follows.
        let _ = client(server).and_then(|mut stream| stream.write_all(said));
        thread::sleep(BETWEEN_CONNECTS);
    }
}

fn download(server: SocketAddr) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut stream = TcpStream::connect(server)?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream.write_all(DOWNLOAD)?;
        let mut left = 256 << 20;
        while left > 0 {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => left -= count.min(left),
                _ => break,
            }
        }
    }
}
