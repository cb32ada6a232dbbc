//! What can be sent, and its length.

use bytes::Bytes;

use super::Outgoing;
use crate::fs::Dir;
use crate::sys::Kernel;

#[test]
fn whatever_is_sent_knows_its_length_and_stays_borrowed_or_shared() {
    let dir = Dir::open_root(&Kernel::Os, &Default::default(), env!("CARGO_MANIFEST_DIR")).unwrap();
    let file = dir.open("Cargo.toml").unwrap();
    let (vector, string) = (vec![1, 2, 3], String::from("text"));
    let cases: [(Outgoing<'_>, u64, &str); 13] = [
        (b"array".into(), 5, "Slice"),
        (b"slice"[1..].into(), 4, "Slice"),
        ("text".into(), 4, "Slice"),
        ("".into(), 0, "Slice"),
        ((&vector).into(), 3, "Slice"),
        ((&string).into(), 4, "Slice"),
        (Bytes::from_static(b"shared").into(), 6, "Shared"),
        ((&Bytes::from_static(b"shared")).into(), 6, "Shared"),
        (vec![1, 2, 3].into(), 3, "Shared"),
        (Box::<[u8]>::from([1, 2, 3]).into(), 3, "Shared"),
        (String::new().into(), 0, "Shared"),
        (file.region(10, 1 << 40).into(), 1 << 40, "Region"),
        (file.region(10, 0).into(), 0, "Region"),
    ];
    for (what, len, kind) in cases {
        assert_eq!((what.len(), what.is_empty()), (len, len == 0), "{what:?}");
        let text = format!("{what:?}");
        assert!(text.starts_with(kind), "{text} is no {kind}");
    }
}
