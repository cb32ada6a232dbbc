//! The example `chat`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::process::{Server, example};

/// A member, past the greeting.
struct Member(BufReader<TcpStream>);

impl Member {
    fn new(server: &Server) -> Member {
        let mut member = Member(BufReader::new(server.connect()));
        assert!(member.hears().starts_with("* /nick NAME"));
        member
    }

    fn says(&mut self, line: &str) {
        self.0.get_mut().write_all(line.as_bytes()).expect("a server that reads");
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }
}

#[test]
fn members_of_different_threads_hear_each_other_and_notice_that_one_leaves() {
    // Passed on in turn, as connections to a Unix socket are, or divided by the kernel: with so
    // many members, some are on either thread.
    let server = Server::start(example("chat").args(["--threads", "2"]));
    let mut members: Vec<_> = (0..16).map(|_| Member::new(&server)).collect();
    let mut numbers = Vec::new();
    for number in 0..members.len() {
        members[number].says(&format!("hello from {number}\n"));
        for member in &mut members {
            let heard = member.hears();
            let (name, text) = heard.split_once(": ").expect("a message");
            assert_eq!(text, format!("hello from {number}\n"));
            let guest: usize = name.strip_prefix("guest#").expect("a guest").parse().unwrap();
            numbers.push(guest);
        }
    }
    numbers.dedup();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((count, numbers.len()), (16, 16), "each has a number of its own");
    members[0].says("/nick Ada\n");
    for member in &mut members {
        assert!(member.hears().contains(" is now Ada#"));
    }
    members.remove(0);
    for member in &mut members {
        let heard = member.hears();
        assert!(heard.starts_with("* Ada#") && heard.ends_with(" left\n"), "{heard}");
    }
}
