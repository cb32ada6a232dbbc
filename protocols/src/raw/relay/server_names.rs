//! Relaying TLS by the name of the server, without decrypting it.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use sluicegate_reactor::{Context, Target};

use super::choose::{Choice, Choose};
use crate::tls::{ClientHello, is_server_name};

#[cfg(all(test, feature = "testing", feature = "tls-self-signed"))]
mod tests;

/// Chooses the target of a TLS client by the server name that the client requests (SNI). TLS is not
/// decrypted: the target has the certificate.
///
/// If there is no target for the name, the client gets the alert `unrecognized_name`. A client that
/// does not speak TLS gets `decode_error`.
///
/// ```
/// use sluicegate_protocols::raw::relay::{Relay, ServerNames};
/// use sluicegate_reactor::{Connect, Listen, Reactor};
///
/// # fn main() -> std::io::Result<()> {
/// let mut names = ServerNames::default();
/// names.add("www.example.org", "10.0.0.1:443".parse()?)?;
/// names.add("*.example.org", "10.0.0.2:443".parse()?)?;
/// names.add("*", "10.0.0.3:443".parse()?)?;
/// let mut reactor = Reactor::new()?;
/// let relay = Relay::register(&mut reactor, names, &Connect::default(), None)?;
/// reactor.listen("127.0.0.1:0", &Listen::default(), relay)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerNames {
    /// By name. The name of a wildcard begins with its dot, and that of the default is empty.
    targets: HashMap<Box<str>, Rc<Target>>,
}

/// The alert `unrecognized_name`, which is fatal (RFC 6066, section 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The alert `decode_error`, which is fatal (RFC 8446, section 6.2).
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

impl ServerNames {
    /// Adds the target of a name. `*.example.org` matches all names that end with `.example.org`,
    /// and `*` matches all names and clients that request none. The longest match wins. Case does
    /// not matter.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if the name is not one of these, or has a target already.
    pub fn add(&mut self, name: &str, target: Target) -> io::Result<()> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} {why}"));
        if name != "*" && !is_server_name(name.strip_prefix("*.").unwrap_or(name)) {
            return Err(invalid("is neither the name of a server, nor *.NAME, nor *"));
        }
        let key = name.strip_prefix('*').unwrap_or(name);
        match self.targets.insert(key.to_ascii_lowercase().into(), Rc::new(target)) {
            None => Ok(()),
            Some(_) => Err(invalid("has two targets")),
        }
    }

    /// The target of a name in lower case, or of clients that ask for none.
    fn find(&self, name: Option<&str>) -> Option<&Rc<Target>> {
        let name = name.unwrap_or_default();
        let dots = name.match_indices('.').map(|(at, _)| &name[at..]);
        let mut names = [name].into_iter().chain(dots).chain([""]);
        names.find_map(|name| self.targets.get(name))
    }
}

impl Choose for ServerNames {
    fn choose(&mut self, _: &Context<'_>, first: &[u8]) -> Choice {
        let hello = match ClientHello::parse(first) {
            Ok(None) => return Choice::Wait,
            Ok(Some(hello)) => hello,
            Err(error) => {
                return Choice::Refuse { reason: error.to_string().into(), reply: &DECODE_ERROR };
            }
        };
        match self.find(hello.server_name()) {
            Some(target) => {
                let authority = hello.server_name().map(Box::from);
                Choice::Connect { target: target.clone(), authority }
            }
            None => {
                let reason = match hello.server_name() {
                    Some(name) => format!("there is no target for {name}").into(),
                    None => "it requests no server name, and there is no default target".into(),
                };
                Choice::Refuse { reason, reply: &UNRECOGNIZED_NAME }
            }
        }
    }
}
