//! TLS at both ends of simulated connections.

use std::sync::{Arc, LazyLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;
use sluicegate_reactor::testing::through;
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Target};

use crate::tls::{
    Acceptor, AcceptorOptions, Connector, ConnectorOptions, Identity, Roots, Version,
};

/// Runs `test` with TLS at both ends of the connections: those of every [`Harness`] and every
/// [`Sim`] that it makes. It calls [`through`] with a [`server_end`] and a [`client_end`].
///
/// [`Harness`]: sluicegate_reactor::testing::Harness
/// [`Sim`]: sluicegate_reactor::testing::Sim
///
/// # Panics
/// If there is no version.
pub fn over_tls<T>(versions: &[Version], test: impl FnOnce() -> T) -> T {
    through(server_end(versions), client_end(), test)
}

/// Makes the server's end of simulated connections. Each connection uses one of these versions,
/// depending on the port of its client.
///
/// The lengths of all messages in a handshake are independent of keys and random numbers, so a
/// [seed](sluicegate_reactor::testing#running-seeds) of a simulation repeats its run.
///
/// # Panics
/// If there is no version.
#[must_use]
pub fn server_end(versions: &[Version]) -> Factory<Address> {
    let acceptors: Vec<Factory<Address>> = versions.iter().copied().map(acceptor).collect();
    assert!(!acceptors.is_empty(), "a server needs a version of TLS");
    Factory::new(move |client: &Address| {
        let port = usize::from(client.port().unwrap_or_default());
        acceptors[port % acceptors.len()].make(client)
    })
}

/// Makes the client's end of simulated connections, which trusts the certificate of a
/// [`server_end`]. It resumes no sessions, since they would depend on earlier connections.
#[must_use]
pub fn client_end() -> Factory<Address> {
    static FACTORY: LazyLock<Factory<Address>> = LazyLock::new(|| {
        let roots = Roots::only(&IDENTITY).expect("its certificate is good");
        let name = Some("localhost".into());
        let options = ConnectorOptions { roots, name, ..ConnectorOptions::default() };
        let mut connector = Connector::new(options).expect("a good name");
        Arc::make_mut(&mut connector.config).resumption = Resumption::disabled();
        let factory = connector.factory();
        Factory::new(move |address: &Address| factory.make(&Target::from(address)))
    });
    FACTORY.clone()
}

/// The acceptors are made once, since each has keys for its tickets.
fn acceptor(version: Version) -> Factory<Address> {
    static FACTORIES: LazyLock<[Factory<Address>; 2]> =
        LazyLock::new(|| [Version::Tls12, Version::Tls13].map(make_acceptor));
    FACTORIES[usize::from(version == Version::Tls13)].clone()
}

fn make_acceptor(version: Version) -> Factory<Address> {
    let (identities, versions) = (vec![IDENTITY.clone()], vec![version]);
    let options = AcceptorOptions { identities, versions, ..AcceptorOptions::default() };
    Acceptor::new(options).expect("an identity and a version").factory()
}

/// Signatures of Ed25519 are of one length, and so are certificates with a given serial number.
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("random numbers");
    let mut params = CertificateParams::new(["localhost".into()]).expect("a good name");
    params.serial_number = Some(1.into());
    let certificate = params.self_signed(&key).expect("good parameters");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Identity::new(vec![certificate.der().clone()], key).expect("a key and its certificate")
});
