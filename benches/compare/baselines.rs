//! Servers that this program runs itself, each as a process of its own: this program started again
//! with `--serve`.
//!
//! `ws-sluicegate` and `ws-tungstenite` are complete servers. The others are the practical limit:
//! they make the system calls of a workload and do little else. They rely on what only the client
//! of this program promises: a request arrives in one piece, is always well formed and asks for the
//! one thing there is. That makes them lower bounds, not servers.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;

use clap::ValueEnum;
use rustix::fs::sendfile;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{Signal, set_parent_process_death_signal};
use socket2::{Domain, Socket, Type};

use crate::load::http::heads;
use crate::poll::{Poll, done};
use crate::workloads::Content;

mod relay;
mod upload;
mod websocket;

use upload::Uploads;

/// Which baseline to be.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Baseline {
    Echo,
    /// Answers with "Hello, World!", or with a file if one is given.
    Http,
    /// Passes on to another server, through memory.
    Relay,
    /// Passes on to another server, through pipes.
    Splice,
    /// Throws away what comes.
    Sink,
    /// Puts bodies into files.
    Upload,
    /// Sends messages on WebSockets back, or to all.
    Ws,
    WsSluicegate,
    WsTungstenite,
}

/// What a baseline has to know.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) port: u16,
    /// The file to be served, or the folder to put files into.
    pub(crate) path: Option<&'a Path>,
    /// To which server to relay.
    pub(crate) to: Option<SocketAddr>,
    /// Bytes of an uploaded body.
    pub(crate) length: u64,
}

/// Serves on a port of the loopback interface until a signal ends the process.
pub(crate) fn serve(what: Baseline, job: Job<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let listener = listen(job.port)?;
    let path = job.path.ok_or_else(|| io::Error::other("a path is missing"));
    let to = job.to.ok_or_else(|| io::Error::other("a server to relay to is missing"));
    match what {
        Baseline::Echo => run(&listener, Echo { buffer: vec![0; 64 << 10] }),
        Baseline::Http => match job.path {
            None => run(&listener, Answers::new(Content::HELLO.as_bytes())),
            Some(file) => {
                let length = std::fs::metadata(file)?.len();
                if length <= Answers::IN_MEMORY {
                    run(&listener, Answers::new(&std::fs::read(file)?))
                } else {
                    run(&listener, Files::new(File::open(file)?, length))
                }
            }
        },
        Baseline::Relay => relay::run(&listener, to?, false),
        Baseline::Splice => relay::run(&listener, to?, true),
        Baseline::Sink => run(&listener, Sink { nowhere: vec![0; 1 << 20] }),
        Baseline::Upload => run(&listener, Uploads::new(path?, job.length)?),
        Baseline::Ws => websocket::bare::run(&listener),
        Baseline::WsSluicegate => websocket::sluicegate::run(listener),
        Baseline::WsTungstenite => websocket::tungstenite::run(&listener),
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What a baseline does with a connection.
trait Service {
    type Session: Default;

    /// Goes on as far as the socket allows. False: the connection has ended.
    fn drive(
        &mut self,
        socket: &TcpStream,
        session: &mut Self::Session,
        ended: bool,
    ) -> io::Result<bool>;
}

/// The loop: edge-triggered, each socket registered once, connections in a table by descriptor.
fn run<S: Service>(listener: &TcpListener, mut service: S) -> io::Result<()> {
    const LISTENER: usize = usize::MAX;
    let mut connections: Vec<Option<(TcpStream, S::Session)>> = Vec::new();
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    loop {
        for event in 0..poll.wait(None)? {
            let ready = poll.ready(event);
            if ready.token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    let token = socket.as_raw_fd() as usize;
                    poll.add(&socket, token)?;
                    if connections.len() <= token {
                        connections.resize_with(token + 1, || None);
                    }
                    connections[token] = Some((socket, S::Session::default()));
                }
            } else if let Some((socket, session)) = &mut connections[ready.token]
                && !service.drive(socket, session, ready.ended).unwrap_or(false)
            {
                connections[ready.token] = None;
            }
        }
    }
}

/// Sends back what it receives.
struct Echo {
    buffer: Vec<u8>,
}

impl Service for Echo {
    /// What could not be sent yet.
    type Session = Vec<u8>;

    fn drive(
        &mut self,
        socket: &TcpStream,
        waiting: &mut Vec<u8>,
        ended: bool,
    ) -> io::Result<bool> {
        loop {
            if !waiting.is_empty() {
                let Some(sent) = done(send(socket, waiting, SendFlags::NOSIGNAL))? else {
                    return Ok(true);
                };
                waiting.drain(..sent);
                continue;
            }
            let Some((got, _)) = done(recv(socket, &mut self.buffer[..], RecvFlags::empty()))?
            else {
                return Ok(true);
            };
            if got == 0 {
                return Ok(false);
            }
            let sent = done(send(socket, &self.buffer[..got], SendFlags::NOSIGNAL))?.unwrap_or(0);
            waiting.extend_from_slice(&self.buffer[sent..got]);
            if got < self.buffer.len() && !ended && waiting.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// Throws away what it receives, in the kernel (`MSG_TRUNC`, see tcp(7)).
struct Sink {
    nowhere: Vec<u8>,
}

impl Service for Sink {
    type Session = ();

    fn drive(&mut self, socket: &TcpStream, (): &mut (), _: bool) -> io::Result<bool> {
        loop {
            let got = done(recv(socket, &mut self.nowhere[..], RecvFlags::TRUNC))?;
            match got {
                Some((_, 0)) => return Ok(false),
                Some(_) => {}
                None => return Ok(true),
            }
        }
    }
}

/// Sends an answer that is in memory, or several of them in one call.
struct Answers {
    buffer: Vec<u8>,
    /// The answer, as often as requests may arrive at once.
    answers: Vec<u8>,
    length: usize,
}

impl Answers {
    /// Largest body that is sent from memory, in bytes.
    const IN_MEMORY: u64 = 16 << 10;
    /// Most requests that the client sends at once.
    const PIPELINED: usize = 16;

    fn new(body: &[u8]) -> Answers {
        let mut answer = head(body.len() as u64);
        answer.extend_from_slice(body);
        let answers = answer.repeat(Answers::PIPELINED);
        Answers { buffer: vec![0; 16 << 10], answers, length: answer.len() }
    }
}

impl Answers {
    /// Sends what is owed. False: the socket is full.
    fn send(&self, socket: &TcpStream, owed: &mut usize) -> io::Result<bool> {
        while *owed > 0 {
            let answers = &self.answers[self.answers.len() - *owed..];
            let Some(sent) = done(send(socket, answers, SendFlags::NOSIGNAL))? else {
                return Ok(false);
            };
            *owed -= sent;
        }
        Ok(true)
    }
}

impl Service for Answers {
    /// Bytes of answers that are to be sent.
    type Session = usize;

    fn drive(&mut self, socket: &TcpStream, owed: &mut usize, ended: bool) -> io::Result<bool> {
        while self.send(socket, owed)? {
            let got = done(recv(socket, &mut self.buffer[..], RecvFlags::empty()))?;
            let Some((got, _)) = got else { break };
            let requests = heads(&self.buffer[..got]);
            if got == 0 || requests > Answers::PIPELINED {
                return Ok(false);
            }
            *owed = requests * self.length;
            if self.send(socket, owed)? && got < self.buffer.len() && !ended {
                break;
            }
        }
        Ok(true)
    }
}

/// Sends a file: the head with `MSG_MORE`, then sendfile.
struct Files {
    buffer: Vec<u8>,
    head: Vec<u8>,
    file: File,
    length: u64,
}

impl Files {
    /// Most bytes of one sendfile.
    const CHUNK: usize = 1 << 20;

    fn new(file: File, length: u64) -> Files {
        let head = head(length);
        Files { buffer: vec![0; 16 << 10], head, file, length }
    }
}

/// How far an answer has been sent.
#[derive(Default)]
struct Sending {
    head: usize,
    file: u64,
    /// Whether there is a request that waits for the answer.
    asked: bool,
}

impl Files {
    /// Sends what is left of the answer. False: the socket is full.
    fn send(&self, socket: &TcpStream, sending: &mut Sending) -> io::Result<bool> {
        while sending.asked {
            let sent = if sending.head < self.head.len() {
                let head = &self.head[sending.head..];
                let sent = done(send(socket, head, SendFlags::NOSIGNAL | SendFlags::MORE))?;
                sending.head += sent.unwrap_or(0);
                sent
            } else {
                let offset = Some(&mut sending.file);
                done(sendfile(socket, &self.file, offset, Files::CHUNK))?
            };
            if sent.is_none() {
                return Ok(false);
            }
            if sending.file == self.length {
                *sending = Sending::default();
            }
        }
        Ok(true)
    }
}

impl Service for Files {
    type Session = Sending;

    fn drive(
        &mut self,
        socket: &TcpStream,
        sending: &mut Sending,
        ended: bool,
    ) -> io::Result<bool> {
        while self.send(socket, sending)? {
            let got = done(recv(socket, &mut self.buffer[..], RecvFlags::empty()))?;
            let Some((got, _)) = got else { break };
            if got == 0 || heads(&self.buffer[..got]) != 1 {
                return Ok(false);
            }
            sending.asked = true;
            if self.send(socket, sending)? && got < self.buffer.len() && !ended {
                break;
            }
        }
        Ok(true)
    }
}

/// A head as long as the ones that the servers send.
fn head(length: u64) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}
