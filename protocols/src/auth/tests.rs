//! Requests with and without credentials.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sluicegate_reactor::testing::{Harness, Received};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Handle, Listen, Payload, Receive, Sessions, mailbox};

use super::{
    BasicAuth, Checked, MOST_CHECKS, MOST_CHECKS_OF_CLIENT, MOST_VERIFIED, MOST_WAITING_OF_CLIENT,
    Users, VALID_FOR,
};
use crate::http::{Answered, Http, Method, Reply, Request, Service};
use crate::testing::same_at_every_split;

/// The hash of "secret", at the lowest cost.
const HASH: &str = "$2y$04$wQ542vhxiZ78dJbtbtc4SeW0idwUPDpespDknct7bkSDk8yHtqguy";

/// Answers with the user and the path, or with the body. Holds back the results of checks if it is
/// told to.
struct Site {
    auth: BasicAuth,
    holds: bool,
    held: Vec<Checked>,
    /// How many checks are done.
    checked: usize,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match self.auth.admit(request, reply) {
            Err(answered) => answered,
            Ok(reply) if request.method() == Method::Put => reply.read(100, ()),
            Ok(reply) => {
                let user = self.auth.user(request).unwrap_or("-");
                reply.send(format!("{user} {}", request.path()))
            }
        }
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        (): (),
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send(body)
    }
}

impl Receive<Checked> for Site {
    fn on_message(&mut self, cx: &mut Sessions<'_>, checked: Checked) {
        self.checked += 1;
        if self.holds {
            self.held.push(checked);
        } else {
            self.auth.finish(cx, checked);
        }
    }
}

/// Finishes the checks that were held back.
struct Release;

impl Receive<Release> for Site {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Release) {
        self.holds = false;
        for checked in std::mem::take(&mut self.held) {
            self.auth.finish(cx, checked);
        }
    }
}

fn users(more: &str) -> Arc<Users> {
    let text = format!("alice:{HASH}\nbob:{HASH}@/docs,/in:rw\n@/public\n{more}");
    Arc::new(Users::parse(&text).unwrap())
}

fn site() -> Harness<Http<Site>> {
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let (done, mailbox): (Handle<Checked>, _) = mailbox();
            let auth = BasicAuth::new("a \"site\"", users(""), Workers::inline(), done);
            let site = Site { auth, holds: false, held: Vec::new(), checked: 0 };
            let http = reactor.register(Http::new(site));
            reactor.attach(mailbox, http);
            http
        },
    )
}

fn with(method: &str, path: &str, credentials: &str) -> String {
    let authorization = match credentials {
        "" => String::new(),
        pair => format!("Authorization: Basic {}\r\n", STANDARD.encode(pair)),
    };
    let body = if method == "PUT" { "body" } else { "" };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The statuses of responses, with the body of each 200.
fn responses(sent: &Received) -> Vec<String> {
    let parts = sent.text().split("HTTP/1.1 ").skip(1).map(|part| {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        if head.starts_with("401") {
            let field = "WWW-Authenticate: Basic realm=\"a \\\"site\\\"\", charset=\"UTF-8\"\r\n";
            assert!(head.contains(field), "{head}");
        }
        if head.starts_with("200") { format!("200 {body}") } else { head[..3].to_owned() }
    });
    parts.collect()
}

fn ask(h: &mut Harness<Http<Site>>, request: &str) -> String {
    let client = h.open();
    h.feed(client, request);
    responses(&h.sent(client)).concat()
}

fn ask_from(h: &mut Harness<Http<Site>>, from: IpAddr, request: &str) -> String {
    let client = h.open_from(from);
    h.feed(client, request);
    responses(&h.sent(client)).concat()
}

#[test]
fn each_request_gets_what_its_credentials_allow() {
    let table = [
        (with("GET", "/public/a", ""), "200 - /public/a"),
        (with("GET", "/public/a", "alice:wrong"), "200 - /public/a"),
        (with("PUT", "/public/a", ""), "401"),
        (with("GET", "/", ""), "401"),
        (with("HEAD", "/docs", ""), "401"),
        (with("OPTIONS", "/", ""), "200 - /"),
        (with("GET", "/", "alice:secret"), "200 alice /"),
        (with("PUT", "/", "alice:secret"), "200 body"),
        (with("GET", "/", "alice:wrong"), "401"),
        (with("GET", "/", "alice:"), "401"),
        (with("GET", "/", "mallory:secret"), "401"),
        (with("GET", "/docs/a", "bob:secret"), "200 bob /docs/a"),
        (with("PUT", "/docs/a", "bob:secret"), "403"),
        (with("PUT", "/in/a", "bob:secret"), "200 body"),
        (with("DELETE", "/in/a", "bob:secret"), "200 bob /in/a"),
        (with("GET", "/", "bob:secret"), "403"),
        (with("GET", "/%64ocs/a", "bob:secret"), "200 bob /%64ocs/a"),
        (with("GET", "/docs/%2e%2e/x", "bob:secret"), "403"),
        (with("GET", "/public/../docs", ""), "401"),
        (with("PATCH", "/docs", "bob:secret"), "403"),
    ];
    let mut h = site();
    for (request, expected) in table {
        assert_eq!(ask(&mut h, &request), expected, "{request}");
    }
}

#[test]
fn a_request_whose_password_is_checked_may_arrive_in_any_parts() {
    let input = with("PUT", "/in/a", "bob:secret") + &with("GET", "/", "bob:secret");
    let outcome = same_at_every_split(site, &input);
    assert_eq!(responses(&outcome.sent), ["200 body", "403"]);
}

#[test]
fn credentials_that_are_malformed_get_401_without_a_check() {
    let mut h = site();
    let colon = STANDARD.encode("alice");
    for value in
        ["", "Basic", "Basic ", "Basic !", "Bearer x", "Basic YQ=", &format!("Basic {colon}")]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n");
        assert_eq!(ask(&mut h, &request), "401", "{value}");
    }
    assert_eq!(h.handler().service().checked, 0);
    let token = STANDARD.encode("alice:secret");
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: bAsIc {token}\r\n\r\n");
    assert_eq!(ask(&mut h, &request), "200 alice /");
}

#[test]
fn credentials_are_checked_once_until_their_time_is_over() {
    let mut h = site();
    let request = with("GET", "/", "alice:secret");
    for _ in 0..3 {
        assert_eq!(ask(&mut h, &request), "200 alice /");
    }
    assert_eq!(h.handler().service().checked, 1);
    h.advance(VALID_FOR + Duration::from_millis(1));
    assert_eq!(ask(&mut h, &request), "200 alice /");
    assert_eq!(h.handler().service().checked, 2);
    for _ in 0..2 {
        assert_eq!(ask(&mut h, &with("GET", "/", "alice:wrong")), "401");
    }
    assert_eq!(h.handler().service().checked, 4);
}

#[test]
fn an_unknown_user_is_checked_like_a_wrong_password() {
    let mut h = site();
    assert_eq!(ask(&mut h, &with("GET", "/", "mallory:wrong")), "401");
    assert_eq!(h.handler().service().checked, 1);
}

#[test]
fn requests_with_the_same_credentials_wait_for_one_check() {
    let mut h = site();
    h.handler().service().holds = true;
    let clients: Vec<_> = (0..5).map(|_| h.open()).collect();
    for client in &clients {
        h.feed(*client, with("GET", "/", "alice:secret"));
    }
    assert_eq!(h.handler().service().checked, 1);
    h.post(Release);
    for client in clients {
        assert_eq!(responses(&h.sent(client)), ["200 alice /"]);
    }
}

#[test]
fn checks_beyond_the_limit_get_503_and_others_go_on() {
    let mut h = site();
    assert_eq!(ask(&mut h, &with("GET", "/", "alice:secret")), "200 alice /");
    h.handler().service().holds = true;
    for number in 0..MOST_CHECKS as u8 {
        let request = with("GET", "/", &format!("alice:{number}"));
        assert_eq!(ask_from(&mut h, [192, 0, 2, number].into(), &request), "");
    }
    assert_eq!(ask(&mut h, &with("GET", "/", "bob:secret")), "503");
    assert_eq!(ask(&mut h, &with("GET", "/", "alice:secret")), "200 alice /");
    h.post(Release);
    assert_eq!(ask(&mut h, &with("GET", "/docs", "bob:secret")), "200 bob /docs");
}

#[test]
fn whoever_guesses_passwords_locks_nobody_else_out() {
    for (guesser, other) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::", "2001:db8:0:1::")] {
        let [guesser, other]: [IpAddr; 2] = [guesser, other].map(|ip| ip.parse().unwrap());
        let mut h = site();
        h.handler().service().holds = true;
        let clients: Vec<_> = (1..=MOST_CHECKS_OF_CLIENT + MOST_WAITING_OF_CLIENT)
            .map(|number| {
                let from = match guesser {
                    IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + number as u128).into(),
                    v4 => v4,
                };
                let client = h.open_from(from);
                h.feed(client, with("GET", "/", &format!("alice:{number}")));
                client
            })
            .collect();
        assert_eq!(h.handler().service().checked, MOST_CHECKS_OF_CLIENT);
        let secret = with("GET", "/", "alice:secret");
        assert_eq!(ask_from(&mut h, guesser, &secret), "503");
        assert_eq!(ask_from(&mut h, other, &secret), "");
        assert_eq!(h.handler().service().checked, MOST_CHECKS_OF_CLIENT + 1);
        h.reset(clients[MOST_CHECKS_OF_CLIENT]);
        h.post(Release);
        assert_eq!(ask_from(&mut h, other, &secret), "200 alice /");
        for (at, client) in clients.into_iter().enumerate() {
            let expected = if at == MOST_CHECKS_OF_CLIENT { &[][..] } else { &["401"] };
            assert_eq!(responses(&h.sent(client)), expected);
        }
        assert!(h.handler().service().auth.waiting.is_empty());
        assert_eq!(ask_from(&mut h, guesser, &secret), "200 alice /");
    }
}

#[test]
fn clients_that_reset_their_connections_count_as_one() {
    let mut h = site();
    h.handler().service().holds = true;
    for number in 0..MOST_CHECKS as u8 {
        h.at_once(|h| {
            let client = h.open_from([192, 0, 2, number].into());
            h.feed(client, with("GET", "/", &format!("alice:{number}")));
            h.reset(client);
        });
    }
    assert_eq!(h.handler().service().checked, MOST_CHECKS_OF_CLIENT);
    let secret = with("GET", "/", "alice:secret");
    assert_eq!(ask_from(&mut h, [192, 0, 2, 100].into(), &secret), "");
    assert_eq!(h.handler().service().checked, MOST_CHECKS_OF_CLIENT + 1);
}

#[test]
fn users_that_are_replaced_count_at_once_even_for_a_check_in_progress() {
    let mut h = site();
    assert_eq!(ask(&mut h, &with("GET", "/", "alice:secret")), "200 alice /");
    h.handler().service().holds = true;
    let client = h.open();
    h.feed(client, with("GET", "/docs", "bob:secret"));
    let carol = Users::parse(&format!("carol:{HASH}")).unwrap();
    h.handler().service().auth.set_users(Arc::new(carol));
    h.post(Release);
    assert_eq!(responses(&h.sent(client)), ["401"]);
    assert_eq!(ask(&mut h, &with("GET", "/", "alice:secret")), "401");
    assert_eq!(ask(&mut h, &with("GET", "/", "carol:secret")), "200 carol /");
}

#[test]
fn the_number_of_credentials_that_are_remembered_is_bounded() {
    let mut h = site();
    let more: String = (0..MOST_VERIFIED + 1).map(|n| format!("user{n}:{HASH}\n")).collect();
    h.handler().service().auth.set_users(users(&more));
    let auth = &mut h.handler().service().auth;
    for number in 0..=MOST_VERIFIED as u64 {
        auth.remember(number, "alice".into(), Duration::ZERO);
        assert!(auth.verified.len() <= MOST_VERIFIED);
    }
    assert_eq!(ask(&mut h, &with("GET", "/", "alice:secret")), "200 alice /");
}
