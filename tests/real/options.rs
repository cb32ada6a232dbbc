//! The options of the examples, and how they fail.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::Command;
use std::process::Stdio;

use tempfile::tempdir;

use crate::client::Client;
use crate::process::{Process, Server, eventually, example, has, path_of, run};

#[test]
fn every_example_has_a_version_and_says_which_variables_set_its_options() {
    for name in ["api", "chat", "echo", "hello", "http", "memcached", "proxy"] {
        let outcome = run(example(name).arg("--version"));
        assert_eq!(outcome.code, Some(0), "{name}");
        assert_eq!(outcome.stdout.trim_end(), format!("{name} {}", env!("CARGO_PKG_VERSION")));
        let help = run(example(name).arg("--help")).stdout;
        for line in [
            "Listening:",
            "Connections:",
            "Process:",
            "[env: SLUICEGATE_BIND]",
            "[default: 127.0.0.1]",
            "[env: SLUICEGATE_MAX_CONNECTIONS]",
            "[env: SLUICEGATE_STATS]",
        ] {
            assert!(help.contains(line), "{line} is not in {help}");
        }
    }
}

#[test]
fn an_option_is_set_by_its_variable_and_the_command_line_comes_first() {
    let dir = tempdir().expect("a new directory");
    let mut http = example("http");
    http.env("SLUICEGATE_DIR", dir.path()).env("SLUICEGATE_NO_LISTING", "yes");
    let server = Server::start(http.env("SLUICEGATE_PORT", "1"));
    assert_eq!(Client::new(&server).get("/").0.status, 403);

    let outcome = run(example("http").env("SLUICEGATE_UPLOAD", "perhaps"));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
    for (option, expected) in
        [("--rate=fast", "as in 64K"), ("--memory=0", "without the option, there is no limit")]
    {
        let outcome = run(example("http").arg(option));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
}

#[test]
fn a_flag_that_its_variable_sets_to_false_is_not_given() {
    let refused = |variable, arguments: &[&str], expected| {
        let outcome = run(example("http").env(variable, "false").args(arguments));
        assert!(outcome.stderr.contains(expected), "{variable}: {outcome:?}");
    };
    refused("SLUICEGATE_CREATE_DIRECTORIES", &["nowhere"], "nowhere: No such file");
    refused("SLUICEGATE_UPLOAD", &["--resume", "1h"], "required arguments");
    let tls = ["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"];
    refused("SLUICEGATE_TLS_SELF_SIGNED", &tls, "nowhere.pem: No such file");
}

#[test]
fn the_options_for_responses_reach_the_responses() {
    let dir = tempdir().expect("a new directory");
    for (name, content) in
        [("app.html", "the application"), ("a.css", "original"), ("a.css.gz", "compressed")]
    {
        fs::write(dir.path().join(name), content).expect("a file");
    }
    let mut http = example("http");
    http.arg(dir.path()).args(["--prefix", "/static", "--spa", "app.html", "--precompressed"]);
    http.args(["--header", "Cache-Control: no-cache", "--header=X-A:b", "--cors"]);
    let server = Server::start(&mut http);
    assert!(server.line.contains("/static/ serves "), "{:?}", server.line);
    let mut client = Client::new(&server);
    assert_eq!(client.get("/a.css").0.status, 404);
    let (head, body) = client.get("/static/a/route");
    assert_eq!((head.status, &body[..]), (200, &b"the application"[..]));
    for line in ["Cache-Control: no-cache\r\n", "X-A: b\r\n", "Access-Control-Allow-Origin: *\r\n"]
    {
        assert!(head.fields.contains(line), "{line:?} is not in {head:?}");
    }
    client.send(b"GET /static/a.css HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    let (head, body) = client.answer();
    assert!(head.fields.contains("Content-Encoding: gzip\r\n"), "{head:?}");
    assert_eq!(body, b"compressed");

    for (option, expected) in [
        ("--header=no colon", "NAME:VALUE"),
        ("--header=Bad Name: x", "Bad Name"),
        ("--header=Date: today", "Date"),
        ("--prefix=/a/../b", "/a/../b"),
        ("--cors=example.org", "example.org"),
    ] {
        let outcome = run(example("http").arg(dir.path()).args(["--port=0", option]));
        assert_ne!(outcome.code, Some(0), "{option}: {outcome:?}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{option}: {outcome:?}");
    }
}

#[test]
fn an_error_is_one_line_that_says_what_to_do() {
    let taken = Server::start(&mut example("echo"));
    let port = taken.address.port().to_string();
    for (name, arguments, expected) in [
        ("echo", ["--port", &port], "; stop the other server, or choose another --port"),
        ("echo", ["--bind", "192.0.2.1"], "; choose a --bind address of this machine"),
        ("http", ["--port=0", "/no/such/directory"], "; DIR must be a directory you can read"),
        (
            "http",
            ["--port=0", "--auth=alice:secret"],
            "; FILE must be in the format of `htpasswd -B`",
        ),
        ("http", ["--port=0", "--access-log=/no/such/log"], "/no/such/log: "),
        ("http", ["--port=0", "--header=Date: today"], "header field \"Date\": the server writes"),
        ("proxy", ["--http=h:1", "--access-log=/no/such/log"], "/no/such/log: "),
        ("proxy", ["--http=h:1", "--header-up=A B: c"], "header field \"A B\": the name is not"),
        ("proxy", ["--http=h:1", "--header-down=Via:"], "header field \"Via\": the server writes"),
        ("proxy", ["--http=h:1", "--client-address=Host"], "header field \"Host\": the server"),
        ("proxy", ["--to=h:1", "--access-log=-"], "error: --access-log needs --http"),
        ("proxy", ["--http=h:1", "--header-up=host: a"], "; --change-host sends the target's"),
        ("proxy", ["--to=h:1", "--upstream-name=a"], "need tls:// or https:// in the target"),
        ("proxy", ["--to=tls://h:1", "--upstream-ca=/no/such"], "error: /no/such: No such file"),
        ("proxy", ["--to=tls://unix:/x", "--port=0"], "tls://unix:/x: --upstream-name must name"),
        ("proxy", ["--http=https://a b", "--port=0"], "a b:443: no certificate can be for"),
        ("proxy", ["--sni=a=h:1", "--tls-self-signed"], "--sni relays TLS without decrypting"),
        ("memcached", ["--port=0", "--when-full=shed"], "when-full shed closes idle connections"),
        ("proxy", ["--sni=*a=h:1", "--port=0"], "\"*a\" is neither the name of a server, nor"),
        ("proxy", ["--sni=a=h:1,A=h:2", "--port=0"], "\"A\" has two targets"),
    ] {
        let outcome = run(example(name).env("SLUICEGATE_PORT", "0").args(arguments));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
}

#[test]
fn a_target_at_port_0_is_an_error_that_says_so() {
    let dir = tempdir().expect("a new directory");
    let file = dir.path().join("targets");
    fs::write(&file, "127.0.0.1:0\n").expect("a file");
    let file = format!("--to-file={}", file.display());
    for target in ["--to=127.0.0.1:0", "--http=[::1]:0", "--http=https://h:0", "--sni=a=h:0", &file]
    {
        let outcome = run(example("proxy").args(["--port=0", target]));
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.contains("; write the port of the target"), "{outcome:?}");
    }
}

#[test]
fn options_for_requests_are_refused_where_connections_are_forwarded() {
    for option in ["--header-up=A: b", "--header-down=A: b", "--x-forwarded=pass", "--change-host"]
    {
        let outcome = run(example("proxy").args(["--port=0", "--to=h:1", option]));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
    }
    let outcome = run(example("proxy").args(["--port=0", "--to=https://h"]));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("or tls://HOST:PORT to encrypt"), "{outcome:?}");
}

#[test]
fn every_address_is_printed_and_served() {
    let dir = tempdir().expect("a new directory");
    let lines = dir.path().join("lines");
    let mut echo = example("hello");
    echo.args(["--bind", "localhost", "--bind", "127.0.0.1", "--port", "0"]);
    let of_name = ("localhost", 0).to_socket_addrs().expect("addresses").collect::<HashSet<_>>();
    let count = of_name.iter().filter(|address| TcpListener::bind(address).is_ok()).count() + 1;
    let _server = Process::spawn(echo.stdout(File::create(&lines).expect("a new file")));
    let addresses: Vec<String> = eventually("a line for each", || {
        let text = fs::read_to_string(&lines).expect("the file");
        let urls = text.lines().map(|line| line.strip_prefix("hello on http://"));
        let urls = urls.map(|url| url.expect("an address").trim_end_matches('/').to_owned());
        Some(urls.collect::<Vec<_>>()).filter(|urls| urls.len() == count && text.ends_with('\n'))
    });
    for address in addresses {
        let stream = TcpStream::connect(&address).expect("a connection");
        assert_eq!(Client::over(stream).get("/").0.status, 200, "{address}");
    }
}

#[test]
fn a_name_is_served_at_the_addresses_that_exist_and_every_other_error_is_one() {
    let dir = tempdir().expect("a new directory");
    let hosts = dir.path().join("hosts");
    let private = |script: &str| {
        let mut command = Command::new("unshare");
        let script = format!("mount --bind \"$1\" /etc/hosts && {script}");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        command
    };
    fs::write(&hosts, "127.0.0.1 one.test\n").expect("a file");
    if !has("unshare") || run(private("true").arg("sh").arg(&hosts)).code != Some(0) {
        return;
    }
    let start = |lines: &str| {
        fs::write(&hosts, lines).expect("a file");
        let mut command = private("shift && exec \"$0\" \"$@\"");
        command.arg(path_of("echo")).arg(&hosts).args(["--bind", "two.test"]);
        command
    };
    // No machine has the second address.
    Server::start(&mut start("127.0.0.1 two.test\n192.0.2.1 two.test\n"));
    // An address of a link, without the link.
    let mut command = start("127.0.0.1 two.test\nfe80::1:2 two.test\n");
    let outcome = run(command.args(["--port", "0"]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("listen on [fe80::1:2]:0: "), "{outcome:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_system_without_the_family_of_an_address_does_not_have_the_address() {
    let strace = |options: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null"]).args(options);
        command
    };
    if !has("strace") || run(strace(&[]).arg("true")).code != Some(0) {
        return;
    }
    let mut command = strace(&["-e", "inject=socket:error=EAFNOSUPPORT"]);
    let outcome = run(command.arg(path_of("echo")).args(["--bind", "::1", "--port", "0"]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("; choose a --bind address of this machine"), "{outcome:?}");
}

#[test]
fn the_ipv6_wildcard_is_for_ipv4_as_well_unless_an_ipv4_address_is_bound() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // No IPv6 here.
    }
    for (binds, takes_both) in
        [(&["--bind=::"][..], true), (&["--bind=::", "--bind=0.0.0.0"], false)]
    {
        let mut hello = example("hello");
        let mut process =
            Process::spawn(hello.args(binds).args(["--port", "0"]).stdout(Stdio::piped()));
        let line = BufReader::new(process.stdout()).lines().next().expect("a line").expect("text");
        let (_, port) = line.trim_end_matches('/').rsplit_once("[::]:").expect("an address");
        let port = port.parse().expect("a port");
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("a connection");
        let joined = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        assert_eq!(joined.is_ok(), takes_both, "{binds:?}");
    }
}

#[test]
fn a_log_on_a_full_disk_stops_no_response_and_its_lines_are_counted() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let errors = dir.path().join("errors");
    let mut http = example("http");
    http.arg(dir.path()).args(["--access-log", "/dev/full"]);
    let mut server = Server::start(http.stderr(File::create(&errors).expect("a new file")));
    let mut client = Client::new(&server);
    for _ in 0..10 {
        assert_eq!(client.get("/errors").0.status, 200);
    }
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let errors = fs::read_to_string(&errors).expect("the file");
    assert!(errors.contains("access log: No space left on device"), "{errors}");
    assert!(errors.trim_end().ends_with("; 10 lines lost"), "{errors}");
}

#[test]
fn each_line_of_a_log_in_json_is_an_object_for_others_too() {
    if !has("python3") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let log = dir.path().join("log");
    let mut http = example("http");
    let http = http.arg(dir.path()).args(["--log-format", "json", "--access-log"]).arg(&log);
    let mut server = Server::start(http);
    let mut client = Client::new(&server);
    client.send(b"GET /log HTTP/1.1\r\nHost: h\r\nUser-Agent: a\"\\\xc3\xbc\xff\tb\r\n\r\n");
    client.answer();
    client.send(b"GET /\x01\xfe HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().0.status, 400);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let script = "import json, sys\n\
        for line in sys.stdin:\n    r = json.loads(line)\n    \
        print(r['client'], r['status'], ascii(r['request']), ascii(r['user_agent']), len(r))";
    let mut python = Command::new("python3");
    python.args(["-c", script]).stdin(Stdio::from(File::open(&log).expect("a log")));
    let expected = "127.0.0.1 200 'GET /log HTTP/1.1' 'a\"\\\\\\xc3\\xbc\\xff\\tb' 8\n\
        127.0.0.1 400 'GET /\\x01\\xfe HTTP/1.1' None 8\n";
    assert_eq!(run(&mut python).stdout, expected);
}

#[test]
fn the_manual_page_and_completions_are_printed_by_the_program_itself() {
    for name in ["http", "proxy"] {
        let manual = run(example(name).arg("--man"));
        assert_eq!(manual.code, Some(0), "{manual:?}");
        assert!(manual.stdout.contains(&format!(".TH {name} 1")), "{manual:?}");
        assert!(manual.stdout.contains("\\-\\-max\\-connections"), "{manual:?}");
        let completions = run(example(name).args(["--completions", "bash"]));
        assert_eq!(completions.code, Some(0), "{completions:?}");
        assert!(completions.stdout.contains("--max-connections"), "{completions:?}");
    }
    let refused = run(example("http").args(["--man", "--port", "0"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
}
