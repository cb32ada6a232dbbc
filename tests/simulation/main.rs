//! The handlers that run on a real kernel, in a world in which everything goes wrong that can. Each
//! scenario runs once for each of 200 seeds, and with each transport for each of 50;
//! `SLUICEGATE_SEEDS` says otherwise.
#![cfg(feature = "testing")]
#![allow(clippy::duplicate_mod, reason = "each example has what they have in common")]

mod answers;
mod chat;
mod client;
#[cfg(target_os = "linux")]
mod cold_files;
mod connect;
mod damaged;
mod deferred;
mod drain;
mod echo;
mod exact;
mod exchanges;
mod forward;
mod hand_over;
mod hello;
mod http;
mod lines;
mod memcached;
mod messages;
mod parts;
mod proxy;
mod rates;
mod receive_file;
mod redis;
mod resumed_uploads;
mod sealed;
mod uploads;
mod upstreams;
mod watched;
mod websocket;

/// Bytes of which each part looks different.
fn noise(len: usize) -> Vec<u8> {
    (0..len).map(noise_at).collect()
}

fn noise_at(i: usize) -> u8 {
    (i * i / 7 + i) as u8
}
