//! Conditions of uploads.

use super::uploads::{content, put, send, statuses, uploads};
use super::*;

#[test]
fn row_26_conditions_protect_what_is_there() {
    let mut site = uploads();
    let etag = get(&mut site, "/there").field("ETag").expect("one").to_owned();
    let before = "Thu, 01 Jan 1970 00:00:00 GMT";
    let after = "Thu, 01 Jan 2015 00:00:00 GMT";
    for (path, field, status) in [
        ("/there", "If-None-Match: *".to_owned(), 412),
        ("/there", format!("If-None-Match: {etag}"), 412),
        ("/there", "If-Match: \"other\"".to_owned(), 412),
        ("/there", format!("If-Unmodified-Since: {before}"), 412),
        ("/new", "If-Match: *".to_owned(), 412),
        ("/new", "If-None-Match: *".to_owned(), 201),
        ("/there", format!("If-Unmodified-Since: {after}"), 204),
    ] {
        let answer = ask(&mut site, &format!("PUT {path}"), &format!("{field}\r\n"));
        assert_eq!(answer.status, status, "{path} {field}");
    }
    let etag = get(&mut site, "/there").field("ETag").expect("one").to_owned();
    assert_eq!(ask(&mut site, "PUT /there", &format!("If-Match: {etag}\r\n")).status, 204);
}

#[test]
fn row_26_conditions_are_those_of_the_file_that_is_there_when_the_upload_ends() {
    let conditional = |path: &str, field: &str| {
        put(path, "new").replacen("Host: h\r\n", &format!("Host: h\r\n{field}\r\n"), 1)
    };
    for in_memory in [false, true] {
        let mut site = uploads();
        if in_memory {
            site.files().set_in_memory();
        }
        let etag = get(&mut site, "/there").field("ETag").expect("one").to_owned();
        let since = get(&mut site, "/there").field("Last-Modified").expect("one").to_owned();
        for (path, field, expected) in [
            ("/new", "If-None-Match: *".to_owned(), [201, 412]),
            ("/there", format!("If-Match: {etag}"), [204, 412]),
            ("/new", "If-Match: *".to_owned(), [204, 204]),
            ("/later", format!("If-Unmodified-Since: {since}"), [201, 412]),
            ("/new", format!("If-None-Match: {etag}"), [204, 204]),
        ] {
            let request = conditional(path, &field);
            let clients = [site.open(), site.open()];
            for client in clients {
                site.feed(client, &request[..request.len() - 1]);
            }
            let ended = clients.map(|client| {
                site.feed(client, &request[request.len() - 1..]);
                statuses(&site.take(client))
            });
            assert_eq!(ended, expected.map(|status| vec![status]), "{path} {field}");
            assert_eq!(send(&mut site, put("/other", "")).1.len(), 1);
            site.feed(clients[1], put("/other", ""));
            assert_eq!(statuses(&site.sent(clients[1])), [204], "the connection goes on");
        }
        assert_eq!(site.files().temporary(), 0);
        let request = conditional("/new", "If-Match: *");
        let client = site.open();
        site.feed(client, &request[..request.len() - 1]);
        site.files().remove("/www/new");
        site.feed(client, &request[request.len() - 1..]);
        assert_eq!(statuses(&site.sent(client)), [412]);
        assert_eq!(content(&mut site, "/new"), None);
    }
}
