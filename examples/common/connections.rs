//! The limits of connections: options, and lines of a file that is reloaded on SIGHUP.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, ValueEnum, value_parser};
use sluicegate_reactor::{
    Context, Handle, Handler, Input, Keepalive, Limits, Listen, ListenerId, PostError, Receive,
    Sessions, TcpOptions,
};

use super::reload::{self, Read};
use super::{Failure, units};

#[derive(Args, Clone)]
#[command(next_help_heading = "Connections")]
pub(crate) struct Connections {
    #[command(flatten)]
    options: Given,
    /// Take limits from this file, one per line, such as `idle-timeout 30s`: any of
    /// max-connections, when-full, per-address, rate and idle-timeout. They override the command
    /// line, and apply to all client connections. The file is reloaded on SIGHUP.
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Whether the connections are relayed, so that none counts as idle.
    #[arg(skip)]
    pub(crate) relayed: bool,
}

/// The limits that are given.
#[derive(Args, Clone)]
pub(crate) struct Given {
    /// Maximum number of open connections per listening address.
    #[arg(long, value_name = "N", default_value = "100000")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// What happens to further connections: they wait in the kernel's queue (the default), are
    /// refused with a reset, or replace the connection that has been idle the longest, which needs
    /// an idle timeout. Each thread has its share of the limit.
    #[arg(long, value_name = "HOW")]
    when_full: Option<WhenFull>,
    /// Maximum number of open connections per client, in each thread; further ones are reset. A
    /// client is an IPv4 address or an IPv6 /64 prefix; with --accept-proxy it is the proxy. By
    /// default there is no limit.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    per_address: Option<u32>,
    /// Maximum send rate of each connection in bytes per second, such as 500K or 1M. By default
    /// there is no limit.
    #[arg(long, value_name = "SIZE", value_parser = units::rate)]
    rate: Option<u64>,
    /// Close connections after this time without traffic, such as 30s, 5m or `never`. The default
    /// is 75s, or never in programs whose clients are usually silent. With `never` at startup, TCP
    /// probes silent clients, to notice those that have vanished.
    #[arg(long, value_name = "TIME", value_parser = idle_timeout)]
    idle_timeout: Option<IdleTimeout>,
}

/// When connections without traffic are closed.
#[derive(Clone, Copy)]
enum IdleTimeout {
    After(Duration),
    Never,
}

impl From<IdleTimeout> for Option<Duration> {
    fn from(timeout: IdleTimeout) -> Option<Duration> {
        match timeout {
            IdleTimeout::After(time) => Some(time),
            IdleTimeout::Never => None,
        }
    }
}

fn idle_timeout(text: &str) -> Result<IdleTimeout, String> {
    if text == "never" {
        return Ok(IdleTimeout::Never);
    }
    match units::time(text) {
        // It would close every connection, although 0 turns other options off.
        Ok(Duration::ZERO) => Err("an idle timeout is longer than 0, or `never`".to_owned()),
        Ok(time) => Ok(IdleTimeout::After(time)),
        Err(error) => Err(format!("{error}, or `never`")),
    }
}

/// What happens to connections beyond `--max-connections`.
#[derive(Clone, Copy, ValueEnum)]
enum WhenFull {
    Wait,
    Refuse,
    Shed,
}

impl From<WhenFull> for sluicegate_reactor::WhenFull {
    fn from(how: WhenFull) -> sluicegate_reactor::WhenFull {
        match how {
            WhenFull::Wait => sluicegate_reactor::WhenFull::Wait,
            WhenFull::Refuse => sluicegate_reactor::WhenFull::Refuse,
            WhenFull::Shed => sluicegate_reactor::WhenFull::Shed,
        }
    }
}

/// The lines of a file, as if they were options.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
#[command(mut_arg("max_connections", |arg| arg.default_value(None::<&str>)))]
struct Lines {
    #[command(flatten)]
    given: Given,
}

impl Lines {
    /// Takes a line: the name of an option, and its value.
    fn take(&mut self, line: &str) -> Result<(), String> {
        let Some((name, value)) = line.split_once(char::is_whitespace) else {
            return Err("a line is a name and a value, such as `idle-timeout 30s`".to_owned());
        };
        let option = format!("--{name}={}", value.trim_start());
        self.try_update_from([option]).map_err(|error| match error.kind() {
            ErrorKind::UnknownArgument => format!("there is no limit {name:?}"),
            _ => {
                let text = error.render().to_string();
                let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
                let text = lines.collect::<Vec<_>>().join(" ");
                text.trim_start_matches("error: ").replace("'--", "'")
            }
        })
    }
}

impl Given {
    /// The limits of each connection: the defaults of the program, as changed by these.
    pub(crate) fn limits(&self, defaults: Limits) -> Limits {
        Limits {
            idle: self.idle_timeout.map_or(defaults.idle, IdleTimeout::into),
            send_rate: self.rate.or(defaults.send_rate),
            ..defaults
        }
    }

    fn sheds(&self) -> bool {
        matches!(self.when_full, Some(WhenFull::Shed))
    }

    /// The limits of a listener.
    pub(crate) fn listen(&self, defaults: Limits) -> Listen {
        let (listen, limits) = (Listen::default(), self.limits(defaults));
        Listen {
            max_connections: self.max_connections.unwrap_or(listen.max_connections),
            when_full: self.when_full.map_or(listen.when_full, WhenFull::into),
            max_per_address: self.per_address,
            tcp: tcp_options(limits.idle),
            limits,
            ..listen
        }
    }
}

/// The options of TCP for connections with this idle timeout. Without one, only probes show that a
/// silent peer has vanished. OpenBSD sets their times for the whole system.
pub(crate) fn tcp_options(idle: Option<Duration>) -> TcpOptions {
    let probes = idle.is_none() && !cfg!(target_os = "openbsd");
    TcpOptions { keepalive: probes.then(Keepalive::default), ..TcpOptions::default() }
}

impl Connections {
    /// The options. The file does not apply to connections that this program opens.
    pub(crate) fn options(&self) -> &Given {
        &self.options
    }

    /// Reads the file, if there is one. What it does not have is taken from the options, or from
    /// the defaults of the program.
    pub(crate) fn read(&self, defaults: &Limits) -> Result<Given, Failure> {
        let mut lines = Lines { given: self.options().clone() };
        let about = |text: String| match &self.limits {
            Some(path) => format!("{}: {text}", path.display()),
            None => text,
        };
        if let Some(path) = &self.limits {
            let text = reload::read(path).map_err(|error| about(error.to_string()))?;
            for (number, line) in reload::lines(&text) {
                let taken = lines.take(line);
                taken.map_err(|error| about(format!("line {number}: {error}")))?;
            }
        }
        let why_none_is_idle = match lines.given.limits(defaults.clone()).idle {
            _ if self.relayed => Some("relayed ones never count as idle"),
            None => Some("needs an idle-timeout"),
            Some(_) => None,
        };
        if let Some(why) = why_none_is_idle.filter(|_| lines.given.sheds()) {
            let text = format!("when-full shed closes idle connections, and {why}");
            return Err(about(text).into());
        }
        Ok(lines.given)
    }

    /// The file.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        self.limits.as_ref()
    }

    /// Reloads the file on SIGHUP, if there is one, for these threads.
    pub(super) fn reload(&self, threads: Vec<Handle<Given>>, defaults: &Limits) -> Option<Read> {
        self.limits.as_ref()?;
        let (connections, defaults) = (self.clone(), defaults.clone());
        let read: Read = Box::new(move || {
            let (given, threads) = (connections.read(&defaults)?, threads.clone());
            Ok(Box::new(move || {
                for thread in threads {
                    // A thread that has stopped has no listeners.
                    if let Err(PostError::Full(_)) = thread.post(given.clone()) {
                        log::warn!("the limits of a thread are unchanged: its mailbox is full");
                    }
                }
            }))
        });
        Some(read)
    }
}

/// The listeners of a thread, whose limits can change.
pub(crate) struct Limited {
    threads: usize,
    /// The listeners, and the default limits there.
    listeners: Vec<(ListenerId, Limits)>,
}

impl Limited {
    /// For one of several threads.
    pub(super) fn new(threads: u16) -> Limited {
        Limited { threads: threads.into(), listeners: Vec::new() }
    }

    pub(crate) fn add(&mut self, listener: ListenerId, defaults: &Limits) {
        self.listeners.push((listener, defaults.clone()));
    }
}

impl Receive<Given> for Limited {
    fn on_message(&mut self, cx: &mut Sessions<'_>, given: Given) {
        for (listener, defaults) in &self.listeners {
            cx.set_limits(*listener, &given.listen(defaults.clone()).share(self.threads));
        }
    }
}

/// It only receives messages.
impl Handler for Limited {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}
