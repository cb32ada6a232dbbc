//! The options of a forwarding service.

use std::time::Duration;

use crate::http::client::ClientOptions;
use crate::upstreams::UpstreamsOptions;

/// How requests are forwarded.
///
/// ```
/// use sluicegate_protocols::forward::{ForwardOptions, HostField, Provenance};
///
/// // Behind another proxy, which replaces what clients say of themselves.
/// let options = ForwardOptions {
///     host: HostField::Origin,
///     x_forwarded: Provenance::Append,
///     ..ForwardOptions::default()
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardOptions {
    /// The options of the connections to the origin. Their
    /// [`body_timeout`](ClientOptions::body_timeout) also ends a silent connection after an
    /// upgrade.
    pub client: ClientOptions,
    /// How one of [several origins](super#several-origins) is chosen, and when it is ejected. The
    /// connections of an origin are the requests that it has not answered completely.
    pub upstreams: UpstreamsOptions,
    /// How the health of each origin is checked. Default: not at all.
    pub health_check: Option<HealthCheck>,
    /// The `Host` that the origin gets. Default: the client's.
    pub host: HostField,
    /// What happens to `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. Default:
    /// [`Replace`](Provenance::Replace).
    pub x_forwarded: Provenance,
    /// What happens to `Forwarded` (RFC 7239). Default: [`Pass`](Provenance::Pass). If the origin
    /// trusts this field, [replace](Provenance::Replace) it.
    pub forwarded: Provenance,
    /// The name of a field in which the origin gets the IP address of the client, such as
    /// `X-Real-IP`. It replaces the field that the client sends, if any. On a Unix socket its value
    /// is `unknown`. Default: none.
    pub client_address: Option<String>,
    /// Further changes to the fields of requests. Default: none.
    pub request_fields: FieldChanges,
    /// Changes to the fields of the origin's responses. Responses that the proxy generates itself,
    /// such as 502, are not changed. Default: none.
    pub response_fields: FieldChanges,
    /// The name of this proxy in `Via`: a host name with or without a port, or a pseudonym. Default
    /// `sluicegate`.
    pub name: String,
    /// The protocols to which connections may be upgraded. Default: `websocket`. Do not add `h2c`:
    /// its requests would reach the origin unchecked.
    pub upgrades: Vec<String>,
    /// Request bodies of known length up to this many bytes are received before they are forwarded,
    /// so that a slow client does not occupy a connection to the origin. The listener's limit
    /// [`max_exact`](sluicegate_reactor::Limits::max_exact) applies too: longer bodies are
    /// streamed, and their requests are not sent again if a connection fails. Default 16 KiB.
    pub whole_body: usize,
}

/// A GET request to each origin at an interval. An origin is
/// [down](crate::upstreams#choosing) after several checks in a row have failed.
///
/// A check succeeds if the status of the response is from 200 to 399. It fails if there is no such
/// response within the interval. Each check opens a connection. Each thread makes its own checks.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_protocols::forward::{ForwardOptions, HealthCheck};
///
/// let check = HealthCheck {
///     interval: Duration::from_secs(2),
///     target: "/readyz".to_owned(),
///     host: Some("www.example".to_owned()),
/// };
/// let options = ForwardOptions { health_check: Some(check), ..ForwardOptions::default() };
/// assert!(options.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The time from one check to the next, longer than zero.
    pub interval: Duration,
    /// The target of the request: an encoded path, with or without a query.
    pub target: String,
    /// The `Host` of the request. `None`: the name and port of the origin.
    pub host: Option<String>,
}

/// Changes to the header fields of the messages of one direction.
///
/// Names are compared without regard to case, and `_` counts as `-`, because programs that map
/// names to variables, as CGI does, cannot tell them apart. The names must be tokens, and the
/// values must not contain control characters. The fields must not be those that the proxy writes
/// itself: the framing, `Date`, `Trailer`, `Via`, and in requests also `Host`, `Expect`,
/// `Max-Forwards` and the fields that other options replace. [`ForwardOptions::check`] reports
/// violations.
///
/// ```
/// use sluicegate_protocols::forward::{FieldChanges, ForwardOptions};
///
/// let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
/// let options = ForwardOptions {
///     // The password is for this proxy.
///     request_fields: FieldChanges {
///         remove: vec!["Authorization".to_owned()],
///         set: vec![field("X-Frontend", "a")],
///         ..FieldChanges::default()
///     },
///     response_fields: FieldChanges {
///         remove: vec!["Server".to_owned()],
///         ..FieldChanges::default()
///     },
///     ..ForwardOptions::default()
/// };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldChanges {
    /// The names of the fields to remove, including from trailers and interim responses.
    pub remove: Vec<String>,
    /// The names and values of fields that replace those with the same name.
    pub set: Vec<(String, String)>,
    /// The names and values of fields to add, even if there are others with the same name.
    pub add: Vec<(String, String)>,
}

/// The `Host` field of forwarded requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostField {
    /// That of the client's request.
    #[default]
    Keep,
    /// The name and port of the origin.
    Origin,
}

/// What happens to the fields that state where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// The address of the client is appended to the list in the request. Protocol and host describe
    /// the connection to the first proxy: they are added only if they are absent.
    ///
    /// This is for a proxy that only other proxies can reach, of which the first one replaces the
    /// fields. A client that reaches this one itself can forge them, including the protocol and the
    /// host; then the origin can trust only the last element of the list.
    Append,
    /// The client's fields are replaced, so the origin can trust the fields that it gets. This is
    /// for the outermost proxy. Behind another one, the fields name that proxy instead of the
    /// client.
    Replace,
    /// The client's fields are forwarded unchanged.
    Pass,
}

impl Default for ForwardOptions {
    fn default() -> ForwardOptions {
        ForwardOptions {
            client: ClientOptions::default(),
            upstreams: UpstreamsOptions::default(),
            health_check: None,
            host: HostField::Keep,
            x_forwarded: Provenance::Replace,
            forwarded: Provenance::Pass,
            client_address: None,
            request_fields: FieldChanges::default(),
            response_fields: FieldChanges::default(),
            name: "sluicegate".to_owned(),
            upgrades: vec!["websocket".to_owned()],
            whole_body: 16 << 10,
        }
    }
}
