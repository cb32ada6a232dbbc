//! A small transport for tests, and running tests through a transport.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::io;

use crate::core::Target;
use crate::core::transport::{
    Control, Error, Factory, Keys, Offload, Opened, Output, State, Transport,
};
use crate::sys::{Address, Cipher, Key, Suite, TlsVersion};
use crate::turn::reactor::Reactor;

/// A transport that frames and transforms bytes, as TLS does, without protecting anything. The
/// handshake is an exchange of greetings.
///
/// A record consists of its kind, the length of its payload in two bytes (big-endian), and the
/// payload with each byte inverted.
#[derive(Debug, Default)]
pub struct Records {
    greeted: bool,
    /// Whether the kernel may open and seal the records.
    offloads: bool,
    /// Whether it does.
    in_kernel: bool,
}

/// The kinds of records.
const GREETING: u8 = b'g';
const DATA: u8 = b'd';
const END: u8 = b'e';
/// Asks for a [`PONG`].
const PING: u8 = b'p';
const PONG: u8 = b'q';
/// Sent before an end by an error.
const ALERT: u8 = b'a';
/// Announces another key. If its payload is not empty, the other end has to do the same.
const KEY: u8 = b'k';

const KINDS: [u8; 7] = [GREETING, DATA, END, PING, PONG, ALERT, KEY];

/// The longest payload of a record.
const LONGEST: usize = 16 << 10;

impl Records {
    /// A factory for listeners and connectors.
    #[must_use]
    pub fn factory<A: 'static>() -> Factory<A> {
        Factory::new(|_| Ok(Some(Box::new(Records::default()))))
    }

    /// A factory of transports whose work the kernel takes over; see
    /// [`Harness::set_kernel_tls`](super::Harness::set_kernel_tls).
    #[must_use]
    pub fn offloaded<A: 'static>() -> Factory<A> {
        Factory::new(|_| Ok(Some(Box::new(Records { offloads: true, ..Records::default() }))))
    }

    fn key() -> Key {
        let suite = Suite { version: TlsVersion::Tls13, cipher: Cipher::Inverted };
        Key::new(suite, &[], [0; 12], 0)
    }
}

fn put(out: &mut Output<'_>, kind: u8, payload: &[u8]) {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let record = [kind, high, low].into_iter().chain(payload.iter().map(|byte| !byte));
    out.put(&record.collect::<Vec<u8>>());
}

impl Transport for Records {
    fn start(&mut self, out: &mut Output<'_>) -> Result<(), Error> {
        put(out, GREETING, b"hello");
        Ok(())
    }

    fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error> {
        let &mut [kind, high, low, ref mut rest @ ..] = wire else { return Ok(Opened::Incomplete) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > LONGEST || !KINDS.contains(&kind) {
            put(out, ALERT, b"");
            return Err(format!("a record of kind {kind} and {len} bytes").into());
        }
        let Some(payload) = rest.get_mut(..len) else { return Ok(Opened::Incomplete) };
        payload.iter_mut().for_each(|byte| *byte = !*byte);
        match (kind, self.greeted) {
            (GREETING, false) => self.greeted = true,
            (DATA, true) => return Ok(Opened::Bytes { consumed: 3 + len, plain: 3..3 + len }),
            (PING, true) => put(out, PONG, payload),
            (KEY, true) if len > 0 => put(out, KEY, b""),
            (PONG | KEY, true) => {}
            (END, true) => return Ok(Opened::End),
            (ALERT, _) => return Err("the peer found an error".into()),
            _ => {
                put(out, ALERT, b"");
                return Err("a record at the wrong time".into());
            }
        }
        Ok(Opened::nothing(3 + len))
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        plain.chunks(LONGEST).for_each(|payload| put(out, DATA, payload));
        Ok(())
    }

    fn close(&mut self, out: &mut Output<'_>) {
        match self.in_kernel {
            true => put_clear(out, END, b""),
            false => put(out, END, b""),
        }
    }

    fn state(&self) -> State {
        if self.greeted { State::Open } else { State::Handshake }
    }

    fn is_secure(&self) -> bool {
        true
    }

    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        (of == TypeId::of::<Records>()).then_some(self)
    }

    fn offload(&mut self) -> Option<&mut dyn Offload> {
        self.offloads.then_some(self)
    }
}

impl Offload for Records {
    fn suite(&self) -> Option<Suite> {
        Some(Records::key().suite)
    }

    fn keys(&mut self) -> Result<Keys, Error> {
        self.in_kernel = true;
        Ok(Keys { send: Records::key(), receive: Records::key() })
    }

    fn control(
        &mut self,
        kind: u8,
        payload: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Control, Error> {
        let key = || Box::new(Records::key());
        match kind {
            PING => put_clear(out, PONG, payload),
            PONG => {}
            END => return Ok(Control::End),
            KEY if payload.is_empty() => {
                return Ok(Control::Update { receive: key(), send: None });
            }
            KEY => {
                put_clear(out, KEY, b"");
                return Ok(Control::Update { receive: key(), send: Some(key()) });
            }
            ALERT => return Err("the peer found an error".into()),
            _ => {
                put_clear(out, ALERT, b"");
                return Err("a record at the wrong time".into());
            }
        }
        Ok(Control::Nothing)
    }

    fn fail(&mut self, error: &io::Error, out: &mut Output<'_>) -> Error {
        put_clear(out, ALERT, b"");
        format!("the kernel found an error: {error}").into()
    }
}

/// Puts out a record for the kernel to seal.
fn put_clear(out: &mut Output<'_>, kind: u8, payload: &[u8]) {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    out.put(&[kind, 3, 3, high, low]);
    out.put(payload);
}

thread_local! {
    #[allow(
        clippy::missing_const_for_thread_local,
        reason = "it is const; clippy 1.96 does not see that on OpenBSD"
    )]
    static CURRENT: RefCell<Option<Sealing>> = const { RefCell::new(None) };
}

/// The transports of both ends of a harness's connections.
#[derive(Clone)]
pub(super) struct Sealing {
    pub(super) server: Factory<Address>,
    pub(super) client: Factory<Address>,
}

impl Sealing {
    /// Gives the listeners and connectors of a reactor transports.
    pub(super) fn put_under(&self, reactor: &mut Reactor) {
        for listener in reactor.turn.listeners.iter_mut().flatten() {
            listener.options.transport = Some(self.server.clone());
        }
        let groups = reactor.turn.core.groups.iter_mut();
        for connector in groups.filter_map(|group| group.connector.as_mut()) {
            let client = self.client.clone();
            connector.transport = Some(Factory::new(move |target| match target {
                Target::Address(address) => client.make(address),
                Target::Name(..) => Err("no transport for a name".into()),
            }));
        }
    }
}

/// The transports that [`through`] has set, if it is running.
pub(super) fn current() -> Option<Sealing> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `test` with a [transport](crate::transport) at both ends of each connection. In a
/// [`Harness`](super::Harness), `server` makes the transports of the listener, and `client` makes
/// those of the clients. The test still [feeds](super::Harness::feed) and
/// [reads](super::Harness::sent) plain bytes. In a [`Sim`](super::Sim), its clients have transports,
/// and so do the listeners and connectors that a reactor has when it is added.
///
/// ```
/// use sluicegate_reactor::testing::{Harness, Records, through};
/// # use sluicegate_reactor::{Context, Handler, Input};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
/// #         assert!(cx.is_secure());
/// #         cx.send(input.take());
/// #     }
/// # }
///
/// through(Records::factory(), Records::factory(), || {
///     let mut h = Harness::new(Echo);
///     let client = h.open();
///     h.feed(client, b"hello");
///     assert_eq!(h.sent(client), "hello");
/// });
/// ```
pub fn through<T>(
    server: Factory<Address>,
    client: Factory<Address>,
    test: impl FnOnce() -> T,
) -> T {
    /// Ends it also if the test panics.
    struct Restore(Option<Sealing>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(Sealing { server, client })));
    test()
}

/// The client's end of a connection that has a transport.
pub(super) struct ClientEnd {
    transport: Box<dyn Transport>,
    /// Whether the server has ended its stream.
    pub(super) has_ended: bool,
    /// What has arrived and was not opened.
    wire: Vec<u8>,
    /// What was opened and not taken.
    plain: Vec<u8>,
}

impl ClientEnd {
    /// Begins, and returns what to send first.
    pub(super) fn begin(transport: Box<dyn Transport>) -> (ClientEnd, Vec<u8>) {
        let (wire, plain) = (Vec::new(), Vec::new());
        let mut end = ClientEnd { transport, has_ended: false, wire, plain };
        let (result, out) = Output::collect(|out| end.transport.start(out));
        result.expect("a client begins");
        (end, out)
    }

    /// Whether the handshake is over.
    pub(super) fn is_open(&self) -> bool {
        self.transport.state() == State::Open
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let (result, out) = Output::collect(|out| self.transport.seal(plain, out));
        result.expect("a client seals");
        out
    }

    pub(super) fn close(&mut self) -> Vec<u8> {
        Output::collect(|out| self.transport.close(out)).1
    }

    /// Opens what has arrived, and returns what to send in answer.
    pub(super) fn open(&mut self, arrived: &[u8]) -> Vec<u8> {
        self.wire.extend(arrived);
        let (_, out) = Output::collect(|out| {
            while !self.wire.is_empty() {
                match self.transport.open(&mut self.wire, out) {
                    Ok(Opened::Bytes { consumed, plain }) if consumed > 0 => {
                        self.plain.extend_from_slice(&self.wire[plain]);
                        self.wire.drain(..consumed);
                    }
                    Ok(Opened::Bytes { .. } | Opened::Incomplete) => break,
                    Ok(Opened::End) => {
                        self.has_ended = true;
                        self.wire.clear();
                    }
                    Err(error) => panic!("the client cannot open what the server sent: {error}"),
                }
            }
        });
        out
    }

    /// Takes up to `most` of the opened bytes.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        self.plain.drain(..most.min(self.plain.len())).collect()
    }
}
