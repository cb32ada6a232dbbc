//! What each path answers.

use super::super::Phase;
use super::{World, body, sum, value};

#[test]
fn a_server_is_alive_before_it_is_ready() {
    let mut world = World::new();
    assert!(world.get("/livez").starts_with("HTTP/1.1 200 OK\n"));
    let response = world.get("/readyz");
    assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\n"), "{response}");
    world.readiness.set_phase(Phase::Ready);
    assert!(world.get("/readyz").starts_with("HTTP/1.1 200 OK\n"));
    world.readiness.set_phase(Phase::Draining);
    assert!(world.get("/readyz").starts_with("HTTP/1.1 503 "));
    assert!(world.get("/livez").starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_verbose_readiness_names_each_check() {
    let mut world = World::new();
    world.readiness.set_phase(Phase::Ready);
    world.readiness.check("disk").fail("full");
    assert_eq!(body(&world.get("/readyz")), "not ready\n");
    let verbose = "[+] phase: ready\n[-] disk: full\nnot ready\n";
    for query in ["verbose", "verbose=1", "a=b&verbose"] {
        assert_eq!(body(&world.get(&format!("/readyz?{query}"))), verbose, "{query}");
    }
}

#[test]
fn nothing_is_stored_and_nothing_can_be_changed() {
    let mut world = World::new();
    for path in ["/livez", "/readyz", "/metrics", "/status.json", "/events"] {
        let response = world.get(path);
        assert!(response.contains("\nCache-Control: no-store\n"), "{response}");
        assert!(response.contains("\nX-Content-Type-Options: nosniff\n"), "{response}");
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(body(&world.ask(&head)), "", "{path}");
        let post = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        assert!(world.ask(&post).starts_with("HTTP/1.1 405 "), "{path}");
    }
    assert!(world.get("/metricsx").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_page_whose_own_name_leads_here_reads_nothing_but_the_health() {
    let mut world = World::new();
    let mut status = |path: &str, host: &str| {
        let response = world.ask(&format!("HEAD {path} HTTP/1.1\r\n{host}\r\n"));
        response["HTTP/1.1 ".len()..][..3].to_owned()
    };
    for host in
        ["h", "H:9100", "localhost", "LocalHost:1", "127.0.0.1:9100", "[::1]", "[::1]:1", ""]
    {
        assert_eq!(status("/metrics", &format!("Host: {host}\r\n")), "200", "{host}");
    }
    for host in ["evil.example", "evil.example:9100", "h.evil.example", "127.0.0.1.evil.example"] {
        for path in ["/", "/metrics", "/status.json", "/events", "/none"] {
            assert_eq!(status(path, &format!("Host: {host}\r\n")), "421", "{host} {path}");
        }
        assert_eq!(status("/livez", &format!("Host: {host}\r\n")), "200", "{host}");
        assert_eq!(status("/readyz", &format!("Host: {host}\r\n")), "503", "{host}");
    }
}

#[test]
fn counters_of_outgoing_connections_begin_at_0_and_people_do_not_see_them_yet() {
    let mut world = World::new();
    let metrics = world.get("/metrics");
    let labels = "{listener=\"none\",thread=\"0\",by=\"connect\"}";
    assert_eq!(value(&metrics, &format!("sluicegate_connections_opened_total{labels}")), 0.0);
    assert!(!world.get("/status.json").contains("\"none\""));
}

#[test]
fn the_metrics_agree_with_the_ledger() {
    let mut world = World::new();
    world.use_application(&["/100", "/5000", "/x"]);
    world.use_application(&["/70000"]);
    let before = world.h.ledger();
    let response = world.get("/metrics");
    let metrics = body(&response);
    let ledger = world.h.ledger();
    // The response itself leaves after the counters were copied.
    assert_eq!(sum(metrics, "sluicegate_sent_bytes_total"), before.sent as f64);
    assert_eq!(sum(metrics, "sluicegate_received_bytes_total"), ledger.received as f64);
    assert_eq!(sum(metrics, "sluicegate_connections_opened_total"), ledger.accepted as f64);
    let opened = "sluicegate_connections_opened_total{listener=\"10.0.0.1:8080\",thread=\"0\"";
    assert_eq!(value(metrics, &format!("{opened},by=\"accept\"}}")), 2.0);
    let listener = "{listener=\"10.0.0.1:8080\",thread=\"0\"}";
    assert_eq!(value(metrics, &format!("sluicegate_connections{listener}")), 2.0);
    assert_eq!(value(metrics, &format!("sluicegate_connections_peak{listener}")), 2.0);
    assert_eq!(value(metrics, &format!("sluicegate_connections_limit{listener}")), 7.0);
    // The connection is closed in another turn.
    let turns = ledger.turns - 1;
    assert_eq!(value(metrics, "sluicegate_turns_total{thread=\"0\"}"), turns as f64);
    let class =
        |class| format!("sluicegate_http_responses_total{{class=\"{class}\",thread=\"0\"}}");
    assert_eq!(value(metrics, &class("2xx")), 3.0);
    assert_eq!(value(metrics, &class("4xx")), 1.0);
    assert_eq!(value(metrics, "sluicegate_http_request_seconds_count"), 4.0);
    // The turn that answers is not over.
    let timed = value(metrics, "sluicegate_turn_seconds_count{thread=\"0\"}");
    assert_eq!(timed, (turns - 1) as f64);
    assert_eq!(value(metrics, "sluicegate_build_info{name=\"test\",version=\"1.2.3\"}"), 1.0);
    assert_eq!(value(metrics, "sluicegate_generation"), 1.0);
    assert_eq!(value(metrics, "process_start_time_seconds"), 784_111_777.0);
}

#[test]
fn a_client_that_does_not_read_is_a_slow_reader() {
    let mut world = World::new();
    let client = world.h.open_at(world.application);
    world.h.set_room(client, 1000);
    world.h.feed(client, "GET /900000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let metrics = world.get("/metrics");
    let listener = "{listener=\"10.0.0.1:8080\",thread=\"0\"}";
    assert_eq!(value(&metrics, &format!("sluicegate_slow_readers{listener}")), 1.0);
    let queued = value(&metrics, &format!("sluicegate_queued_bytes{listener}"));
    assert!((899_000.0..901_000.0).contains(&queued), "{queued}");
    world.h.sent(client);
    let metrics = world.get("/metrics");
    assert_eq!(value(&metrics, &format!("sluicegate_slow_readers{listener}")), 0.0);
}

#[test]
fn openmetrics_is_sent_to_clients_that_accept_it() {
    let mut world = World::new();
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let request = format!("GET /metrics HTTP/1.1\r\nHost: h\r\n{accept}\r\n\r\n");
    let response = world.ask(&request);
    assert!(response.contains("\nContent-Type: application/openmetrics-text; version=1.0.0;"));
    assert!(response.ends_with("# EOF\n"));
    let without = "Accept: application/openmetrics-text; q=0, text/plain";
    for accept in ["Accept: */*", without] {
        let response = world.ask(&format!("GET /metrics HTTP/1.1\r\nHost: h\r\n{accept}\r\n\r\n"));
        assert!(response.contains("\nContent-Type: text/plain; version=0.0.4; charset=utf-8\n"));
        assert!(!response.contains("EOF"));
    }
}

#[test]
fn a_server_that_nobody_asks_does_nothing() {
    let mut world = World::new();
    let turns = world.h.ledger().turns;
    world.h.advance(std::time::Duration::from_secs(3600));
    assert!(world.h.ledger().turns <= turns + 1);
}
