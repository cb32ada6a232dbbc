//! The options of the proxy, and their conversion to those of the library.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use sluicegate_protocols::forward::{FieldChanges, ForwardOptions, HostField, Provenance};
use sluicegate_protocols::http::HttpLimits;
use sluicegate_protocols::http::client::ClientOptions;
use sluicegate_protocols::proxy_protocol::Version;
use sluicegate_reactor::{Connect, Limits};

use super::balance::{Balancing, Source};
use super::common::{self, Failure};
use super::http_options::{Log, header};
use super::target::{NamedTarget, ProxyTarget, UpstreamTls, check_schemes, named_target};

const EXAMPLES: &str = "\
Examples:
  proxy --to db.example:5432 --port 5432 --idle-timeout 1h
                                          relay every connection, and let clients keep idle ones
  proxy --to 10.0.0.1:9000 --to 10.0.0.2:9000 --balance least-connections --check 2s
                                          balance connections across healthy servers
  proxy --http 10.0.0.1:80 --http 10.0.0.2:80 --check 2s --check-path /healthz
                                          balance HTTP requests across healthy servers
  proxy --http localhost:3000 --access-log -
                                          forward HTTP requests, and print one line per request
  proxy --http unix:/run/app.sock --header-up Authorization:
                                          forward HTTP requests without passwords
  proxy --http localhost:3000 --x-forwarded append
                                          stand behind another proxy, and keep the client's address
  proxy --to tls://db.example:5433 --upstream-ca ca.pem
                                          encrypt connections, and verify the target
  proxy --port 443 --bind :: --sni a.example=10.0.0.1:443 --sni '*=10.0.0.2:443'
                                          relay TLS by the server name that clients request

On SIGHUP, the program reopens the access log, and reloads the files of
--tls-cert, --limits and --to-file. Targets that were removed from the file get
no new connections, and the existing ones can finish. On SIGUSR1, with --to or
--to-file, the program prints a table of its targets.
On SIGINT or SIGTERM, it exits once responses are sent; a second signal stops it
immediately.";

/// Forwards every connection to one of its targets, or every HTTP request.
#[derive(Parser)]
#[command(name = "proxy", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) target: Forwarded,
    /// Time limit for connecting to one target. A TLS handshake may take another 10 s. When either
    /// time has passed, the next target is tried.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = common::units::time)]
    connect_timeout: Duration,
    /// Close a relayed connection after this long without traffic once one side has ended its
    /// direction, if that is shorter than --idle-timeout.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = common::units::time)]
    half_closed_timeout: Duration,
    /// Start each connection to a target of --to or --sni with a PROXY protocol header of this
    /// version, which contains the address of the client. It precedes TLS.
    #[arg(long, value_name = "VERSION", conflicts_with = "http")]
    pub(crate) send_proxy: Option<SendProxy>,
    #[command(flatten)]
    pub(crate) balancing: Balancing,
    #[command(flatten)]
    upstream_tls: UpstreamTls,
    #[command(flatten)]
    messages: Messages,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) server: common::Server,
}

/// What is forwarded, and where.
#[derive(Args, Clone)]
#[group(required = true, multiple = false)]
pub(crate) struct Forwarded {
    /// Target of connections: HOST:PORT, unix:PATH, or tls://HOST:PORT for TLS. May be repeated.
    #[arg(long, value_name = "TARGET", value_delimiter = ',')]
    #[arg(value_parser = ProxyTarget::of_connections)]
    pub(crate) to: Vec<ProxyTarget>,
    /// File with one target of connections per line, instead of --to.
    #[arg(long, value_name = "FILE")]
    pub(crate) to_file: Option<PathBuf>,
    /// Target of HTTP requests: HOST:PORT, unix:PATH, or https://HOST[:PORT] for TLS. May be
    /// repeated. If it is silent for --idle-timeout, the client gets 504, or a reset within a
    /// response.
    #[arg(long, value_name = "TARGET", value_delimiter = ',')]
    #[arg(value_parser = ProxyTarget::of_requests)]
    pub(crate) http: Vec<ProxyTarget>,
    /// Target of TLS connections to the server NAME, which are relayed without being decrypted.
    /// `*.NAME` matches all names that end with .NAME, and `*` everything else. May be repeated.
    #[arg(long, value_name = "NAME=TARGET", value_delimiter = ',', value_parser = named_target)]
    pub(crate) sni: Vec<NamedTarget>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SendProxy {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl From<SendProxy> for Version {
    fn from(version: SendProxy) -> Version {
        match version {
            SendProxy::V1 => Version::V1,
            SendProxy::V2 => Version::V2,
        }
    }
}

/// The least that --max-response-head may be, in bytes.
const MIN_HEAD: u64 = 1 << 10;

/// The options that relay bytes, with which those for HTTP messages conflict.
const RELAYS: [&str; 3] = ["to", "to_file", "sni"];

/// How HTTP messages are forwarded.
#[derive(Args)]
#[command(next_help_heading = "HTTP")]
struct Messages {
    /// Header field for requests, such as `X-Frontend: a`, which replaces the client's. Without a
    /// value, as in `Authorization:`, the field is removed. May be repeated.
    #[arg(long, value_name = "NAME:[VALUE]", value_parser = header)]
    #[arg(conflicts_with_all = RELAYS)]
    header_up: Vec<(String, String)>,
    /// The same for responses, such as `Strict-Transport-Security: max-age=31536000`. Not applied
    /// to responses that the proxy generates itself, such as 502.
    #[arg(long, value_name = "NAME:[VALUE]", value_parser = header)]
    #[arg(conflicts_with_all = RELAYS)]
    header_down: Vec<(String, String)>,
    /// How to handle the fields X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host of clients.
    /// The field Forwarded is passed; `--header-up Forwarded:` removes it.
    #[arg(long, value_name = "MODE", conflicts_with_all = RELAYS)]
    #[arg(value_enum, default_value_t = Mode::Replace)]
    x_forwarded: Mode,
    /// Name of a field in which the target gets the client's address, such as X-Real-IP.
    #[arg(long, value_name = "NAME", conflicts_with_all = RELAYS)]
    client_address: Option<String>,
    /// Send the name of the target as Host, instead of the client's Host.
    #[arg(long, conflicts_with_all = RELAYS)]
    change_host: bool,
    /// Maximum length of a request body; longer ones get 413. By default only the target decides.
    #[arg(long, value_name = "SIZE", conflicts_with_all = RELAYS)]
    #[arg(value_parser = common::units::size)]
    max_body: Option<u64>,
    /// Maximum length of the head of a response, which may have 256 fields. If it is longer, the
    /// client gets 502.
    #[arg(long, value_name = "SIZE", default_value = "32K")]
    #[arg(value_parser = common::units::size, conflicts_with_all = RELAYS)]
    max_response_head: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Append the client to the list, and keep the others: for a proxy that only other proxies can
    /// reach. Clients could forge them.
    Append,
    /// Replace the client's fields: for the outermost proxy.
    Replace,
    /// Forward the fields unchanged.
    Pass,
}

impl Options {
    /// The default limits of connections, on both sides.
    pub(crate) fn limits(&self) -> Limits {
        let defaults = Limits::default();
        let relays_requests = !self.target.http.is_empty();
        Limits {
            // A long body is relayed, except for what arrives with its head: keep that short.
            receive_most: 32 << 10,
            half_closed: Some(self.half_closed_timeout),
            // A relay whose reader takes nothing is idle, so --idle-timeout limits that as well.
            // The client of a database may pause for minutes within a result.
            write_stall: defaults.write_stall.filter(|_| relays_requests),
            ..defaults
        }
    }

    /// Allows in the sandbox what the proxy needs.
    pub(crate) fn allow(&mut self) {
        let sandbox = self.server.privileges.allowed.connect();
        if let Some(file) = &self.target.to_file {
            sandbox.read_again(file);
        }
        self.log.allow(sandbox);
    }

    /// Where the targets come from.
    pub(crate) fn source(&self) -> Source {
        let Forwarded { to, to_file, http, .. } = &self.target;
        match to_file {
            Some(path) => Source::File(path.clone()),
            None => Source::Targets(if http.is_empty() { to } else { http }.clone()),
        }
    }

    /// How these targets are connected to.
    pub(crate) fn connect(&self, to: &[ProxyTarget]) -> Result<Connect, Failure> {
        let protocol = (!self.target.http.is_empty()).then_some("http/1.1");
        let transport = self.upstream_tls.transport(to.first(), protocol)?;
        if let Some(transport) = &transport {
            to.iter().try_for_each(|to| transport.make(&to.target).map(drop))?;
        }
        let timeout = self.connect_timeout;
        let mut limits = self.server.connections.options().limits(self.limits());
        let tcp = common::connections::tcp_options(limits.idle);
        if protocol.is_none() {
            // Both sides of a relay are idle together, and the limits of clients can be reloaded.
            limits.idle = None;
        }
        // The listener limits the clients, and each has at most one connection.
        let max_connections = u32::MAX;
        Ok(Connect { timeout, limits, transport, max_connections, tcp, ..Connect::default() })
    }

    pub(crate) fn http_limits(&self) -> HttpLimits {
        HttpLimits { body: self.messages.max_body.unwrap_or(u64::MAX), ..HttpLimits::default() }
    }

    pub(crate) fn forward(&self) -> Result<ForwardOptions, Failure> {
        check_schemes(&self.target.http)?;
        if self.messages.max_response_head < MIN_HEAD {
            return Err(format!("--max-response-head is less than {MIN_HEAD} bytes").into());
        }
        let connect = self.connect(&self.target.http)?;
        let mut client = ClientOptions {
            connect,
            // Each client has at most one, and --per-target limits them too.
            connections: usize::MAX,
            head: u32::try_from(self.messages.max_response_head).unwrap_or(u32::MAX) as usize,
            headers: 256,
            ..ClientOptions::default()
        };
        // Without an idle timeout, the client has no deadlines of its own either.
        let idle = client.connect.limits.idle.unwrap_or(Duration::MAX);
        (client.response_timeout, client.body_timeout) = (idle, idle);
        let Messages { header_up, header_down, x_forwarded, client_address, change_host, .. } =
            &self.messages;
        if header_up.iter().any(|(name, _)| name.eq_ignore_ascii_case("Host")) {
            return Err("--header-up cannot replace Host; --change-host sends the target's".into());
        }
        Ok(ForwardOptions {
            client,
            upstreams: self.balancing.upstreams(),
            health_check: self.balancing.health_check(),
            host: if *change_host { HostField::Origin } else { HostField::Keep },
            x_forwarded: match x_forwarded {
                Mode::Append => Provenance::Append,
                Mode::Replace => Provenance::Replace,
                Mode::Pass => Provenance::Pass,
            },
            client_address: client_address.clone(),
            request_fields: changes(header_up),
            response_fields: changes(header_down),
            ..ForwardOptions::default()
        })
    }
}

/// Fields without a value are removed.
fn changes(fields: &[(String, String)]) -> FieldChanges {
    let (removed, set): (Vec<_>, Vec<_>) =
        fields.iter().cloned().partition(|(_, value)| value.is_empty());
    let remove = removed.into_iter().map(|(name, _)| name).collect();
    FieldChanges { remove, set, ..FieldChanges::default() }
}
