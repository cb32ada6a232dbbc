//! What can be sent, and its length.

use bytes::Bytes;

use super::{Kind, Outgoing};
use crate::fs::Dir;
use crate::sys::Kernel;

#[test]
fn whatever_is_sent_knows_its_length_and_kind() {
    let dir = Dir::open_root(&Kernel::Os, env!("CARGO_MANIFEST_DIR")).unwrap();
    let file = dir.open("Cargo.toml").unwrap();
    let (vector, string) = (vec![1, 2, 3], String::from("text"));
    let cases: [(Outgoing<'_>, u64, Kind); 13] = [
        (b"array".into(), 5, Kind::Slice),
        (b"slice"[1..].into(), 4, Kind::Slice),
        ("text".into(), 4, Kind::Slice),
        ("".into(), 0, Kind::Slice),
        ((&vector).into(), 3, Kind::Slice),
        ((&string).into(), 4, Kind::Slice),
        (Bytes::from_static(b"shared").into(), 6, Kind::Shared),
        ((&Bytes::from_static(b"shared")).into(), 6, Kind::Shared),
        (vec![1, 2, 3].into(), 3, Kind::Shared),
        (Box::<[u8]>::from([1, 2, 3]).into(), 3, Kind::Shared),
        (String::new().into(), 0, Kind::Shared),
        (file.region(10, 1 << 40).into(), 1 << 40, Kind::Region),
        (file.region(10, 0).into(), 0, Kind::Region),
    ];
    for (what, len, kind) in cases {
        assert_eq!((what.len(), what.is_empty()), (len, len == 0), "{what:?}");
        assert_eq!(what.kind(), kind, "{what:?}");
    }
}
