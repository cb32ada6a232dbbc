//! The examples as people run them: as processes, on the kernel of this machine, with the clients
//! of others. `cargo test --workspace --all-features` builds them; a run of this file alone needs
//! `cargo build --all-features --examples` first. One server is not an example: that of mail, which
//! starts TLS at a command.
//!
//! On Linux, with the variable `CI` set, a tool that is missing fails its test. Elsewhere the test
//! says so and passes.

mod api;
mod auth;
mod browser;
mod chat;
#[cfg(target_os = "linux")]
mod chat_load;
mod chromium;
mod client;
#[cfg(target_os = "linux")]
mod cold_files;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod documented;
mod drain;
mod echo;
#[cfg(target_os = "linux")]
mod exhaustion;
#[cfg(target_os = "linux")]
mod faults;
mod forward;
#[cfg(target_os = "linux")]
mod fuse;
mod hangup;
mod haproxy;
mod http;
mod http_client;
mod limits;
mod load;
#[cfg(target_os = "linux")]
mod lookups;
mod memcached;
#[cfg(target_os = "linux")]
mod memory;
mod nginx;
#[cfg(target_os = "linux")]
mod operating;
mod options;
mod overload;
mod process;
#[cfg(target_os = "linux")]
mod prometheus;
mod proxy;
#[cfg(target_os = "linux")]
mod proxy_protocol;
mod proxy_tls;
mod random;
mod redis;
mod restart;
mod resumed;
#[cfg(target_os = "linux")]
mod sandbox;
mod service_manager;
#[path = "../handlers/sockets.rs"]
mod sockets;
mod start_tls;
mod status;
#[cfg(target_os = "linux")]
mod syscalls;
mod tls;
mod top;
#[cfg(target_os = "linux")]
mod traced;
mod unix_sockets;
#[cfg(target_os = "linux")]
mod unread;
mod uploads;
mod upstreams;
#[cfg(target_os = "linux")]
mod user;
mod websocket;
