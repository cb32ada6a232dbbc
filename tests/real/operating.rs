//! `docs/operating.md`: each block of it, in order, as an operator copies it. Blocks of commands
//! run in one shell, others are checked by the tool that they are for.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::{env, thread};

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::documented::{document, yaml};
use crate::haproxy::connect;
use crate::process::{
    PATIENCE, Process, Server, address_in, eventually, example, has, has_python_module, path_of,
    run,
};
use crate::sandbox::kernel_confines;
use crate::user::{NOBODY, is_root};

/// Runs a block, or checks it with a tool.
type Check = fn(&mut Operator, &str);

/// The blocks in order: the heading above each, its language, and its check.
const CHECKS: &[(&str, &str, Check)] = &[
    ("Install", "sh", Operator::install),
    ("Start", "sh", Operator::start),
    ("Start", "sh", Operator::note_process),
    ("Start", "sh", Operator::install_unit),
    ("Confine", "sh", Operator::start_confined),
    ("Confine", "ini", Operator::verify_drop_in),
    ("Monitor", "sh", Operator::scrape),
    ("Monitor", "sh", Operator::show_in_terminal),
    ("Monitor", "yaml", Operator::check_prometheus),
    ("Monitor", "text", Operator::find_in_log),
    ("Reload the configuration", "sh", Operator::reload),
    ("Reload the configuration", "text", Operator::serve_with_limits),
    ("Restart and upgrade", "sh", Operator::upgrade),
    ("Restart and upgrade", "ini", Operator::verify_socket_unit),
    ("Restart and upgrade", "sh", |operator, block| drop(operator.run(block))),
    ("Stop", "sh", Operator::stop),
    ("Stop", "haproxy", Operator::check_haproxy),
];

/// A fenced block: the heading above it, its language and its text.
struct Block {
    heading: String,
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut heading, mut is_inside) = (Vec::new(), "", false);
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(language) => {
                is_inside = true;
                let (heading, language) = (heading.to_owned(), language.to_owned());
                blocks.push(Block { heading, language, text: String::new() });
            }
            None if is_inside => {
                let block = blocks.last_mut().expect("a block");
                writeln!(block.text, "{line}").expect("a string");
            }
            None => heading = line.strip_prefix("## ").unwrap_or(heading),
        }
    }
    blocks
}

#[test]
fn every_block_of_the_page_on_operating_works_as_it_stands() {
    if !has("curl") {
        return;
    }
    let page = fs::read_to_string(document("operating.md")).expect("the page");
    let blocks = blocks(&page);
    let found: Vec<_> = blocks.iter().map(|it| (&*it.heading, &*it.language)).collect();
    let known: Vec<_> = CHECKS.iter().map(|(heading, language, _)| (*heading, *language)).collect();
    assert_eq!(found, known, "each block has its check");
    let mut operator = Operator::new();
    for (block, (_, _, check)) in blocks.iter().zip(CHECKS) {
        check(&mut operator, &block.text);
    }
}

/// A shell in which the commands run, and the directories that stand for those of the system.
struct Operator {
    shell: Process,
    input: ChildStdin,
    output: Receiver<String>,
    /// Where the server listens, and where its status listener does, once it runs.
    server: Option<(SocketAddr, SocketAddr)>,
    /// The block that reloads the configuration, once it has run.
    reload: String,
    root: TempDir,
}

/// Ends the processes that the shell has started, too.
impl Drop for Operator {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.pid());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
    }
}

/// What the shell prints once a block has run.
const DONE: &str = "the block has run";

impl Operator {
    fn new() -> Operator {
        let root = tempdir().expect("a new directory");
        let at = |name: &str| root.path().join(name);
        for name in ["bin", "etc/systemd/system", "run", "source", "srv/www", "usr/local/bin"] {
            fs::create_dir_all(at(name)).expect("directories");
        }
        fs::write(at("srv/www/file"), "a file").expect("a file");
        symlink(document(""), at("source/docs")).expect("a link");
        // Others than root read the files.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("a directory");
        stand_in(&at("bin/cargo"), CARGO);
        stand_in(&at("bin/systemctl"), SYSTEMCTL);
        let path = env::var("PATH").expect("a path of text");
        let path = format!("{}:{}:{path}", at("bin").display(), at("usr/local/bin").display());
        let examples = path_of("http").parent().expect("a directory").to_owned();
        let mut shell = Command::new("sh");
        shell.arg("-eu").current_dir(at("source")).process_group(0);
        shell.env("PATH", path).env("EXAMPLES", examples).env("UNITS", at("etc/systemd/system"));
        shell.env("RUST_LOG", "debug").stdin(Stdio::piped()).stdout(Stdio::piped());
        let log = File::create(at("log")).expect("a file");
        let mut shell = Process::spawn(shell.stderr(log));
        let (tell, output) = channel();
        let lines = BufReader::new(shell.stdout()).lines().map_while(Result::ok);
        thread::spawn(move || lines.into_iter().try_for_each(|line| tell.send(line)));
        let input = shell.stdin();
        Operator { shell, input, output, server: None, reload: String::new(), root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).expect("a log")
    }

    /// A block with the paths, addresses and users of this test.
    fn adapted(&self, block: &str) -> String {
        let root = self.root.path().display();
        let mut block = block.replace("--port 80 ", "--port 0 ");
        block = block.replace("--status 9100", "--status 0").replace("0.0.0.0", "127.0.0.1");
        for directory in ["/usr/local/", "/etc/", "/run/", "/srv/"] {
            block = block.replace(directory, &format!("{root}{directory}"));
        }
        if let Some((_, status)) = self.server {
            block = block.replace("9100", &status.port().to_string());
        }
        block.replace("www-data", NOBODY)
    }

    /// The next line of output.
    fn line(&self, of: &str) -> String {
        let line = self.output.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("{of}: {error}: {}", self.log()))
    }

    /// Runs commands. Returns what they print.
    fn run(&mut self, block: &str) -> String {
        let block = self.adapted(block);
        write!(self.input, "{block}\necho '{DONE}'\n").expect("a shell that reads");
        let lines = std::iter::repeat_with(|| self.line(&block));
        lines.take_while(|line| line != DONE).fold(String::new(), |all, line| all + &line + "\n")
    }

    /// Runs a server in the background. Returns the addresses that it prints.
    fn serve<const N: usize>(&mut self, block: &str) -> [SocketAddr; N] {
        let block = self.adapted(block);
        writeln!(self.input, "{} &", block.trim_end()).expect("a shell that reads");
        [(); N].map(|()| address_in(&self.line(&block)).expect("an address"))
    }

    fn file(&self, name: &str) -> String {
        let file = fs::read_to_string(self.at(name));
        file.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn is_served(&self, at: SocketAddr) -> bool {
        let (head, body) = Client::over(connect(at)).get("/file");
        head.status == 200 && body == b"a file"
    }

    fn install(&mut self, block: &str) {
        self.run(block);
        let manual = self.file("usr/local/share/man/man1/sluicegate-http.1");
        assert!(manual.contains(".TH sluicegate-http 1"), "{manual}");
        let completions = self.file("etc/bash_completion.d/sluicegate-http");
        assert!(completions.contains("-o default sluicegate-http\n"), "{completions}");
    }

    fn start(&mut self, block: &str) {
        let (directory, server) = block.split_once('\n').expect("two commands");
        self.run(directory);
        let [server, status] = self.serve(server);
        self.server = Some((server, status));
        assert!(self.is_served(server));
    }

    fn note_process(&mut self, block: &str) {
        self.run(block);
        let pid = self.run("echo \"$pid\"");
        let program = fs::read_link(format!("/proc/{}/exe", pid.trim())).expect("a process");
        assert_eq!(program, self.at("usr/local/bin/sluicegate-http"));
    }

    fn install_unit(&mut self, block: &str) {
        self.run(block);
        self.verify_unit();
    }

    /// Lets systemd check the unit that was installed, with its drop-ins.
    fn verify_unit(&self) {
        let unit = self.adapted(&self.file("etc/systemd/system/sluicegate-http.service"));
        let checked = self.at("sluicegate-http.service");
        fs::write(&checked, unit).expect("a file");
        if has("systemd-analyze") {
            let outcome = run(Command::new("systemd-analyze").arg("verify").arg(&checked));
            assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
            // In tenths, of 10 for a unit without restrictions.
            let security = ["security", "--offline=true", "--threshold=20"];
            let outcome = run(Command::new("systemd-analyze").args(security).arg(&checked));
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
    }

    fn verify_drop_in(&mut self, block: &str) {
        let drop_ins = self.at("sluicegate-http.service.d");
        fs::create_dir(&drop_ins).expect("a directory");
        fs::write(drop_ins.join("override.conf"), block).expect("a file");
        self.verify_unit();
    }

    fn start_confined(&mut self, block: &str) {
        if !is_root() || !kernel_confines() {
            return;
        }
        let [server] = self.serve(block);
        assert!(self.is_served(server));
        self.run("kill -KILL $!; wait $! || true");
    }

    fn scrape(&mut self, block: &str) {
        let output = self.run(block);
        assert!(output.starts_with("[+] phase: ready\nready\n"), "{output}");
        assert!(output.contains("\nsluicegate_ready 1\n"), "{output}");
    }

    fn show_in_terminal(&mut self, block: &str) {
        let output = self.run(block);
        let frames = output.lines().filter(|line| line.starts_with("http "));
        assert!(frames.clone().all(|line| line.ends_with(", ready")), "{output}");
        assert_eq!(frames.count(), 2, "{output}");
    }

    fn check_prometheus(&mut self, block: &str) {
        let config = self.at("prometheus.yml");
        fs::write(&config, self.adapted(block)).expect("a file");
        fs::copy(document("alerts.yml"), self.at("alerts.yml")).expect("a copy");
        if has("promtool") {
            let outcome = run(Command::new("promtool").args(["check", "config"]).arg(&config));
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
        if has_python_module("yaml") {
            let scraped = &yaml(&config)[0]["scrape_configs"][0]["static_configs"][0]["targets"];
            let (_, status) = self.server.expect("a server");
            assert_eq!(scraped[0], format!("localhost:{}", status.port()));
        }
    }

    fn find_in_log(&mut self, block: &str) {
        let (server, _) = self.server.expect("a server");
        let shape = |line: &str| line.replace(|c: char| c.is_ascii_digit() || c == '.', "");
        assert!(self.is_served(server));
        for line in block.lines().map(shape) {
            eventually(&line, || {
                self.log().lines().any(|logged| shape(logged).ends_with(&line)).then_some(())
            });
        }
    }

    fn reload(&mut self, block: &str) {
        let reloads = |it: &Operator| it.log().matches("configuration was reloaded").count();
        let before = reloads(self);
        self.run(&both(block));
        eventually("a reload", || (reloads(self) > before).then_some(()));
        block.clone_into(&mut self.reload);
    }

    fn serve_with_limits(&mut self, block: &str) {
        let limits = self.at("limits");
        fs::write(&limits, block).expect("a file");
        let server = Server::start(example("hello").arg("--limits").arg(limits));
        assert_eq!(Client::new(&server).get("/").0.status, 200);
    }

    fn upgrade(&mut self, block: &str) {
        let (server, _) = self.server.expect("a server");
        let holder = |operator: &Operator| operator.file("run/sluicegate/control.lock");
        let before = holder(self);
        let is_over = || !Path::new("/proc").join(before.trim()).join("exe").exists();
        self.run(&both(block));
        eventually("the end of the old process", || {
            assert!(self.is_served(server));
            is_over().then_some(())
        });
        eventually("the number of the new process", || (holder(self) != before).then_some(()));
        // The new process is the one that gets the signal.
        let reload = self.reload.clone();
        self.reload(&reload);
    }

    fn verify_socket_unit(&mut self, block: &str) {
        // systemd looks for the service beside it.
        let unit = self.at("sluicegate-http.socket");
        fs::write(&unit, block).expect("a file");
        let installed = self.at("etc/systemd/system/sluicegate-http.socket");
        fs::write(installed, block).expect("a file");
        if has("systemd-analyze") {
            let outcome = run(Command::new("systemd-analyze").arg("verify").arg(&unit));
            assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
        }
    }

    fn stop(&mut self, block: &str) {
        let (server, _) = self.server.expect("a server");
        self.run(&both(block));
        eventually("no listener", || TcpStream::connect(server).is_err().then_some(()));
        let log = self.log();
        assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{log}");
    }

    fn check_haproxy(&mut self, block: &str) {
        let config = self.at("haproxy.cfg");
        let rest =
            "defaults\nmode http\ntimeout connect 1s\ntimeout client 1s\ntimeout server 1s\n";
        fs::write(&config, format!("{rest}listen servers\nbind 127.0.0.1:8000\n{block}"))
            .expect("a file");
        if has("haproxy") {
            let outcome = run(Command::new("haproxy").args(["-c", "-f"]).arg(config));
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
    }
}

/// A block, and the commands that its comments name instead, for systemd.
fn both(block: &str) -> String {
    let others = block.lines().filter_map(|line| Some(line.split_once("# or: ")?.1));
    let others: Vec<_> = others.collect();
    assert_eq!(others.len(), 1, "{block}");
    format!("{}\n{block}", others[0])
}

/// Writes a program that stands in for another.
fn stand_in(path: &Path, script: &str) {
    fs::write(path, script).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("a file");
}

/// Builds nothing: the examples were built with this test.
const CARGO: &str = "#!/bin/sh -eu
[ $# = 5 ] && [ \"$1 $2 $3 $4\" = 'build --release --all-features --example' ]
mkdir -p target/release/examples
ln -sf \"$EXAMPLES/$5\" target/release/examples/
";

/// Does nothing with units but to look for them. A service comes last.
const SYSTEMCTL: &str = "#!/bin/sh -eu
case \"$*\" in
    daemon-reload) exit ;;
    'enable --now '* | 'reload '* | 'stop '* | 'kill --kill-who=main -s USR2 '*) ;;
    *) echo \"systemctl $*\" >&2; exit 1 ;;
esac
for unit; do case $unit in *.socket) [ -f \"$UNITS/$unit\" ] ;; esac; done
[ -f \"$UNITS/$unit.service\" ]
";
