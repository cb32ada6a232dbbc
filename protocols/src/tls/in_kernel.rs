//! A connection whose records the kernel opens and seals. rustls only derives the next keys and
//! keeps the tickets of servers.

use std::io;

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::pki_types::CertificateDer;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, CipherSuite, CommonState, ConnectionTrafficSecrets, ContentType,
    HandshakeKind, HandshakeType, ProtocolVersion,
};
use sluicegate_reactor::transport::{Cipher, Control, Error, Key, Keys, Output, Suite, TlsVersion};

use super::unbuffered::{Session, Side};

/// The parameters that the handshake negotiated.
pub(super) struct Negotiated<'a> {
    pub(super) protocol: Option<&'a [u8]>,
    pub(super) version: Option<ProtocolVersion>,
    pub(super) cipher_suite: Option<CipherSuite>,
    pub(super) peer_certificates: &'a [CertificateDer<'static>],
    pub(super) is_resumed: bool,
}

impl<'a> From<&'a CommonState> for Negotiated<'a> {
    fn from(common: &'a CommonState) -> Negotiated<'a> {
        Negotiated {
            protocol: common.alpn_protocol(),
            version: common.protocol_version(),
            cipher_suite: common.negotiated_cipher_suite().map(|suite| suite.suite()),
            peer_certificates: common.peer_certificates().unwrap_or_default(),
            is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl Negotiated<'_> {
    /// What the kernel must support. `None` if it cannot.
    pub(super) fn suite(&self) -> Option<Suite> {
        let version = match self.version? {
            ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
            ProtocolVersion::TLSv1_3 => TlsVersion::Tls13,
            _ => return None,
        };
        let cipher = match self.cipher_suite? {
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Cipher::Aes128Gcm,
            CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Cipher::Aes256Gcm,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Cipher::ChaCha20Poly1305,
            _ => return None,
        };
        Some(Suite { version, cipher })
    }
}

/// A connection in the kernel.
pub(super) struct InKernel {
    end: End,
    suite: Suite,
    protocol: Option<Box<[u8]>>,
    cipher_suite: Option<CipherSuite>,
    peer_certificates: Vec<CertificateDer<'static>>,
    is_resumed: bool,
    /// The beginning of a handshake message that continues in the next record.
    fragment: Vec<u8>,
    /// Whether a `close_notify` was sent, after which nothing may follow.
    has_closed: bool,
}

enum End {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

/// The longest `NewSessionTicket`: a ticket of 64 KiB and what is around it.
const LONGEST_TICKET: usize = 66 << 10;

/// A record with the `KeyUpdate` message that asks for none in return (RFC 8446, section 4.6.3).
const KEY_UPDATE: [u8; 10] = [22, 3, 3, 0, 5, 24, 0, 0, 1, 0];

impl InKernel {
    /// Takes the keys out of a session.
    pub(super) fn new(session: Session) -> Result<(Keys, InKernel), Error> {
        let negotiated = Negotiated::from(session.common());
        let suite = negotiated.suite().ok_or("the kernel has no such cipher suite")?;
        let Negotiated { protocol, cipher_suite, peer_certificates, is_resumed, .. } = negotiated;
        let (protocol, peer_certificates) = (protocol.map(Box::from), peer_certificates.to_vec());
        let (secrets, end) = match session.into_side() {
            Side::Server(server) => {
                let (secrets, connection) = server.dangerous_into_kernel_connection()?;
                (secrets, End::Server(connection))
            }
            Side::Client(client) => {
                let (secrets, connection) = client.dangerous_into_kernel_connection()?;
                (secrets, End::Client(connection))
            }
        };
        let keys = Keys { send: key(suite, secrets.tx)?, receive: key(suite, secrets.rx)? };
        let connection = InKernel {
            end,
            suite,
            protocol,
            cipher_suite,
            peer_certificates,
            is_resumed,
            fragment: Vec::new(),
            has_closed: false,
        };
        Ok((keys, connection))
    }

    pub(super) fn negotiated(&self) -> Negotiated<'_> {
        Negotiated {
            protocol: self.protocol.as_deref(),
            version: Some(match self.suite.version {
                TlsVersion::Tls12 => ProtocolVersion::TLSv1_2,
                TlsVersion::Tls13 => ProtocolVersion::TLSv1_3,
            }),
            cipher_suite: self.cipher_suite,
            peer_certificates: &self.peer_certificates,
            is_resumed: self.is_resumed,
        }
    }

    /// Deals with a record that is not data.
    pub(super) fn control(
        &mut self,
        kind: u8,
        payload: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Control, Error> {
        match (ContentType::from(kind), payload) {
            (ContentType::Alert, &[_, description]) => match AlertDescription::from(description) {
                AlertDescription::CloseNotify => Ok(Control::End),
                // A `close_notify` follows (RFC 8446, section 6.1).
                AlertDescription::UserCanceled => Ok(Control::Nothing),
                alert => Err(rustls::Error::AlertReceived(alert).into()),
            },
            (ContentType::Handshake, payload) if self.suite.version == TlsVersion::Tls13 => {
                self.fragment.extend_from_slice(payload);
                let messages = std::mem::take(&mut self.fragment);
                self.messages(&messages, out)
            }
            // A handshake message in TLS 1.2 would be a renegotiation.
            (other, _) => {
                let what = format!("an unexpected record of type {other:?}");
                refuse(out, AlertDescription::UnexpectedMessage, &what)
            }
        }
    }

    /// Deals with the handshake messages of one record, and what earlier ones have left.
    fn messages(&mut self, mut rest: &[u8], out: &mut Output<'_>) -> Result<Control, Error> {
        let mut result = Control::Nothing;
        while let &[kind, a, b, c, ref behind @ ..] = rest {
            let len = u32::from_be_bytes([0, a, b, c]) as usize;
            // Nothing is kept of a message that would be refused when it is complete.
            let longest = match (HandshakeType::from(kind), &self.end) {
                (HandshakeType::NewSessionTicket, End::Client(_)) => LONGEST_TICKET,
                (HandshakeType::KeyUpdate, _) => 1,
                (other, _) => {
                    let what = format!("an unexpected handshake message of type {other:?}");
                    return refuse(out, AlertDescription::UnexpectedMessage, &what);
                }
            };
            if len > longest {
                let what = "a handshake message is too long";
                return refuse(out, AlertDescription::DecodeError, what);
            }
            let Some((message, behind)) = behind.split_at_checked(len) else { break };
            rest = behind;
            match (HandshakeType::from(kind), &mut self.end, message) {
                (HandshakeType::NewSessionTicket, End::Client(client), _) => {
                    if let Err(error) = client.handle_new_session_ticket(message) {
                        return refuse(out, AlertDescription::DecodeError, &error.to_string());
                    }
                }
                // Nothing may follow it in the record: later messages use the new key.
                (HandshakeType::KeyUpdate, _, &[asks @ (0 | 1)]) if rest.is_empty() => {
                    result = self.update(asks == 1, out)?;
                }
                (other, ..) => {
                    let what = format!("a handshake message of {other:?}");
                    return refuse(out, AlertDescription::UnexpectedMessage, &what);
                }
            }
        }
        self.fragment = rest.to_vec();
        Ok(result)
    }

    /// The keys after an update by the peer, which may ask for one in return.
    fn update(&mut self, asks: bool, out: &mut Output<'_>) -> Result<Control, Error> {
        let updates_own = asks && !self.has_closed;
        let (receive, send) = match &mut self.end {
            End::Server(server) => (
                server.update_rx_secret()?,
                updates_own.then(|| server.update_tx_secret()).transpose()?,
            ),
            End::Client(client) => (
                client.update_rx_secret()?,
                updates_own.then(|| client.update_tx_secret()).transpose()?,
            ),
        };
        if updates_own {
            out.put(&KEY_UPDATE);
        }
        let boxed = |secrets| key(self.suite, secrets).map(Box::new);
        Ok(Control::Update { receive: boxed(receive)?, send: send.map(boxed).transpose()? })
    }

    /// Ends the stream.
    pub(super) fn close(&mut self, out: &mut Output<'_>) {
        self.has_closed = true;
        alert(out, 1, AlertDescription::CloseNotify);
    }

    /// Answers an error of the kernel.
    pub(super) fn fail(error: &io::Error, out: &mut Output<'_>) -> Error {
        if error.kind() == io::ErrorKind::ResourceBusy {
            alert(out, 2, AlertDescription::InternalError);
            let text = "TLS: the peer has updated its key, and the kernel cannot (Linux can from \
                        6.14 on)";
            return text.into();
        }
        alert(out, 2, AlertDescription::BadRecordMac);
        format!("TLS: the kernel cannot open a record of the peer: {error}").into()
    }
}

/// Puts out an alert, in the clear, for the kernel to seal.
fn alert(out: &mut Output<'_>, level: u8, description: AlertDescription) {
    out.put(&[21, 3, 3, 0, 2, level, description.into()]);
}

/// Puts out an alert and fails.
fn refuse(
    out: &mut Output<'_>,
    description: AlertDescription,
    what: &str,
) -> Result<Control, Error> {
    alert(out, 2, description);
    Err(format!("TLS: {what}").into())
}

/// A key for the kernel, from the secrets for the record with this number and the next ones.
fn key(suite: Suite, (sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Key, Error> {
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        return Err("TLS: the kernel has no such cipher".into());
    };
    Ok(Key::new(suite, key.as_ref(), iv.as_ref().try_into()?, sequence))
}
