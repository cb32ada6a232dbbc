//! A Prometheus that scrapes servers, with the configuration, the alert rules and the dashboard of
//! the documentation.
//!
//! The server is under load for 5 scrapes, one per second, or as many as `SLUICEGATE_SCRAPES` says.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, thread};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::documented::{document, proxy_with_all_metrics};
use crate::process::{Process, Server, address_in, eventually, example, has, run};

/// The length of a file that is sent by `sendfile`.
const LARGE: usize = 1 << 20;

/// The time of a query that wants the latest samples.
const NOW: &str = "";

struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these status listeners as the page on operating says.
    fn start(targets: &[SocketAddr]) -> Prometheus {
        let dir = tempdir().expect("a new directory");
        let at = |name: &str| dir.path().join(name);
        let page = fs::read_to_string(document("operating.md")).expect("the page");
        let (_, block) = page.split_once("```yaml\n").expect("a configuration");
        let (block, _) = block.split_once("```").expect("the end of a block");
        let targets: Vec<_> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let block = block.replace("localhost:9100", &targets.join(", "));
        let every = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n";
        fs::write(at("prometheus.yml"), format!("{every}{block}")).expect("a file");
        fs::copy(document("alerts.yml"), at("alerts.yml")).expect("a copy");
        let mut prometheus = Command::new("prometheus");
        prometheus.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        prometheus.arg("--web.listen-address=127.0.0.1:0").current_dir(dir.path());
        let log = File::create(at("log")).expect("a file");
        let process = Process::spawn(prometheus.stderr(log));
        let address = eventually("Prometheus is ready", || {
            let log = fs::read_to_string(at("log")).expect("a log");
            let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            log.contains("Server is ready").then(|| address_in(line))?
        });
        Prometheus { address, _process: process, _dir: dir }
    }

    /// The data that its API answers with.
    fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut curl = Command::new("curl");
        for (name, value) in parameters {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        curl.arg("-sSG").arg(format!("http://{}/api/v1/{path}", self.address));
        let outcome = run(&mut curl);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let mut answer: Value = serde_json::from_str(&outcome.stdout).expect(&outcome.stdout);
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        answer["data"].take()
    }

    /// The values of an expression at a time, in seconds since 1970.
    fn values(&self, expression: &str, time: &str) -> Vec<String> {
        let data = self.api("query", &[("query", expression), ("time", time)]);
        let results = data["result"].as_array().expect("results").iter();
        results.map(|result| result["value"][1].as_str().expect("a value").to_owned()).collect()
    }

    /// The only value of an expression at a time, if it has one.
    fn number(&self, expression: &str, time: &str) -> Option<f64> {
        let values = self.values(expression, time);
        assert!(values.len() < 2, "{expression}: {values:?}");
        values.first().map(|value| value.parse().expect("a number"))
    }

    /// The alert rules, once all have been evaluated.
    fn rules(&self) -> Vec<Value> {
        eventually("the evaluation of the rules", || {
            let mut data = self.api("rules", &[]);
            let rules = data.pointer_mut("/groups/0/rules").expect("a group").take();
            let rules = rules.as_array().expect("rules").clone();
            rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
        })
    }
}

/// What clients have counted.
#[derive(Default)]
struct Load {
    connections: u64,
    sent: u64,
    received: u64,
}

impl Load {
    /// Gets two files and an error on one connection.
    fn connect(&mut self, server: &Server) {
        let mut stream = server.connect();
        let requests = "GET /small HTTP/1.1\r\nHost: x\r\n\r\n\
                        GET /large HTTP/1.1\r\nHost: x\r\n\r\n\
                        GET /missing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(requests.as_bytes()).expect("a server that reads");
        let mut responses = Vec::new();
        stream.read_to_end(&mut responses).expect("whole responses");
        assert!(responses.starts_with(b"HTTP/1.1 200 ") && responses.len() > LARGE);
        let end = String::from_utf8_lossy(&responses[LARGE..]);
        assert!(end.contains("HTTP/1.1 404 "), "{end}");
        self.connections += 1;
        self.sent += requests.len() as u64;
        self.received += responses.len() as u64;
    }

    /// Connects again and again until something is over.
    fn during(server: &Server, something: impl FnOnce()) -> Load {
        let is_over = AtomicBool::new(false);
        let repeat = || {
            let mut load = Load::default();
            while !is_over.load(Ordering::Relaxed) {
                load.connect(server);
            }
            load
        };
        thread::scope(|scope| {
            let clients = [scope.spawn(repeat), scope.spawn(repeat)];
            something();
            is_over.store(true, Ordering::Relaxed);
            let loads = clients.map(|client| client.join().expect("no failed request"));
            loads.into_iter().fold(Load::default(), |all, load| Load {
                connections: all.connections + load.connections,
                sent: all.sent + load.sent,
                received: all.received + load.received,
            })
        })
    }
}

/// How many scrapes to wait for under load.
fn scrapes() -> u32 {
    env::var("SLUICEGATE_SCRAPES").map_or(5, |scrapes| scrapes.parse().expect("a number"))
}

#[test]
fn prometheus_computes_what_clients_have_counted() {
    if !has("prometheus") || !has("curl") {
        return;
    }
    let files = tempdir().expect("a new directory");
    for (name, length) in [("small", 100), ("large", LARGE)] {
        fs::write(files.path().join(name), vec![b'.'; length]).expect("a file");
    }
    let mut http = example("http");
    http.args(["--status", "0", "--threads", "2"]).arg(files.path());
    let mut server = Server::start(&mut http);
    let hello = Server::start(&mut example("hello"));
    let proxy = proxy_with_all_metrics(hello.address);
    let [status, of_proxy] = [&server, &proxy].map(|it| it.status.expect("a status listener"));
    let prometheus = Prometheus::start(&[status, of_proxy]);

    // The first samples of all counters are 0.
    let is_scraped = || prometheus.number("sum(sluicegate_thread_up) == 3", NOW);
    eventually("a sample of each thread", is_scraped);
    let load = Load::during(&server, || {
        for count in 1..=scrapes() {
            let scraped = format!("min(count_over_time(up[1h])) > {count}");
            eventually(&scraped, || prometheus.number(&scraped, NOW));
        }
    });
    for _ in 0..3 {
        let url = format!("https://{}/", proxy.address);
        let outcome = run(Command::new("curl").args(["-sSk", &url]));
        assert_eq!(outcome.stdout, "Hello, World!", "{outcome:?}");
    }

    agree_on_load(&prometheus, &server, &load);
    // The proxy keeps its connection.
    let counters = [
        ("sluicegate_connections_opened_total", "by=\"connect\"", 1),
        ("sluicegate_upstream_requests_total", "result=\"answered\"", 3),
        ("sluicegate_tls_handshakes_total", "", 3),
    ];
    agree(&prometheus, &proxy, 3, &counters);
    assert_eq!(prometheus.number("count(up)", NOW), Some(2.0));
    every_panel_has_data(&prometheus);

    let rules = prometheus.rules();
    let alerts = fs::read_to_string(document("alerts.yml")).expect("rules");
    assert_eq!(rules.len(), alerts.matches("- alert: ").count());
    assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    // On a busy machine, a scrape may have failed a moment ago, and turns are slow.
    eventually("no alert", || {
        let is_quiet =
            |rule: &Value| rule["state"] == "inactive" || rule["name"] == "SluicegateSlowTurns";
        prometheus.rules().iter().all(is_quiet).then_some(())
    });
    server.signal("KILL");
    server.wait();
    eventually("an alert about the server that has ended", || {
        let rules = prometheus.rules();
        let down = rules.iter().find(|rule| rule["name"] == "SluicegateDown").expect("the rule");
        (down["alerts"][0]["labels"]["instance"] == *status.to_string()).then_some(())
    });
}

/// Checks the metrics of a server that serves files.
fn agree_on_load(prometheus: &Prometheus, server: &Server, load: &Load) {
    let Load { connections, sent, received } = *load;
    let listener = &*format!("listener=\"{}\"", server.address);
    let by_accept = &*format!("{listener},by=\"accept\"");
    let by_sendfile = &*format!("{listener},method=\"sendfile\"");
    let counters = [
        ("sluicegate_connections_opened_total", by_accept, connections),
        ("sluicegate_received_bytes_total", listener, sent),
        ("sluicegate_sent_bytes_total", listener, received),
        ("sluicegate_sent_bytes_total", by_sendfile, connections * LARGE as u64),
        ("sluicegate_http_responses_total", "class=\"2xx\"", 2 * connections),
        ("sluicegate_http_responses_total", "class=\"4xx\"", connections),
        ("sluicegate_http_responses_total", "", 3 * connections),
        ("sluicegate_http_request_seconds_count", "", 3 * connections),
    ];
    let time = agree(prometheus, server, connections, &counters);
    for histogram in ["sluicegate_http_request_seconds", "sluicegate_turn_seconds"] {
        has_sensible_quantiles(prometheus, histogram, server, &time);
    }
}

/// Waits for a scrape after the end of this number of connections. Checks the increase of counters,
/// each given by its name and some labels, and their rate. Returns the time of that scrape.
fn agree(
    prometheus: &Prometheus,
    server: &Server,
    connections: u64,
    counters: &[(&str, &str, u64)],
) -> String {
    let instance = format!("instance=\"{}\"", server.status.expect("a status listener"));
    let listener = format!("{instance},listener=\"{}\"", server.address);
    let closed = format!("sum(sluicegate_connections_closed_total{{{listener}}})");
    let scraped = format!("timestamp(sluicegate_ready{{{instance}}})");
    let time = eventually("a scrape after the last connection", || {
        let [time] = &prometheus.values(&scraped, NOW)[..] else { return None };
        let count = prometheus.number(&closed, time);
        (count == Some(connections as f64)).then(|| time.clone())
    });
    for (name, labels, expected) in counters {
        let expected = *expected as f64;
        let range = format!("{name}{{{instance},{labels}}}[1h]");
        // Exact: Prometheus extrapolates to both ends of the range, but not past a sample at its
        // very end, nor before one of 0.
        let increase = prometheus.number(&format!("sum(increase({range}))"), &time);
        assert_eq!(increase, Some(expected), "{range}");
        let rate = prometheus.number(&format!("3600 * sum(rate({range}))"), &time);
        let is_equal = rate.is_some_and(|rate| (rate / expected - 1.0).abs() < 1e-9);
        assert!(is_equal, "{range}: {rate:?} instead of {expected}");
    }
    time
}

fn has_sensible_quantiles(prometheus: &Prometheus, histogram: &str, server: &Server, time: &str) {
    let instance = server.status.expect("a status listener");
    let sum = |suffix: &str| {
        format!("sum by (le) (increase({histogram}_{suffix}{{instance=\"{instance}\"}}[1h]))")
    };
    let quantile = |quantile: f64| {
        let query = format!("histogram_quantile({quantile}, {})", sum("bucket"));
        prometheus.number(&query, time).expect("a quantile")
    };
    let mean = prometheus.number(&format!("{} / {}", sum("sum"), sum("count")), time);
    let (mean, [p50, p99, most]) = (mean.expect("a mean"), [0.5, 0.99, 1.0].map(quantile));
    let is_sensible = 0.0 < p50 && p50 <= p99 && p99 <= most && 0.0 < mean && mean <= most;
    assert!(is_sensible, "{histogram}: mean {mean}, quantiles {p50}, {p99}, {most}");
}

fn every_panel_has_data(prometheus: &Prometheus) {
    let dashboard = fs::read_to_string(document("grafana-dashboard.json")).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let mut count = 0;
    for target in targets {
        let query = target["expr"].as_str().expect("an expression");
        let query = query.replace("$instance", ".*").replace("$__rate_interval", "1h");
        let values = prometheus.values(&query, NOW);
        // These panels show problems, of which there are none.
        assert_eq!(values.is_empty(), query.ends_with(" > 0"), "{query}: {values:?}");
        assert!(!values.iter().any(|value| value == "NaN"), "{query}: {values:?}");
        count += 1;
    }
    assert!(count > 30, "{count}");
}
