//! What can be sent, and how long it is.

use bytes::Bytes;

use super::Outgoing;
use crate::fs::Fs;
use crate::sys::Kernel;

#[test]
fn whatever_is_sent_knows_its_length() {
    let dir = Fs::new(Kernel::Os).open_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let file = dir.open("Cargo.toml").unwrap();
    let cases: [(Outgoing<'_>, u64); 9] = [
        (b"array".into(), 5),
        (b"slice"[1..].into(), 4),
        ("text".into(), 4),
        ("".into(), 0),
        (Bytes::from_static(b"shared").into(), 6),
        (vec![1, 2, 3].into(), 3),
        (String::new().into(), 0),
        (file.region(10, 1 << 40).into(), 1 << 40),
        (file.region(10, 0).into(), 0),
    ];
    for (what, len) in cases {
        assert_eq!((what.len(), what.is_empty()), (len, len == 0), "{what:?}");
    }
}
