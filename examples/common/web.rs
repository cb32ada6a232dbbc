//! Servers that speak HTTP.

use super::common::Server;

/// Offers HTTP to the clients of TLS, also to those that offer only HTTP/1.0, such as `curl
/// --http1.0`. Returns the scheme of the server's URLs.
pub(crate) fn scheme(server: &mut Server) -> &'static str {
    server.protocols = &["http/1.1", "http/1.0"];
    if server.tls.is_on() { "https" } else { "http" }
}
