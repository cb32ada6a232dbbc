//! The programs as processes, on sockets of this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Only a test that fails waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats a check until it has a result.
fn eventually<T>(mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = check() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "it never happened");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A program, which is killed at the end of the test.
struct Program {
    child: Child,
    /// Until nobody reads it any more.
    output: Option<BufReader<ChildStdout>>,
}

impl Program {
    fn start(path: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = child.stdout.take().map(BufReader::new);
        Program { child, output }
    }

    /// Starts a server on a free port, and returns its address too.
    fn serve(path: &str) -> (Program, String) {
        let mut program = Program::start(path, &["127.0.0.1:0"]);
        let line = program.line();
        let (_, address) = line.rsplit_once(' ').expect("a line that ends with the address");
        (program, address.to_owned())
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        line(self.output.as_mut().expect("it is read"))
    }

    /// Sends SIGTERM.
    fn terminate(&self) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill(1)");
    }

    /// Waits until it ends by itself, without an error.
    fn ends(&mut self) {
        assert!(eventually(|| self.child.try_wait().expect("a child")).success());
    }

    fn types(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(text.as_bytes()).expect("a program that reads");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("text");
    line.trim_end().to_owned()
}

/// Sends `request` and the end of the stream, and returns the whole response.
fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a server");
    stream.write_all(request.as_bytes()).expect("a server that reads");
    stream.shutdown(Shutdown::Write).expect("an open connection");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("text and its end");
    response
}

#[test]
fn echo_sends_back_what_it_receives() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_echo"));
    assert_eq!(exchange(&address, "hello"), "hello");
}

#[test]
fn sum_adds_numbers() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_sum"));
    assert_eq!(exchange(&address, "add 5\nadd -2\nquit\n"), "5\n3\nbye\n");
}

#[test]
fn store_keeps_values() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_store"));
    assert_eq!(exchange(&address, "set greeting 5\nhello"), "stored\n");
    assert_eq!(exchange(&address, "get greeting\n"), "value 5\nhello\n");
}

#[test]
fn members_of_the_chat_hear_each_other() {
    let (mut chat, address) = Program::serve(env!("CARGO_BIN_EXE_chat"));
    let join = |name| {
        let mut member = Program::start(env!("CARGO_BIN_EXE_talk"), &[name, &address]);
        assert_eq!(member.line(), "your name?");
        assert_eq!(member.line(), format!("* {name} joined"));
        member
    };
    let (mut ada, mut bob) = (join("Ada"), join("Bob"));
    assert_eq!(ada.line(), "* Bob joined");
    bob.types("hello\n");
    assert_eq!([ada.line(), bob.line()], ["Bob: hello", "Bob: hello"]);
    chat.terminate();
    chat.ends();
    let lost = ada.line();
    assert!(lost.starts_with("* Closed, "), "{lost}");
}

/// Starts a client of a server that the test plays.
fn start_talk() -> (Program, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("an option");
    let address = listener.local_addr().expect("it is bound").to_string();
    (Program::start(env!("CARGO_BIN_EXE_talk"), &["Ada", &address]), listener)
}

/// Accepts a connection of the client, and reads its name.
fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = eventually(|| listener.accept().ok());
    stream.set_nonblocking(false).expect("an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    let mut stream = BufReader::new(stream);
    assert_eq!(line(&mut stream), "Ada");
    stream
}

#[test]
fn talk_connects_again_when_the_connection_is_lost() {
    let (_talk, listener) = start_talk();
    drop(accept(&listener));
    accept(&listener);
}

#[test]
fn talk_ends_with_its_input() {
    let (mut talk, listener) = start_talk();
    let mut stream = accept(&listener);
    drop(talk.child.stdin.take());
    assert_eq!(line(&mut stream), "");
    drop(stream);
    talk.ends();
    assert_eq!(talk.line(), "");
}

#[test]
fn talk_ends_when_nobody_reads_its_output() {
    let (mut talk, listener) = start_talk();
    talk.output = None;
    accept(&listener).get_mut().write_all(b"your name?\n").expect("a client that reads");
    talk.ends();
}
