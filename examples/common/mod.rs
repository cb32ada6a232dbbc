//! Shared by all examples: the options of a server, its start and its shutdown.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use sluicegate_protocols::http::HttpMetrics;
use sluicegate_protocols::proxy_protocol::{AcceptProxy, Network};
use sluicegate_reactor::server::notify::Notifier;
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{
    Address, Limits, Listen, Reactor, ServerListener, ServerOptions, Target, TcpOptions,
};

pub(crate) mod connections;
mod opened;
pub(crate) mod print;
mod privileges;
mod program;
pub(crate) mod reload;
mod restart;
pub(crate) mod signals;
mod status;
pub(crate) mod tls;
pub(crate) mod units;

use connections::{Connections, Limited};
use opened::Opened;
pub(crate) use program::{Failure, main};
use reload::Reload;
use tls::Certificates;

/// The options of every example.
#[derive(Args)]
pub(crate) struct Server {
    /// Address to listen on, or a host name for all of its addresses; may be repeated. `::` is for
    /// IPv4 as well, unless an IPv4 address is also given. Ignored if a service manager passes
    /// sockets to the program.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_delimiter = ',')]
    #[arg(help_heading = "Listening")]
    bind: Vec<String>,
    /// Port to listen on; 0 picks a free port.
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Listening")]
    port: u16,
    /// Also listen on a Unix socket at this path, for processes of the same user.
    #[arg(long, value_name = "PATH", help_heading = "Listening")]
    unix: Option<PathBuf>,
    /// Take client addresses from PROXY protocol headers, version 1 or 2. FROM is a network of
    /// proxies, such as 10.0.0.0/8, ::1 or `unix`; may be repeated. Connections from elsewhere or
    /// without a header are reset with a warning.
    #[arg(long, value_name = "FROM", value_delimiter = ',', help_heading = "Listening")]
    accept_proxy: Vec<Network>,
    #[command(flatten)]
    pub(crate) connections: Connections,
    /// How long to keep accepting after SIGINT or SIGTERM, so that load balancers can notice that
    /// the server is no longer ready. A second signal ends the delay.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::time)]
    #[arg(help_heading = "Process")]
    shutdown_delay: Duration,
    /// How long connections may take to finish once the server has stopped accepting.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time)]
    #[arg(help_heading = "Process")]
    drain: Duration,
    /// Maximum memory for the data of connections, such as queued output, in all threads together:
    /// 256M or 1G. Each thread has an equal share. Near the limit, the server reads and accepts
    /// less; at the limit, it resets the connections that hold the most. Data that protocols keep
    /// in their sessions does not count. By default there is no limit.
    #[arg(long, value_name = "SIZE", value_parser = units::memory, help_heading = "Process")]
    memory: Option<u64>,
    /// Number of threads that serve connections.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Process")]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    pub(crate) threads: u16,
    /// Take over the listeners of the running server with this control socket, and let the next
    /// server take over from this one. On SIGUSR2, the program starts itself again to take over.
    #[arg(long, value_name = "PATH", help_heading = "Process")]
    control: Option<PathBuf>,
    /// Log a warning about each callback that blocks its thread for at least this long, such as
    /// 10ms. By default callbacks are not timed.
    #[arg(long, value_name = "TIME", value_parser = units::time, help_heading = "Process")]
    slow_callback: Option<Duration>,
    /// Print counters on SIGUSR1 and at exit.
    #[arg(long, help_heading = "Process")]
    stats: bool,
    #[command(flatten)]
    pub(crate) privileges: privileges::Privileges,
    #[command(flatten)]
    pub(crate) status: status::Status,
    #[command(flatten)]
    pub(crate) tls: tls::Tls,
    /// The application protocols of the server, for ALPN.
    #[arg(skip)]
    pub(crate) protocols: &'static [&'static str],
    /// The configuration that SIGHUP reloads, besides the certificates.
    #[arg(skip)]
    pub(crate) reload: Reload,
    /// Where to listen for browsers, if the program is not an HTTP server itself, and the default
    /// limits there.
    #[arg(skip)]
    pub(crate) web: Option<(Target, Limits)>,
}

/// The additional arguments of a thread: the listener for browsers, if there is one, the HTTP
/// metrics, if there is a status listener, and the listeners whose limits SIGHUP reloads.
pub(crate) type Extra<'a> = (Option<&'a ServerListener>, Option<HttpMetrics>, &'a mut Limited);

impl Server {
    /// Opens the listeners, and gives up all rights that are not needed after that. A program
    /// starts its own threads after this.
    pub(crate) fn open(&self, limits: Limits) -> Result<Opened<'_>, Failure> {
        let mut server = sluicegate_reactor::Server::new(&self.server_options());
        let notifier = Notifier::from_environment()?;
        notifier.iter().try_for_each(|notifier| server.set_notifier(notifier))?;
        if let Some(path) = &self.control {
            server.take_over(path)?;
        }
        let certificates = self.tls.certificates(&self.bind, self.protocols)?;
        certificates.iter().for_each(|certificates| certificates.pass_sessions_on(&mut server));
        let given = self.connections.read(&limits)?;
        let options = |limits: &Limits| Listen {
            transport: self.transport(certificates.as_ref()),
            ..given.listen(limits.clone())
        };
        let listeners = self.listen(&mut server, &options(&limits))?;
        let listen_web = |(at, limits): &(Target, Limits)| server.listen(at, &options(limits));
        let web = self.web.as_ref().map(listen_web).transpose()?;
        let status = self.status.listen(&mut server)?;
        self.privileges.reduce(|sandbox| {
            let sockets = listeners.iter().chain(&web).chain(&status);
            let files = sockets.filter_map(|listener| listener.address().path());
            for file in files.chain(self.control.as_deref()) {
                sandbox.socket(file);
            }
            for file in self.tls.files().chain(self.connections.file()) {
                sandbox.read_again(file);
            }
        })?;
        Ok(Opened { options: self, server, notifier, certificates, limits, listeners, web, status })
    }

    fn server_options(&self) -> ServerOptions {
        ServerOptions {
            threads: self.threads.into(),
            memory: self.memory,
            shutdown_delay: self.shutdown_delay,
            ..ServerOptions::default()
        }
    }

    /// Sets what applies to a whole reactor.
    fn set_up(&self, reactor: &mut Reactor) {
        reactor.set_drain(self.drain);
        if let Some(limit) = self.slow_callback {
            reactor.log_slow_callbacks(limit);
        }
    }

    /// The transport of accepted connections: TLS, and before it the headers of proxies.
    fn transport(&self, certificates: Option<&Certificates>) -> Option<Factory<Address>> {
        let inner = certificates.map(Certificates::factory);
        if self.accept_proxy.is_empty() {
            return inner;
        }
        let trusted = self.accept_proxy.clone();
        Some(AcceptProxy { trusted, inner, ..AcceptProxy::default() }.factory())
    }

    fn listen(
        &self,
        server: &mut sluicegate_reactor::Server,
        listen: &Listen,
    ) -> Result<Vec<ServerListener>, Failure> {
        let activated = server.listen_activated(listen)?;
        if !activated.is_empty() {
            return Ok(activated.into_iter().map(|(_, listener)| listener).collect());
        }
        let only_ipv6 = self.bind.iter().any(|host| host.parse::<Ipv4Addr>().is_ok());
        let tcp = TcpOptions { only_ipv6, ..listen.tcp.clone() };
        let listen = &Listen { tcp, ..listen.clone() };
        let mut listeners = Vec::new();
        for host in &self.bind {
            let opened = listen_on_each(server, &targets(host, self.port), listen);
            listeners.extend(opened.map_err(|error| advise(&error, host, self.port))?);
        }
        if let Some(path) = &self.unix {
            listeners.push(server.listen(&Address::from_path(path)?, listen)?);
        }
        Ok(listeners)
    }
}

/// The addresses of a host. If it is a name that cannot be resolved, listening on it returns the
/// error.
fn targets(host: &str, port: u16) -> Vec<Target> {
    let target = Target::from((host, port));
    let Target::Name(name, port) = &target else { return vec![target] };
    let Ok(addresses) = (&**name, *port).to_socket_addrs() else { return vec![target] };
    let mut targets: Vec<_> = addresses.map(Target::from).collect();
    // The hosts file may have a name and an address on several lines.
    targets.sort_by_key(Target::to_string);
    targets.dedup();
    targets
}

/// Listens on all targets. Some systems list `::1` for `localhost` but have no such address, or no
/// IPv6 at all. That is an error only if no target can be listened on; any other error is one.
fn listen_on_each(
    server: &mut sluicegate_reactor::Server,
    targets: &[Target],
    listen: &Listen,
) -> io::Result<Vec<ServerListener>> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for target in targets {
        match server.listen(target, listen) {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                log::info!("{error}; skipped");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Adds advice for the user to an error.
fn advise(error: &io::Error, host: &str, port: u16) -> Failure {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied if (1..1024).contains(&port) => {
            "; choose a --port above 1023, or allow this one to the program with \
             `setcap cap_net_bind_service=+ep`"
        }
        ErrorKind::AddrInUse => "; stop the other server, or choose another --port",
        ErrorKind::AddrNotAvailable => "; choose a --bind address of this machine",
        _ if host.parse::<IpAddr>().is_err() => "; check the name, or --bind an IP address",
        _ => "",
    };
    Failure::from(format!("{error}{advice}"))
}
