//! The example `chat`.
//!
//! With the variable `SCREENSHOTS` set to a folder, [`browsers_and_terminals_talk`] writes pictures
//! of the page there. Those in `docs` are made by
//!
//! ```sh
//! cargo build --all-features --examples
//! SCREENSHOTS=docs cargo test -p sluicegate-tests --all-features --test real chat::
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::json;

use crate::chromium::{Browser, LOWEST_CONTRAST};
use crate::process::{PATIENCE, Process, Server, address_in, example, has};

/// A member, past the greeting.
struct Member(BufReader<TcpStream>);

impl Member {
    fn new(server: &Server) -> Member {
        Member::of(server.connect())
    }

    fn of(stream: TcpStream) -> Member {
        let mut member = Member(BufReader::new(stream));
        assert!(member.hears().starts_with("* /nick NAME"));
        // The last messages come before this.
        while !member.hears().starts_with("* you are ") {}
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
    for (number, member) in members.iter_mut().enumerate() {
        for next in number + 2..=16 {
            assert_eq!(member.hears(), format!("* guest{next} joined\n"));
        }
    }
    for number in 0..members.len() {
        members[number].says(&format!("hello from {number}\n"));
        for member in &mut members {
            assert_eq!(member.hears(), format!("guest{}: hello from {number}\n", number + 1));
        }
    }
    members[0].says("/nick Ada\n");
    for member in &mut members {
        assert_eq!(member.hears(), "* guest1 is now Ada\n");
    }
    members.remove(0);
    for member in &mut members {
        assert_eq!(member.hears(), "* Ada left\n");
    }
}

/// A chat with a page.
struct WithPage {
    address: SocketAddr,
    url: String,
    _process: Process,
}

impl WithPage {
    fn start(options: &[&str]) -> WithPage {
        let mut command = example("chat");
        command.args(["--port", "0", "--web", "127.0.0.1:0", "--threads", "2"]).args(options);
        let mut process = Process::spawn(command.stdout(Stdio::piped()));
        let stdout = BufReader::new(process.stdout());
        let (tell, told) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        let line = || told.recv_timeout(PATIENCE).expect("a line that says where it listens");
        let address = address_in(&line()).expect("an address");
        let url = line().strip_prefix("page on ").expect("a page").to_owned();
        WithPage { address, url, _process: process }
    }

    fn open(&self) -> Browser {
        let mut browser = Browser::start();
        browser.set_screen(1280, "light");
        // The certificate of a test is signed by nobody.
        let ignore = json!({ "ignore": true });
        browser.call("Security.setIgnoreCertificateErrors", ignore);
        browser.open(&self.url);
        wait_for_line(&mut browser, "you are guest");
        browser
    }

    fn connect(&self) -> Member {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Member::of(stream)
    }
}

/// Waits until a line with this text is on the page.
fn wait_for_line(browser: &mut Browser, text: &str) {
    let lines = "[...document.querySelectorAll('p')].map((line) => line.textContent)";
    browser.wait_for(&format!("{lines}.some((line) => line.includes({text:?}))"));
}

/// Types a line and sends it with Enter.
fn say(browser: &mut Browser, line: &str) {
    browser.click("input");
    browser.call("Input.insertText", json!({ "text": line }));
    for kind in ["keyDown", "keyUp"] {
        let key = json!({ "type": kind, "key": "Enter", "text": "\r",
            "windowsVirtualKeyCode": 13 });
        browser.call("Input.dispatchKeyEvent", key);
    }
    browser.wait_for("document.querySelector('input').value === ''");
}

#[test]
fn browsers_and_terminals_talk() {
    if !has("chromium") {
        return;
    }
    let chat = WithPage::start(&[]);
    let mut terminal = chat.connect();
    let (mut ada, mut bob) = (chat.open(), chat.open());
    terminal.says("/nick grace\n");
    wait_for_line(&mut ada, "guest1 is now grace");
    for (browser, name) in [(&mut ada, "ada"), (&mut bob, "bob")] {
        say(browser, &format!("/nick {name}"));
        wait_for_line(browser, &format!("is now {name}"));
    }
    say(&mut ada, "Hello! Who else is here?");
    wait_for_line(&mut bob, "Hello! Who else is here?");
    say(&mut bob, "I am, in another browser.");
    wait_for_line(&mut ada, "in another browser.");
    terminal.says("And I with nc. <b>This</b> stays text.\n");
    wait_for_line(&mut ada, "<b>This</b> stays text.");
    say(&mut ada, "/who");
    wait_for_line(&mut ada, "in lobby: ada, bob, grace");
    let mut heard = String::new();
    while !heard.contains("stays text") {
        heard += &terminal.hears();
    }
    assert!(heard.contains("ada: Hello! Who else is here?\nbob: I am, in another browser.\n"));
    assert_eq!(ada.eval("document.querySelectorAll('p b').length"), 3);
    for width in [375, 1280] {
        for scheme in ["light", "dark"] {
            ada.set_screen(width, scheme);
            assert_eq!(ada.eval("document.documentElement.scrollWidth"), width);
            assert_eq!(ada.eval("document.documentElement.scrollHeight <= innerHeight"), true);
            let contrast = ada.eval(LOWEST_CONTRAST).as_f64().expect("a number");
            assert!(contrast >= 4.5, "{scheme}: {contrast}");
            if let Some(folder) = std::env::var_os("SCREENSHOTS") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
                fs::create_dir_all(&root).expect("a folder");
                let name = format!("chat-{width}-{scheme}.png");
                fs::write(root.join(name), ada.screenshot()).expect("a picture");
            }
        }
    }
}

#[test]
fn a_browser_comes_back_under_its_name_when_the_connection_was_lost() {
    if !has("chromium") {
        return;
    }
    let chat = WithPage::start(&[]);
    let mut terminal = chat.connect();
    terminal.says("/nick grace\n");
    let mut ada = chat.open();
    say(&mut ada, "/nick ada");
    say(&mut ada, "/join math");
    wait_for_line(&mut ada, "you are ada in math");
    // Names that were refused are not hers.
    say(&mut ada, "/nick grace");
    say(&mut ada, "/join no room");
    wait_for_line(&mut ada, "somebody else is grace");
    wait_for_line(&mut ada, "a room has 1 to 20 letters");
    ada.eval("document.querySelector('[role=log]').replaceChildren(); socket.close(); null");
    wait_for_line(&mut ada, "not connected");
    wait_for_line(&mut ada, "you are ada in math");
    terminal.says("/join math\n");
    wait_for_line(&mut ada, "grace joined");
}

#[test]
fn browsers_and_terminals_talk_over_tls() {
    if !has("chromium") || !has("openssl") {
        return;
    }
    let chat = WithPage::start(&["--tls-self-signed"]);
    assert!(chat.url.starts_with("https://"));
    let mut ada = chat.open();
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-connect", &chat.address.to_string()]);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut openssl = Process::spawn(&mut openssl);
    openssl.stdin().write_all(b"hello over TLS\n").expect("a client that reads");
    wait_for_line(&mut ada, "hello over TLS");
    assert_eq!(ada.eval("socket.url.startsWith('wss:')"), true);
}
