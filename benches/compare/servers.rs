//! Which servers there are, how they are configured, started, measured and ended.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::CertifiedKey;
use rustix::process::{Pid, Signal, getuid, kill_process};

use crate::workloads::{Content, Workload};

/// The server of `ws`.
const WS: &str = include_str!("baselines/websocket/ws.js");

/// A program that is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Sluicegate,
    Bare,
    Nginx,
    H2o,
    Lighttpd,
    Haproxy,
    Tungstenite,
    Ws,
}

/// All of them, the one that the others are compared with first.
pub(crate) const ALL: [Program; 8] = [
    Program::Sluicegate,
    Program::Bare,
    Program::Nginx,
    Program::H2o,
    Program::Lighttpd,
    Program::Haproxy,
    Program::Tungstenite,
    Program::Ws,
];

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Sluicegate => "sluicegate",
            Program::Bare => "bare",
            Program::Nginx => "nginx",
            Program::H2o => "h2o",
            Program::Lighttpd => "lighttpd",
            Program::Haproxy => "haproxy",
            Program::Tungstenite => "tungstenite",
            Program::Ws => "ws",
        }
    }

    /// Whether it can do this at all.
    pub(crate) fn offers(self, workload: &Workload) -> bool {
        let Workload { content, tls, .. } = *workload;
        match self {
            Program::Bare | Program::H2o | Program::Lighttpd if tls => false,
            Program::Sluicegate | Program::Bare => true,
            Program::Nginx => {
                matches!(content, Content::Hello | Content::File(_) | Content::Upload(_))
            }
            Program::H2o | Program::Lighttpd => {
                matches!(content, Content::Hello | Content::File(_))
            }
            Program::Haproxy => matches!(content, Content::Relay { .. }),
            Program::Tungstenite | Program::Ws => matches!(content, Content::WebSocket),
        }
    }

    /// Where its executable is; `None` if it is not installed.
    pub(crate) fn executable(self, content: Content) -> io::Result<Option<PathBuf>> {
        let this = std::env::current_exe()?;
        let path = match self {
            Program::Bare | Program::Tungstenite => Some(this),
            Program::Sluicegate => {
                let example = match content {
                    Content::WebSocket => return Ok(Some(this)),
                    Content::Echo | Content::Sink => "echo",
                    Content::Hello => "hello",
                    Content::File(_) | Content::Upload(_) => "http",
                    Content::Relay { .. } => "proxy",
                };
                // This program is target/release/deps/compare-HASH.
                this.ancestors().nth(2).map(|release| release.join("examples").join(example))
            }
            Program::Ws => {
                let node = Path::new("/usr/bin/node");
                node_path().join("ws").exists().then(|| node.to_owned())
            }
            // Servers are installed where only the super-user's PATH leads.
            Program::Nginx | Program::H2o | Program::Lighttpd | Program::Haproxy => {
                ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
                    .iter()
                    .map(|folder| Path::new(folder).join(self.name()))
                    .find(|path| path.exists())
            }
        };
        Ok(path.filter(|path| path.exists()))
    }

    /// How to start it. Writes its configuration.
    fn command(self, executable: &Path, site: &Site<'_>, port: u16) -> io::Result<Command> {
        let folder = site.folder;
        let www = folder.join("www");
        let file = www.join(site.content.file());
        let mut command = Command::new(executable);
        match (self, site.content) {
            (Program::Sluicegate, Content::File(_)) => command.arg(www),
            (Program::Sluicegate, Content::Upload(_)) => command.arg(www).arg("--upload"),
            (Program::Sluicegate, Content::WebSocket) => command.args(["--serve", "ws-sluicegate"]),
            (Program::Sluicegate, _) => &mut command,
            (Program::Tungstenite, _) => command.args(["--serve", "ws-tungstenite"]),
            (Program::Ws, _) => {
                command.env("NODE_PATH", node_path()).args(["-e", WS, &port.to_string()])
            }
            (Program::Bare, Content::WebSocket) => command.args(["--serve", "ws"]),
            (Program::Bare, Content::Echo) => command.args(["--serve", "echo"]),
            (Program::Bare, Content::Sink) => command.args(["--serve", "sink"]),
            (Program::Bare, Content::Relay { bulk: false }) => command.args(["--serve", "relay"]),
            (Program::Bare, Content::Relay { bulk: true }) => command.args(["--serve", "splice"]),
            (Program::Bare, Content::Hello) => command.args(["--serve", "http"]),
            (Program::Bare, Content::File(_)) => {
                command.args(["--serve", "http", "--path"]).arg(file)
            }
            (Program::Bare, Content::Upload(length)) => {
                command.args(["--serve", "upload", "--path"]).arg(www);
                command.arg("--length").arg(length.to_string())
            }
            (Program::Nginx, _) => {
                let path = folder.join("nginx.conf");
                fs::write(&path, nginx(site, port))?;
                command.arg("-c").arg(path).arg("-p").arg(folder).args(["-e", "nginx.error"])
            }
            (Program::H2o, _) => {
                let path = folder.join("h2o.conf");
                fs::write(&path, h2o(site, port))?;
                command.args(["-m", "worker", "-c"]).arg(path)
            }
            (Program::Lighttpd, _) => {
                let path = folder.join("lighttpd.conf");
                fs::write(&path, lighttpd(site, port))?;
                command.arg("-D").arg("-f").arg(path)
            }
            (Program::Haproxy, _) => {
                let path = folder.join("haproxy.conf");
                fs::write(&path, haproxy(site, port))?;
                command.args(["-db", "-q", "-f"]).arg(path)
            }
        };
        if matches!(self, Program::Sluicegate | Program::Bare | Program::Tungstenite) {
            command.arg("--port").arg(port.to_string());
            if let Some(behind) = site.behind {
                command.arg("--to").arg(behind.to_string());
            }
            if site.tls {
                let identity = site.identity();
                command.arg("--tls-cert").arg(&identity).arg("--tls-key").arg(&identity);
            }
        }
        Ok(command)
    }
}

/// What is served, and a folder for everything that a server reads or writes; what it serves is
/// in `www`.
pub(crate) struct Site<'a> {
    pub(crate) content: Content,
    /// Whether it is served over TLS.
    pub(crate) tls: bool,
    pub(crate) folder: &'a Path,
    /// The server behind a relay.
    pub(crate) behind: Option<SocketAddr>,
}

impl Site<'_> {
    /// The PEM file with the certificate and its key.
    pub(crate) fn identity(&self) -> PathBuf {
        self.folder.join("identity.pem")
    }

    /// Writes the files to be served, and for TLS a certificate that signs itself.
    pub(crate) fn write(&self) -> io::Result<()> {
        if self.tls {
            let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()]);
            let CertifiedKey { cert, signing_key } = made.map_err(io::Error::other)?;
            fs::write(self.identity(), cert.pem() + &signing_key.serialize_pem())?;
        }
        let www = self.folder.join("www");
        fs::create_dir_all(&www)?;
        let mut file = File::create(www.join(self.content.file()))?;
        let written = match self.content {
            Content::File(length) => io::copy(&mut io::repeat(b'x').take(length), &mut file),
            _ => io::copy(&mut Content::HELLO.as_bytes(), &mut file),
        };
        written?;
        // Nothing is to be written back while a server is measured.
        file.sync_all()
    }
}

/// Where Node.js finds its modules: those of Debian's packages, unless the environment says.
fn node_path() -> PathBuf {
    std::env::var_os("NODE_PATH").unwrap_or_else(|| "/usr/share/nodejs".into()).into()
}

fn nginx(site: &Site<'_>, port: u16) -> String {
    let folder = site.folder.display();
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(temporary, "  {kind}_temp_path {folder}/nginx.{kind};");
    }
    // It reads a file that fits in one of its buffers faster than it sends it with sendfile.
    let sendfile = match site.content {
        Content::File(length) if length > 32 << 10 => "on",
        _ => "off",
    };
    let location = match site.content {
        Content::File(_) => String::new(),
        Content::Upload(_) => "client_max_body_size 0;
    client_body_buffer_size 256k;
    location / { dav_methods PUT; }"
            .into(),
        _ => format!("location / {{ return 200 \"{}\"; }}", Content::HELLO),
    };
    let mut ssl = String::new();
    if site.tls {
        let pem = site.identity();
        let pem = pem.display();
        ssl = format!(
            " ssl;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    ssl_protocols TLSv1.3"
        );
    }
    let user = if getuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error crit;
events {{ worker_connections 2000; use epoll; }}
http {{
{temporary}
  access_log off;
  default_type text/plain;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  sendfile {sendfile};
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=1000 inactive=60s;
  open_file_cache_valid 60s;
  server {{
    listen 127.0.0.1:{port} backlog=4096{ssl};
    root {folder}/www;
    {location}
  }}
}}
"
    )
}

fn h2o(site: &Site<'_>, port: u16) -> String {
    let folder = site.folder.display();
    let user = if getuid().is_root() { "user: root" } else { "" };
    format!(
        "{user}
num-threads: 1
max-connections: 2000
pid-file: {folder}/h2o.pid
error-log: {folder}/h2o.error
http1-request-timeout: 300
tcp-fastopen: 0
listen: {{ host: 127.0.0.1, port: {port} }}
file.send-compressed: OFF
hosts: {{ default: {{ paths: {{ /: {{ file.dir: {folder}/www }} }} }} }}
"
    )
}

fn lighttpd(site: &Site<'_>, port: u16) -> String {
    let folder = site.folder.display();
    format!(
        "server.document-root = \"{folder}/www\"
server.bind = \"127.0.0.1\"
server.port = {port}
server.errorlog = \"{folder}/lighttpd.error\"
server.pid-file = \"{folder}/lighttpd.pid\"
server.event-handler = \"linux-sysepoll\"
server.network-backend = \"sendfile\"
server.max-fds = 4000
server.max-connections = 2000
server.listen-backlog = 4096
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 300
mimetype.assign = ( \"\" => \"text/plain\" )
"
    )
}

fn haproxy(site: &Site<'_>, port: u16) -> String {
    let behind = site.behind.map(|address| address.to_string()).unwrap_or_default();
    let mut ssl = String::new();
    if site.tls {
        ssl = format!(" ssl crt {} ssl-min-ver TLSv1.3", site.identity().display());
    }
    format!(
        "global
  nbthread 1
  maxconn 2000
  tune.bufsize 65536
  tune.pipesize 262144
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen relay
  bind 127.0.0.1:{port} backlog 4096{ssl}
  server behind {behind}
"
    )
}

/// A running server. Dropping it ends its processes.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Longest time for a server to start, and to end.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(
        program: Program,
        executable: &Path,
        site: &Site<'_>,
    ) -> io::Result<Server> {
        // A free port, if no other process takes it in between.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let output = site.folder.join(program.name()).with_extension("output");
        let log = File::create(&output)?;
        let process = program
            .command(executable, site, address.port())?
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Server { process, address };
        let end = Instant::now() + Server::PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end || server.process.try_wait()?.is_some() {
                let output = fs::read_to_string(output)?;
                return Err(io::Error::other(format!("it does not start: {}", output.trim())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// CPU time of all its threads and processes so far, in nanoseconds.
    pub(crate) fn cpu_time(&self) -> io::Result<u64> {
        let mut time = 0;
        for process in self.processes()? {
            for task in tasks(process)? {
                time += first_number(&task.join("schedstat"))?;
            }
        }
        Ok(time)
    }

    /// Its process and the children of it.
    fn processes(&self) -> io::Result<Vec<u32>> {
        let mut processes = vec![self.process.id()];
        let mut looked_at = 0;
        while let Some(&process) = processes.get(looked_at) {
            for task in tasks(process)? {
                let children = read(&task.join("children"))?;
                processes.extend(children.split_whitespace().flat_map(str::parse::<u32>));
            }
            looked_at += 1;
        }
        Ok(processes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let processes = self.processes().unwrap_or_default();
        signal(self.process.id(), Signal::TERM);
        let end = Instant::now() + Server::PATIENCE;
        while let Ok(None) = self.process.try_wait() {
            if Instant::now() > end {
                for &process in &processes {
                    signal(process, Signal::KILL);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Sends a signal to a process, which may have ended.
fn signal(process: u32, signal: Signal) {
    if let Some(process) = Pid::from_raw(process as i32) {
        let _ = kill_process(process, signal);
    }
}

/// The folders of a process's threads in /proc.
fn tasks(process: u32) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(format!("/proc/{process}/task"))?.map(|task| Ok(task?.path())).collect()
}

/// The first number of a file.
fn first_number(path: &Path) -> io::Result<u64> {
    let text = read(path)?;
    let number = text.split_whitespace().next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{}: no number", path.display())))
}

/// A file of /proc.
fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
