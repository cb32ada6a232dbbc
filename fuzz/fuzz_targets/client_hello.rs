//! Bytes in place of the first message of a TLS client: what is decided about some of them is not
//! changed by more, and rustls finds no other name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustls::server::Acceptor;
use sluicegate_protocols::tls::ClientHello;

/// The name that rustls finds. It ignores names that it considers invalid.
fn name_for_rustls(mut bytes: &[u8]) -> Option<String> {
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut bytes).ok()?;
    let accepted = acceptor.accept().ok()??;
    let name = accepted.client_hello().server_name()?.to_ascii_lowercase();
    Some(name.strip_suffix('.').unwrap_or(&name).to_owned())
}

fuzz_target!(|bytes: &[u8]| {
    let mut decided = Ok(None);
    for len in 0..=bytes.len() {
        let parsed = ClientHello::parse(&bytes[..len]);
        assert!(decided == Ok(None) || decided == parsed, "{len} bytes");
        decided = parsed;
    }
    if let (Ok(Some(hello)), Some(name)) = (decided, name_for_rustls(bytes)) {
        assert_eq!(hello.server_name(), Some(&*name));
    }
});
