//! The handler: finds each command in the table and runs it.

use std::time::Duration;

use sluicegate_protocols::resp::{
    Command, CommandHandler, CommandLimits, Commands, Encoder, Version,
};
use sluicegate_reactor::{ConnId, Context, Limits, Reason, Receive, Sessions, Timeout, Turn};

use super::keys::Keys;
use super::subscriptions::{Subscribed, Subscriptions};
use super::table;

/// How often to send a [`Tick`].
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The maximum number of arguments of a command, including its name: a `DEL` or an `MGET` may have
/// a million keys.
const MOST_ARGUMENTS: usize = 1 << 20;

/// The maximum length of an inline command in bytes, as in Redis.
const MOST_INLINE: usize = 64 << 10;

/// How many bytes of the name of an unknown command are repeated to the client.
const MOST_NAME: usize = 128;

/// Keys that have expired can be removed.
#[derive(Clone, Copy)]
pub(crate) struct Tick;

#[derive(Default)]
pub(crate) struct Redis {
    pub(crate) keys: Keys,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) commands: u64,
    pub(crate) connections: u64,
    /// When it began to serve.
    started: Option<Duration>,
}

/// The state of a connection.
#[derive(Default)]
pub(crate) struct Session {
    /// The number of the connection.
    pub(crate) id: u64,
    pub(crate) version: Version,
    /// The name that the client has chosen.
    pub(crate) name: Vec<u8>,
    pub(crate) subscribed: Subscribed,
    /// When the last command arrived.
    last: Duration,
}

/// A command that is running.
pub(crate) struct Call<'a, 'c> {
    pub(crate) cx: &'a mut Context<'c>,
    pub(crate) session: &'a mut Session,
    pub(crate) command: Command<'a>,
}

impl<'a, 'c> Call<'a, 'c> {
    /// The time in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.cx.now().as_millis() as u64
    }

    /// An argument. The name is argument 0, and the table says how many there are at least.
    pub(crate) fn argument(&self, index: usize) -> &'a [u8] {
        self.command.get(index).unwrap_or_default()
    }

    pub(crate) fn reply(&mut self) -> Encoder<'_, Context<'c>> {
        Encoder::new(self.cx, self.session.version)
    }

    pub(crate) fn error(&mut self, text: &str) {
        self.reply().error(text);
    }

    fn reject_unknown(&mut self) {
        let name = self.command.name();
        let start = name[..name.len().min(MOST_NAME)].escape_ascii();
        self.error(&format!("ERR unknown command '{start}'"));
        if self.command.is("POST") || self.command.is("Host:") {
            // A page in a browser could send commands to this machine in the body of a request.
            self.cx.close();
        }
    }

    pub(crate) fn syntax_error(&mut self) {
        self.error("ERR syntax error");
    }
}

impl Redis {
    pub(crate) fn create() -> Commands<Redis> {
        let limits = CommandLimits {
            arguments: MOST_ARGUMENTS,
            inline: MOST_INLINE,
            ..CommandLimits::default()
        };
        Commands::with(Redis::default(), limits)
    }

    /// The limits of a connection. Clients may send a whole pipeline before they read a reply, so
    /// the server reads on until this many bytes of replies are queued.
    pub(crate) fn limits(output_buffer: usize) -> Limits {
        Limits {
            send_high: output_buffer,
            // The bytes are limited, however many values they belong to.
            send_segments: usize::MAX,
            max_unread: MOST_INLINE + b"\r\n".len(),
            // Subscribers are silent, and clients keep connections in reserve.
            idle: None,
            ..Limits::default()
        }
    }

    fn run(&mut self, call: &mut Call<'_, '_>) {
        let Some(entry) = table::find(call.command.name()) else {
            return call.reject_unknown();
        };
        let name = entry.name;
        if !entry.takes(call.command.len()) {
            let name = name.to_lowercase();
            return call.error(&format!("ERR wrong number of arguments for '{name}' command"));
        }
        // In RESP2, a client could not tell a reply from a message.
        let is_resp2 = call.session.version == Version::Resp2;
        let is_subscribed = is_resp2 && !call.session.subscribed.is_empty();
        if is_subscribed && !entry.is_for_subscribers() {
            return call.error(&format!(
                "ERR Can't execute '{}': only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT are \
                 allowed in this context",
                name.to_lowercase()
            ));
        }
        (entry.run)(self, call);
    }

    /// How long it has served.
    pub(crate) fn uptime(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started.unwrap_or(now))
    }
}

impl CommandHandler for Redis {
    type Session = Session;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Session {
        // The first client may come before the first tick.
        self.started.get_or_insert(cx.now());
        self.connections += 1;
        Session { id: self.connections, ..Session::default() }
    }

    fn on_command(&mut self, cx: &mut Context<'_>, session: &mut Session, command: Command<'_>) {
        self.commands += 1;
        session.last = cx.now();
        self.run(&mut Call { cx, session, command });
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Session, which: Timeout) {
        if which != Timeout::WriteStall {
            return cx.close();
        }
        let (pending, limits) = (cx.pending(), cx.limits());
        let time = limits.write_stall.unwrap_or_default();
        let is_full = pending >= limits.send_high as u64;
        if !is_full && cx.now().saturating_sub(session.last) < time {
            // Its commands still arrive: it will read once it has sent the whole pipeline.
            return;
        }
        let stopped = if is_full {
            ", so that --client-output-buffer-limit keeps it from sending more"
        } else {
            ""
        };
        let time = time.as_secs();
        log::warn!(
            "{}: disconnected: the client has read nothing for {time} s, and {pending} bytes of \
             replies wait for it{stopped}",
            cx.describe()
        );
        cx.abort();
    }

    fn on_close(&mut self, _: &mut Turn, id: ConnId, session: Session, _: Reason) {
        self.subscriptions.remove_all(id, &session.subscribed);
    }
}

impl Receive<Tick, Session> for Redis {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, Tick: Tick) {
        let now = cx.now();
        self.started.get_or_insert(now.saturating_sub(TICK));
        self.keys.remove_expired(now.as_millis() as u64);
    }
}
