//! The actions of the clients of a harness.

use std::io;
use std::net::IpAddr;

use super::harness::{ADDRESS, Client, Harness, MOST_TURNS};
use super::sealing::ClientEnd;
use super::{Received, State};
use crate::core::transport::Transport;
use crate::handler::Handler;
use crate::listen::ListenerId;
use crate::sys::Address;
use crate::sys::sim;

impl<H: Handler> Harness<H> {
    /// Connects a client.
    ///
    /// # Panics
    /// If the backlog is full or the reactor has stopped.
    pub fn open(&mut self) -> Client {
        let client = self.open_at(self.listener);
        self.shake(client);
        client
    }

    /// Makes the handshake of a client that has a transport.
    fn shake(&mut self, client: Client) {
        let Some(sealing) = &self.sealing else { return };
        let address = self.address(client);
        let transport = sealing.client.make(&address).expect("a transport");
        self.start_transport(client, transport.expect("a client has a transport"));
    }

    /// Starts the transport of a client, after its server has [started
    /// one](crate::Context::start_transport). Everything that the client has not taken yet is opened
    /// by the transport, and what is [fed](Harness::feed) from now on is sealed.
    ///
    /// ```
    /// use sluicegate_reactor::testing::{Harness, Records};
    /// use sluicegate_reactor::transport::Factory;
    /// use sluicegate_reactor::{Context, Handler, Input};
    ///
    /// struct Echo(Factory<()>);
    ///
    /// impl Handler for Echo {
    ///     type Session = ();
    ///     fn on_open(&mut self, _: &mut Context<'_>) {}
    ///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         if cx.is_secure() {
    ///             cx.send(input.take());
    ///         } else if input.take() == b"STARTTLS" {
    ///             cx.start_transport(self.0.make(&()).unwrap().unwrap());
    ///         }
    ///     }
    /// }
    ///
    /// let records = Records::factory();
    /// let mut h = Harness::new(Echo(records.clone()));
    /// let client = h.open();
    /// h.feed(client, "STARTTLS");
    /// h.start_transport(client, records.make(&()).unwrap().unwrap());
    /// h.feed(client, "hello");
    /// assert_eq!(h.sent(client), "hello");
    /// ```
    ///
    /// # Panics
    /// If the client has a transport.
    pub fn start_transport(&mut self, client: Client, transport: Box<dyn Transport>) {
        assert!(self.ends[client.0].is_none(), "{client:?} has a transport");
        let (end, hello) = ClientEnd::begin(transport);
        self.ends[client.0] = Some(end);
        self.feed_wire(client, hello);
        self.pump(client);
    }

    /// Lets the transport of a client open what has arrived, and answer.
    fn pump(&mut self, client: Client) {
        loop {
            let arrived = self.client(client).take();
            if arrived.is_empty() {
                return;
            }
            self.run();
            let Some(end) = &mut self.ends[client.0] else { return };
            let answer = end.open(&arrived);
            if !answer.is_empty() && self.state(client) != State::Closed {
                self.feed_wire(client, answer);
            }
        }
    }

    /// Returns the bytes that a client with a transport puts on the wire for `bytes`, to be
    /// [fed](Self::feed_wire) in any pieces.
    ///
    /// # Panics
    /// If the client has no transport: see [`through`](super::through).
    pub fn seal(&mut self, client: Client, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.ends[client.0].as_mut().expect("a client with a transport").seal(bytes.as_ref())
    }

    /// Sends bytes as they are, whether or not the client has a transport.
    ///
    /// # Panics
    /// If the client has shut down its sending side.
    pub fn feed_wire(&mut self, client: Client, bytes: impl AsRef<[u8]>) {
        self.client(client).send(bytes.as_ref());
        self.run();
    }

    /// Connects a client to another listener of the reactor.
    ///
    /// # Panics
    /// In the same cases as [`open`](Harness::open).
    pub fn open_at(&mut self, listener: ListenerId) -> Client {
        let address = self.reactor.listener_address(listener).expect("it listens").clone();
        let client = self.world.connect(address);
        self.add_and_run(client)
    }

    fn add_and_run(&mut self, client: io::Result<sim::Client>) -> Client {
        let client = self.add_client(client.expect("a listener with room in its backlog"));
        self.run();
        client
    }

    /// Connects a client from this address.
    ///
    /// # Panics
    /// In the same cases as [`open`](Harness::open).
    pub fn open_from(&mut self, from: IpAddr) -> Client {
        let client = self.world.connect_from(ADDRESS.into(), Some(from));
        let client = self.add_and_run(client);
        self.shake(client);
        client
    }

    /// Sends bytes to the server. There is always room for them. If the server has closed the
    /// connection, bytes that it can no longer receive are dropped.
    ///
    /// # Panics
    /// If the client has shut down its sending side.
    pub fn feed(&mut self, client: Client, bytes: impl AsRef<[u8]>) {
        match &mut self.ends[client.0] {
            Some(end) => {
                let sealed = end.seal(bytes.as_ref());
                self.feed_wire(client, sealed);
            }
            None => self.feed_wire(client, bytes),
        }
    }

    /// Sends one byte of urgent data (`MSG_OOB`). A receive stops before it and skips it. (Linux
    /// delivers it as ordinary data if another one follows before it was skipped.)
    ///
    /// # Panics
    /// If the client has shut down its sending side.
    pub fn feed_urgent(&mut self, client: Client) {
        self.client(client).send_urgent();
        self.run();
    }

    /// Shuts down the client's sending side (FIN). The client can still receive.
    ///
    /// # Panics
    /// If the client has shut down its sending side.
    pub fn finish(&mut self, client: Client) {
        if let Some(end) = &mut self.ends[client.0] {
            let closing = end.close();
            self.client(client).send(&closing);
        }
        self.client(client).finish();
        self.run();
    }

    /// Resets the connection (RST).
    ///
    /// # Panics
    /// If the client has already reset it.
    pub fn reset(&mut self, client: Client) {
        self.client(client).reset();
        self.run();
    }

    /// Takes everything that the server has sent since the last call, including the bytes that it
    /// sends once there is room again.
    ///
    /// # Panics
    /// If the server never stops sending; use [`take`](Harness::take) to read only a part.
    pub fn sent(&mut self, client: Client) -> Received {
        let mut all = Vec::new();
        for _ in 0..MOST_TURNS {
            let part = self.take(client);
            if part.is_empty() {
                return Received(all);
            }
            all.extend(part.0);
        }
        panic!("the server never stops sending");
    }

    /// Takes the bytes that have arrived from the server so far, which makes room for the same
    /// number of bytes. The next call returns what the server then sends.
    pub fn take(&mut self, client: Client) -> Received {
        if self.ends[client.0].is_some() {
            self.pump(client);
            let end = self.ends[client.0].as_mut();
            return Received(end.map_or(Vec::new(), |end| end.take(usize::MAX)));
        }
        let bytes = self.client(client).take();
        self.run();
        Received(bytes)
    }

    /// The number of bytes that have arrived from the server and were not taken.
    #[must_use]
    pub fn arrived(&self, client: Client) -> usize {
        self.client(client).untaken()
    }

    /// The number of a client's bytes that the server has not received.
    #[must_use]
    pub fn unread(&self, client: Client) -> usize {
        self.client(client).unread()
    }

    /// The state of the server's end of the connection. A server that closes normally is
    /// [`Shut`](State::Shut) until the client has [finished](Harness::finish) too.
    #[must_use]
    pub fn state(&self, client: Client) -> State {
        self.client(client).state()
    }

    /// The address of a client, as the server sees it.
    #[must_use]
    pub fn address(&self, client: Client) -> Address {
        self.client(client).address()
    }

    pub(super) fn add_client(&mut self, client: sim::Client) -> Client {
        self.clients.push(client);
        self.ends.push(None);
        Client(self.clients.len() - 1)
    }

    pub(super) fn client(&self, client: Client) -> &sim::Client {
        &self.clients[client.0]
    }
}
