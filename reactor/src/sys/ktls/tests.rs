use std::io::{ErrorKind, Read, Write};
use std::mem::offset_of;
use std::net::Shutdown;

use super::*;

const NONCE: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn key(suite: Suite) -> Key {
    let bytes: Vec<u8> = (100..).take(key_len(suite.cipher)).collect();
    Key::new(suite, &bytes, NONCE, 0x0102)
}

/// Checks the fields of the kernel's struct of this name.
macro_rules! check {
    ($info:expr, $layout:ident, $cipher:ident, $salt:expr) => {{
        use libc::$layout as Layout;
        let info: Vec<u8> = $info;
        assert_eq!(info.len(), size_of::<Layout>());
        assert_eq!(info[2..4], libc::$cipher.to_ne_bytes());
        let at = |start: usize, len: usize| &info[start..start + len];
        let iv = &NONCE[$salt..];
        assert_eq!(at(offset_of!(Layout, iv), iv.len()), iv);
        assert_eq!(at(offset_of!(Layout, salt), $salt), &NONCE[..$salt]);
        assert_eq!(at(offset_of!(Layout, key), 2), [100, 101]);
        assert_eq!(at(offset_of!(Layout, rec_seq), 8), [0, 0, 0, 0, 0, 0, 1, 2]);
        info
    }};
}

#[test]
fn keys_are_laid_out_as_the_kernel_has_them() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let info = |cipher| {
            crypto_info(Direction::Receive, &key(Suite { version, cipher }))
                .expect("a known cipher")
        };
        let of_version = match version {
            TlsVersion::Tls12 => 0x0303_u16,
            TlsVersion::Tls13 => 0x0304,
        };
        let (aes_128, aes_256, chacha) =
            (info(Cipher::Aes128Gcm), info(Cipher::Aes256Gcm), info(Cipher::ChaCha20Poly1305));
        for info in [
            check!(aes_128, tls12_crypto_info_aes_gcm_128, TLS_CIPHER_AES_GCM_128, 4),
            check!(aes_256, tls12_crypto_info_aes_gcm_256, TLS_CIPHER_AES_GCM_256, 4),
            check!(chacha, tls12_crypto_info_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305, 0),
        ] {
            assert_eq!(info[..2], of_version.to_ne_bytes());
        }
    }
}

#[test]
fn the_nonces_of_aes_in_tls_1_2_are_not_those_that_were_used_before() {
    let iv = |suite| {
        let info = crypto_info(Direction::Send, &key(suite)).expect("a known cipher");
        u64::from_be_bytes(*info[4..].first_chunk().expect("8 bytes"))
    };
    let nonce = u64::from_be_bytes(*NONCE[4..].first_chunk().expect("8 bytes"));
    let (v12, v13) = (TlsVersion::Tls12, TlsVersion::Tls13);
    for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm] {
        let first = iv(Suite { version: v12, cipher });
        // rustls: the nonce XOR the number of the record. The kernel: counted up from the first.
        for used in (0..1_000).map(|number| nonce ^ number) {
            assert!(first.abs_diff(used) > 1 << 62);
        }
        assert_eq!(iv(Suite { version: v13, cipher }), nonce);
    }
}

/// The two ends of a TCP connection with TLS, if the kernel has it.
#[expect(
    clippy::print_stderr,
    reason = "a test that did not run should not look like one that did"
)]
fn pair() -> Option<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let near = TcpStream::connect(listener.local_addr().expect("its address")).expect("a stream");
    let (far, _) = listener.accept().expect("the other end");
    match attach_tls(near.as_raw_fd()) {
        Ok(()) => {
            attach_tls(far.as_raw_fd()).expect("what was possible just now");
            Some((near, far))
        }
        Err(error) => {
            eprintln!("not run: the kernel has no module `tls`, or it is not loaded: {error}");
            None
        }
    }
}

#[test]
fn a_kernel_without_the_module_supports_no_suite() {
    let is_there = pair().is_some();
    let suite = all_suites()[3];
    assert_eq!(supports_tls(suite).is_ok(), is_there);
}

#[test]
fn a_probe_without_descriptors_is_repeated_and_any_other_result_is_kept() {
    let supported = OnceLock::new();
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
        remember(&supported, Err(io::Error::from_raw_os_error(errno)));
        assert_eq!(supported.get(), None, "{errno}");
    }
    remember(&supported, Ok(all_suites()));
    assert_eq!(supported.get().map(Vec::len), Some(all_suites().len()));

    let missing = OnceLock::new();
    remember(&missing, Err(io::Error::from_raw_os_error(libc::ENOENT)));
    assert_eq!(missing.get(), Some(&Vec::new()));
}

#[test]
fn records_pass_between_two_kernels_and_other_ones_hold_the_data_up() {
    for suite in all_suites() {
        let Some((mut near, mut far)) = pair() else { return };
        let (near_fd, far_fd) = (near.as_raw_fd(), far.as_raw_fd());
        // The sender changes the nonce in TLS 1.2, where it is in the record.
        set_tls_key(near_fd, Direction::Send, &key(suite)).expect("a key");
        set_tls_key(far_fd, Direction::Receive, &key(suite)).expect("a key");
        far.set_nonblocking(true).expect("a stream");
        near.write_all(b"first").expect("sent");
        send_record(near_fd, 21, &[1, 0]).expect("sent");
        near.write_all(b"second").expect("sent");
        near.shutdown(Shutdown::Write).expect("an end");

        let mut buffer = [0; 100];
        let mut receive = || loop {
            match far.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result.map(|count| buffer[..count].to_vec()),
            }
        };
        assert_eq!(receive().expect("data"), b"first", "{suite:?}");
        let error = receive().expect_err("an alert");
        assert!(matches!(crate::sys::held_up(&error), Some(crate::sys::HeldUp::Record)), "{error}");
        let mut alert = [0; 100];
        assert_eq!(recv_record(far_fd, &mut alert).expect("an alert"), Some((21, 2)));
        assert_eq!(alert[..2], [1, 0]);
        assert_eq!(receive().expect("data"), b"second");
        assert_eq!(receive().expect("the end"), b"");
    }
}

#[test]
fn a_record_does_not_follow_bytes_that_have_no_room() {
    let Some((mut near, _far)) = pair() else { return };
    let fd = near.as_raw_fd();
    set_tls_key(fd, Direction::Send, &key(all_suites()[3])).expect("a key");
    near.set_nonblocking(true).expect("a stream");
    while near.write(&[0; 16 << 10]).is_ok() {}
    let error = send_record(fd, 21, &[1, 0]).expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn bytes_without_the_type_of_their_record_are_an_error_and_not_the_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let mut near =
        TcpStream::connect(listener.local_addr().expect("its address")).expect("a stream");
    let (far, _) = listener.accept().expect("the other end");
    near.write_all(b"plain").expect("sent");
    drop(near);
    let mut buffer = [0; 16];
    let error = recv_record(far.as_raw_fd(), &mut buffer).expect_err("no type");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(recv_record(far.as_raw_fd(), &mut buffer).expect("the end"), None);
}
