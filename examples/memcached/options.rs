//! The options of the server. Those that memcached also has use the same letters.

use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;

use clap::{ArgAction, Parser, value_parser};
use sluicegate_reactor::Limits;

use super::common::{self, units};
use super::server::Settings;

const EXAMPLES: &str = "\
Examples:
  memcached                       serve 127.0.0.1, port 11211, with 64 MiB for items
  memcached -m 4096 -t 4 -l 0.0.0.0
                                  listen on all addresses, with 4 GiB and four threads
  memcached -I 8M                 accept values of up to 8 MiB

Each item has an overhead: 85 to 100 bytes for values of up to 4 KiB, about 220
for 10 KB, and 4.5 KB for values over 64 KiB. (memcached 1.6 needs 80 to 90, and
rounds up to a slab's size, which adds 5 to 10 %.) The slots of removed items
are reused, but never freed, and large values do not fit where small ones were:
when large items replace small ones, memory use can grow to about twice -m. A
client that does not read keeps one value in memory, and up to 64 with several
threads, even after they have been evicted; --memory limits what all clients
keep. The line of a get may be up to 1 MiB long, and that of any other command
2 KiB.
There is no authentication: use a -l address that only your servers can reach.";

/// The sizes that -I may be.
const VALUE_SIZES: RangeInclusive<u64> = 1 << 10..=128 << 20;

/// An in-memory cache that speaks the memcached text protocol.
#[derive(Parser)]
#[command(name = "memcached", version, after_help = EXAMPLES)]
#[command(mut_arg("bind", |arg| arg.short('l')))]
#[command(mut_arg("port", |arg| arg.short('p').default_value("11211")))]
#[command(mut_arg("threads", |arg| arg.short('t')))]
#[command(mut_arg("max_connections", |arg| arg.short('c').default_value("1024")))]
pub(crate) struct Options {
    /// Memory for items in MiB; when it is full, the least recently used items are evicted.
    #[arg(short = 'm', long, value_name = "MIB", default_value_t = 64, help_heading = "Cache")]
    #[arg(value_parser = value_parser!(u64).range(1..=1 << 24))]
    memory_limit: u64,
    /// Maximum length of a value, from 1K to 128M, and at most half of the memory of a thread (-m
    /// divided by -t).
    #[arg(short = 'I', long, value_name = "SIZE", default_value = "1M", help_heading = "Cache")]
    #[arg(value_parser = value_size)]
    max_value: u64,
    /// Ignored, because there is no UDP; accepted for compatibility with memcached.
    #[arg(short = 'U', long, value_name = "N", default_value_t = 0, help_heading = "Cache")]
    udp_port: u16,
    /// Ignored, because RUST_LOG sets the log level; accepted for compatibility with memcached.
    #[arg(short = 'v', action = ArgAction::Count, help_heading = "Process")]
    verbose: u8,
    #[command(flatten)]
    pub(crate) server: common::Server,
}

fn value_size(text: &str) -> Result<u64, String> {
    let size = units::size(text)?;
    if VALUE_SIZES.contains(&size) { Ok(size) } else { Err("it is from 1K to 128M".to_owned()) }
}

impl Options {
    /// The settings that the options define.
    pub(crate) fn settings(&self) -> Result<Settings, common::Failure> {
        let defaults = Limits::default();
        let limits = self.server.connections.read(&defaults)?.listen(defaults);
        let (value, threads) = (self.max_value, self.server.threads);
        // As in memcached: otherwise a value that is allowed could never be stored.
        let most = (self.memory_limit << 20) / u64::from(threads) / 2;
        if value > most {
            let memory = self.memory_limit;
            return Err(common::Failure::from(format!(
                "values of {value} bytes (-I) are longer than half of the memory of a thread: with \
                 -m {memory} and -t {threads}, that is {most} bytes"
            )));
        }
        Ok(Settings {
            memory: (self.memory_limit << 20) as usize,
            max_value: self.max_value as usize,
            max_connections: limits.max_connections,
            threads: self.server.threads.into(),
            pid: std::process::id(),
            seed: RandomState::new().hash_one(0),
        })
    }
}
