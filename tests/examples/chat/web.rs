//! Members with a browser.

use super::example::front::LINE;
use super::{Chat, OPEN, frame};

#[test]
fn terminals_and_browsers_are_in_the_same_rooms() {
    let (mut chat, members) = Chat::with(1);
    let (ada, web) = (members[0], [chat.open_web(), chat.open_web()]);
    chat.hears(ada);
    chat.hears_web(web[0]);
    chat.h.feed(web[0], frame(1, "/nick Bob"));
    chat.h.feed(web[0], frame(1, "hello\nguest1: forged"));
    chat.says(ada, "hello Bob");
    let heard = ["* guest2 is now Bob\n", "Bob: helloguest1: forged\n", "guest1: hello Bob\n"];
    assert_eq!(chat.hears(ada), heard.concat());
    let frames: Vec<_> = heard.iter().map(|text| (1, text.as_bytes().to_vec())).collect();
    for client in web {
        assert_eq!(chat.hears_web(client), frames);
    }
    chat.h.feed(web[0], frame(8, 1000_u16.to_be_bytes()));
    assert_eq!(chat.hears(ada), "* Bob left\n");
}

#[test]
fn a_browser_that_sends_something_else_is_closed() {
    let mut chat = Chat::new(10);
    for (opcode, payload, code) in [(2, "bytes", 1003), (1, &*"x".repeat(LINE + 1), 1009)] {
        let client = chat.open_web();
        chat.h.feed(client, frame(opcode, payload));
        let heard = chat.hears_web(client);
        let [(8, close)] = &heard[..] else { panic!("{heard:?}") };
        assert!(close.starts_with(&u16::to_be_bytes(code)), "{close:?}");
    }
}

/// The response to a request.
fn get(chat: &mut Chat, request: &str) -> String {
    let client = chat.h.open_at(chat.web);
    chat.h.feed(client, format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
    chat.h.sent(client).text().to_owned()
}

#[test]
fn the_page_is_served_and_allows_nothing_from_elsewhere() {
    let mut chat = Chat::new(10);
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/java")] {
        let answer = get(&mut chat, &format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains(&format!("Content-Type: {kind}")), "{answer}");
        assert!(answer.contains("Content-Security-Policy: default-src 'none'; style-src 'self'"));
        for elsewhere in ["http:", "https:", "//", "innerHTML"] {
            let body = answer.split_once("\r\n\r\n").expect("a body").1;
            let lines = body.lines().filter(|line| !line.starts_with("//"));
            assert!(lines.clone().all(|line| !line.contains(elsewhere)), "{path}: {elsewhere}");
        }
    }
    assert!(get(&mut chat, "GET /other").starts_with("HTTP/1.1 404 "));
    assert!(get(&mut chat, "POST /").starts_with("HTTP/1.1 405 "));
    assert!(get(&mut chat, "GET /socket").starts_with("HTTP/1.1 426 "));
    let elsewhere = OPEN.replace("Host: h", "Host: h\r\nOrigin: http://elsewhere");
    let client = chat.h.open_at(chat.web);
    chat.h.feed(client, elsewhere);
    assert!(chat.h.sent(client).starts_with(b"HTTP/1.1 403 "));
}
