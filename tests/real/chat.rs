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
fn two_members_hear_each_other_and_notice_that_one_leaves() {
    let server = Server::start(&mut example("chat"));
    let (mut ada, mut bob) = (Member::new(&server), Member::new(&server));
    ada.says("/nick Ada\nhello\n");
    for member in [&mut ada, &mut bob] {
        assert_eq!(member.hears(), "* guest-1 is now Ada\n");
        assert_eq!(member.hears(), "Ada: hello\n");
    }
    bob.says("hello, Ada\r\n");
    assert_eq!(ada.hears(), "guest-2: hello, Ada\n");
    drop(bob);
    assert_eq!(ada.hears(), "* guest-2 has left\n");
}
