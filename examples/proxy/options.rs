//! The options of the proxy, and what they mean to the library.

use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use sluicegate_protocols::forward::{FieldChanges, ForwardOptions, HostField, Provenance};
use sluicegate_protocols::http::client::ClientOptions;
use sluicegate_protocols::proxy_protocol::Version;
use sluicegate_reactor::{Connect, Limits, Target};

use super::common;
use super::http_options::{Log, header};

const EXAMPLES: &str = "\
Examples:
  proxy --to db.example:5432 --port 5432  pass on every connection
  proxy --http localhost:3000 --access-log -
                                          pass on HTTP requests, and print a line for each
  proxy --http unix:/run/app.sock --x-forwarded replace --header-up Authorization:
                                          be the outermost proxy, and keep passwords here

On SIGHUP it opens the access log again. On SIGINT or SIGTERM it ends once
responses are sent; a second signal ends it immediately.";

/// Forwards every connection to one target, or every HTTP request.
#[derive(Parser)]
#[command(name = "proxy", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) target: Forwarded,
    /// Time to wait for a connection to the target.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = common::units::time)]
    connect_timeout: Duration,
    /// Begin each connection to the target of --to with a PROXY protocol header of this version,
    /// which tells it the address of the client.
    #[arg(long, value_name = "VERSION", conflicts_with = "http")]
    pub(crate) send_proxy: Option<SendProxy>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) server: common::Server,
}

/// What is forwarded, and where.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Forwarded {
    /// Target of connections: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: Option<Target>,
    /// Target of HTTP requests: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "TARGET")]
    pub(crate) http: Option<Target>,
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

/// What is changed in HTTP messages.
#[derive(Args)]
#[command(next_help_heading = "Header fields")]
struct Fields {
    /// Header field for requests, such as `X-Frontend: a`, in place of the client's. Without a
    /// value, as in `Authorization:`, the field is removed. May be repeated.
    #[arg(long, value_name = "NAME:[VALUE]", conflicts_with = "to", value_parser = header)]
    header_up: Vec<(String, String)>,
    /// The same for responses, such as `Strict-Transport-Security: max-age=31536000`. Responses
    /// that the proxy makes itself, such as 502, do not have it.
    #[arg(long, value_name = "NAME:[VALUE]", conflicts_with = "to", value_parser = header)]
    header_down: Vec<(String, String)>,
    /// What happens to X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host of clients.
    #[arg(long, value_name = "MODE", conflicts_with = "to", value_enum, default_value_t = Mode::Append)]
    x_forwarded: Mode,
    /// Field in which the target gets the address of the client, such as X-Real-IP.
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    client_address: Option<String>,
    /// Send the name of the target as Host, in place of the client's.
    #[arg(long, conflicts_with = "to")]
    change_host: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Add the client to the list: for a proxy behind others.
    Append,
    /// Replace what the client says: for the outermost proxy.
    Replace,
    /// Leave them as they are.
    Pass,
}

impl Options {
    /// The limits of connections, on both sides.
    pub(crate) fn limits(&self) -> Limits {
        // A long body is relayed, except for what arrives with its head: keep that short.
        self.server.limits(Limits { receive_most: 32 << 10, ..Limits::default() })
    }

    pub(crate) fn connect(&self) -> Connect {
        let (timeout, limits) = (self.connect_timeout, self.limits());
        Connect { timeout, limits, ..Connect::default() }
    }

    pub(crate) fn forward(&self) -> ForwardOptions {
        let mut client = ClientOptions { connect: self.connect(), ..ClientOptions::default() };
        if let Some(idle) = client.connect.limits.idle {
            (client.response_timeout, client.body_timeout) = (idle, idle);
        }
        let Fields { header_up, header_down, x_forwarded, client_address, change_host } =
            &self.fields;
        ForwardOptions {
            client,
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
        }
    }
}

/// Fields without a value are removed.
fn changes(fields: &[(String, String)]) -> FieldChanges {
    let (removed, set): (Vec<_>, Vec<_>) =
        fields.iter().cloned().partition(|(_, value)| value.is_empty());
    let remove = removed.into_iter().map(|(name, _)| name).collect();
    FieldChanges { remove, set, ..FieldChanges::default() }
}
