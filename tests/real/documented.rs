//! What the files in `docs` say of the programs: options, metrics, probes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::client::Client;
use crate::haproxy::connect;
use crate::process::{PYTHON, Server, example, has, has_python_module, run};

/// A file of the documentation.
pub(crate) fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(document(name)).expect(name)
}

/// The documents in a file of YAML.
pub(crate) fn yaml(path: &Path) -> Value {
    let script =
        "import json, sys, yaml; print(json.dumps([*yaml.safe_load_all(open(sys.argv[1]))]))";
    let outcome = run(Command::new(PYTHON).args(["-c", script]).arg(path));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

/// A server that has all metrics: a proxy for HTTP with TLS and a memory budget.
pub(crate) fn proxy_with_all_metrics(to: SocketAddr) -> Server {
    let mut proxy = example("proxy");
    proxy.args(["--status", "0", "--memory", "64M", "--tls-self-signed"]);
    Server::start(proxy.args(["--http", &to.to_string()]))
}

fn all_metrics() -> String {
    let hello = Server::start(&mut example("hello"));
    let proxy = proxy_with_all_metrics(hello.address);
    let status = proxy.status.expect("a status listener");
    let (head, body) = Client::over(connect(status)).get("/metrics");
    assert_eq!(head.status, 200, "{head:?}");
    String::from_utf8(body).expect("text")
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let is_metric = |word: &&str| {
        ["sluicegate_", "process_"].iter().any(|start| word.starts_with(start))
            && !word.contains(':')
    };
    words.filter(is_metric).collect()
}

#[test]
fn every_metric_in_the_documentation_exists() {
    let metrics = all_metrics();
    let existing: BTreeSet<_> =
        metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for name in ["operating.md", "tracing.md", "alerts.yml", "grafana-dashboard.json"] {
        let text = text(name);
        let named = metrics_in(&text);
        assert!(!named.is_empty(), "{name}");
        for metric in named {
            // A histogram has no sample of its own name.
            let exists = existing.contains(metric) || existing.contains(&*format!("{metric}_sum"));
            assert!(exists, "{name}: {metric}");
        }
    }
}

#[test]
fn every_option_in_the_documentation_exists() {
    let is_of_cargo = |option| ["--bench", "--cfg"].contains(&option);
    let helps = ["api", "http", "proxy", "top"].map(|name| run(example(name).arg("--help")).stdout);
    let page = text("operating.md");
    let mut count = 0;
    for span in page.split('`').skip(1).step_by(2) {
        let words = span.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for option in words.filter(|word| word.starts_with("--") && span.lines().count() == 1) {
            let is_known = |help: &String| {
                help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|it| it == option)
            };
            assert!(helps.iter().any(is_known) || is_of_cargo(option), "{option}");
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn promtool_accepts_the_metrics_and_the_alert_rules() {
    if !has("promtool") {
        return;
    }
    let rules = run(Command::new("promtool").args(["check", "rules"]).arg(document("alerts.yml")));
    assert_eq!(rules.code, Some(0), "{rules:?}");
    let dir = tempdir().expect("a new directory");
    let metrics = dir.path().join("metrics");
    fs::write(&metrics, all_metrics()).expect("a file");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::from(File::open(metrics).expect("a file")));
    let checked = run(&mut promtool);
    assert_eq!((checked.code, &*checked.stderr), (Some(0), ""), "{checked:?}");
}

/// One of two threads has used up its share, and the other has hardly begun.
const UNEVEN: &str = r#"
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'sluicegate_connections{listener="a:1",thread="0"}', values: 10+0x10}
      - {series: 'sluicegate_connections{listener="a:1",thread="1"}', values: 1+0x10}
      - {series: 'sluicegate_connections{listener="none",thread="0"}', values: 99+0x10}
      - {series: 'sluicegate_connections_limit{listener="a:1",thread="0"}', values: 10+0x10}
      - {series: 'sluicegate_connections_limit{listener="a:1",thread="1"}', values: 10+0x10}
      - {series: 'sluicegate_memory_bytes{thread="0"}', values: 800+0x10}
      - {series: 'sluicegate_memory_bytes{thread="1"}', values: 0+0x10}
      - {series: 'sluicegate_memory_budget_bytes{thread="0"}', values: 1000+0x10}
      - {series: 'sluicegate_memory_budget_bytes{thread="1"}', values: 1000+0x10}
    promql_expr_test:
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 8m
        exp_samples:
          - {labels: '{alertname="SluicegateConnectionsNearLimit"}', value: 1}
          - {labels: '{alertname="SluicegateMemoryNearBudget"}', value: 1}
"#;

#[test]
fn alerts_notice_a_single_thread_that_has_used_up_its_share_of_a_limit() {
    if !has("promtool") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let file = dir.path().join("tests.yml");
    let rules = document("alerts.yml");
    fs::write(&file, format!("rule_files: [{}]{UNEVEN}", rules.display())).expect("a file");
    let tested = run(Command::new("promtool").args(["test", "rules"]).arg(file));
    assert_eq!(tested.code, Some(0), "{tested:?}");
}

#[test]
fn the_panels_of_the_dashboard_have_their_own_place() {
    let dashboard: Value = serde_json::from_str(&text("grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64()), "{title}");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a number"));
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cell.0 < 24 && cells.insert(cell), "{title} overlaps");
        }
    }
}

/// The number of seconds in a value such as `30s`.
fn seconds(value: &str) -> u64 {
    value.strip_suffix('s').and_then(|value| value.parse().ok()).expect("seconds")
}

#[test]
fn the_manifest_for_kubernetes_starts_a_server_that_its_probes_reach() {
    if !has_python_module("yaml") {
        return;
    }
    let documents = yaml(&document("kubernetes.yaml"));
    let pod = &documents[0]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let args = container["args"].as_array().expect("arguments").iter();
    let args: Vec<_> = args.map(|arg| arg.as_str().expect("text")).collect();
    let value = |option: &str| {
        let mut values = args.iter().filter_map(|arg| arg.strip_prefix(option));
        values.next().unwrap_or_else(|| panic!("{option} in {args:?}"))
    };
    let port = |name: &str| {
        let mut ports = container["ports"].as_array().expect("ports").iter();
        let port = ports.find(|port| port["name"] == name).expect(name);
        port["containerPort"].to_string()
    };
    assert_eq!(port("http"), value("--port="));
    assert_eq!(format!("0.0.0.0:{}", port("status")), value("--status="));
    let stop = seconds(value("--shutdown-delay=")) + seconds(value("--drain="));
    assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(stop));
    let mount = &container["volumeMounts"][0]["mountPath"];
    assert_eq!(args[0], mount.as_str().expect("a path"));
    assert_eq!(documents[1]["spec"]["ports"][0]["targetPort"], "http");

    let dir = tempdir().expect("a new directory");
    let mut http = example("http");
    let is_kept =
        |arg: &&&str| !["--bind=", "--port=", "--status="].iter().any(|it| arg.starts_with(it));
    http.arg(dir.path()).args(args[1..].iter().filter(is_kept)).args(["--status", "0"]);
    let server = Server::start(&mut http);
    for probe in ["livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], "status", "{probe}");
        let path = get["path"].as_str().expect("a path");
        let status = connect(server.status.expect("a status listener"));
        assert_eq!(Client::over(status).get(path).0.status, 200, "{probe}");
    }
}
