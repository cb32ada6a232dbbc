//! Servers that speak HTTP.

use super::common::Server;

/// Offers HTTP to the clients of TLS. Returns the scheme of the server's URLs.
pub(crate) fn scheme(server: &mut Server) -> &'static str {
    server.protocol = Some("http/1.1");
    if server.tls.is_on() { "https" } else { "http" }
}
