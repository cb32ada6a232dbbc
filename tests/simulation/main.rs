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
mod whims;

/// A period of an endless sequence of bytes. Copying from it is much faster than computing them.
static NOISE: [u8; 7 * 256] = {
    let (mut noise, mut i) = ([0; 7 * 256], 0);
    while i < noise.len() {
        noise[i] = (i * i / 7 + i) as u8;
        i += 1;
    }
    noise
};

/// Bytes of which each part looks different.
fn noise(len: usize) -> Vec<u8> {
    noise_from(0, len)
}

/// `len` bytes of the endless sequence, which [`noise`] returns the beginning of.
fn noise_from(at: usize, len: usize) -> Vec<u8> {
    let first = at % NOISE.len();
    let mut noise = NOISE.repeat((first + len).div_ceil(NOISE.len()));
    noise.truncate(first + len);
    noise.drain(..first);
    noise
}

/// Whether the bytes are those of the endless sequence at this position.
fn is_noise(at: usize, bytes: &[u8]) -> bool {
    bytes == noise_from(at, bytes.len())
}
