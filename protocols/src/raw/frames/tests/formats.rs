//! What the headers of each format say.

use super::*;

#[test]
#[should_panic(expected = "at least one byte")]
fn a_size_of_nothing_is_refused_when_it_is_made() {
    let _ = Framing::fixed(0);
}

#[test]
fn row_07_headers_are_what_the_formats_say() {
    for (prefix, len, expected) in [
        (Prefix::U8, 255, &[0xff][..]),
        (Prefix::U16Be, 0x0102, &[1, 2]),
        (Prefix::U16Le, 0x0102, &[2, 1]),
        (Prefix::U24Be, 0x01_0203, &[1, 2, 3]),
        (Prefix::U24Le, 0x01_0203, &[3, 2, 1]),
        (Prefix::U32Be, 0x0102_0304, &[1, 2, 3, 4]),
        (Prefix::U32Le, 0x0102_0304, &[4, 3, 2, 1]),
        (Prefix::Varint, 0, &[0]),
        (Prefix::Varint, 127, &[127]),
        (Prefix::Varint, 128, &[0x80, 1]),
        (Prefix::Varint, 300, &[0xac, 2]),
    ] {
        let framing = Framing::prefixed(prefix, usize::MAX);
        assert_eq!(framing.header(len).as_deref(), Ok(expected), "{prefix:?}");
        let extent = Extent { header: expected.len(), payload: len as usize };
        assert_eq!(framing.decode(expected), Ok(Some(extent)), "{prefix:?}");
        for cut in 0..expected.len() {
            assert_eq!(framing.decode(&expected[..cut]), Ok(None), "{prefix:?}");
        }
    }
}

#[test]
fn row_07_a_length_may_count_itself_or_less_than_what_follows() {
    for (framing, before, header, extent) in [
        (MQTT, 1, &b"\x30\x05"[..], Extent { header: 2, payload: 5 }),
        (POSTGRESQL, 1, b"Q\0\0\0\x04", Extent { header: 5, payload: 0 }),
        (POSTGRESQL, 1, b"Q\0\0\x01\x30", Extent { header: 5, payload: 300 }),
        (HTTP2, 0, b"\0\0\0", Extent { header: 3, payload: 6 }),
        (HTTP2, 0, b"\0\x01\x26", Extent { header: 3, payload: 300 }),
    ] {
        assert_eq!(framing.decode(header), Ok(Some(extent)), "{framing:?}");
        let length = framing.header(extent.payload as u64);
        assert_eq!(length.as_deref(), Ok(&header[before..]), "{framing:?}");
        for cut in 0..header.len() {
            assert_eq!(framing.decode(&header[..cut]), Ok(None), "{framing:?}");
        }
    }
    assert_eq!(told(HTTP2, b"\0\0\x02headerab\0\0\0header"), ["(8 headerab)(6 header)", "Clean"]);
}

#[test]
fn row_07_a_length_that_its_adjustment_puts_out_of_range_is_an_error() {
    let too_long = FrameError::TooLong { len: 301, max: 300 };
    assert_eq!(POSTGRESQL.decode(b"Q\0\0\x01\x31"), Err(too_long));
    assert_eq!(POSTGRESQL.header(301), Err(too_long));
    assert_eq!(HTTP2.decode(b"\0\x01\x27"), Err(too_long));
    let too_short = FrameError::TooShort { len: 3, min: 4 };
    assert_eq!(POSTGRESQL.decode(b"Q\0\0\0\x03"), Err(too_short));
    assert_eq!(HTTP2.header(5), Err(FrameError::TooShort { len: 5, min: 6 }));
    let told = told(POSTGRESQL, b"Q\0\0\0\x05aQ\0\0\0\x03");
    assert_eq!(
        told,
        ["(6 Q\\x00\\x00\\x00\\x05a)a length of 3 bytes is below the minimum of 4", ""]
    );
    // What the prefix can state.
    let narrow = Framing::prefixed(Prefix::U8, 1000);
    let [less, more] = [-4, 6].map(|bytes| narrow.length_adjustment(bytes));
    for (framing, max) in [(less, 251), (more, 261)] {
        assert_eq!(framing.header(max as u64).as_deref(), Ok(&[255][..]));
        let error = FrameError::TooLong { len: max as u64 + 1, max };
        assert_eq!(framing.header(max as u64 + 1), Err(error));
    }
    // A varint whose first byte is below the minimum is not complete.
    let counts_itself = Framing::prefixed(Prefix::Varint, 300).length_adjustment(-130);
    assert_eq!(counts_itself.decode(&[0x80]), Ok(None));
    let extent = Extent { header: 2, payload: 126 };
    assert_eq!(counts_itself.decode(&[0x80, 2]), Ok(Some(extent)));
}

#[test]
#[should_panic(expected = "do not state their length")]
fn frames_of_one_size_have_no_length_to_adjust() {
    let _ = Framing::fixed(1).length_adjustment(1);
}

#[test]
#[should_panic(expected = "no length is as large as what is subtracted from it")]
fn an_adjustment_that_leaves_no_length_is_refused_when_it_is_made() {
    let _ = Framing::prefixed(Prefix::U8, 1000).length_adjustment(-256);
}

#[test]
fn a_varint_of_more_than_64_bits_is_malformed() {
    let framing = Framing::prefixed(Prefix::Varint, usize::MAX);
    let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(framing.header(u64::MAX).as_deref(), Ok(&most[..]));
    assert_eq!(framing.decode(&most).map(|extent| extent.map(|e| e.payload)), Ok(Some(usize::MAX)));
    for end in [2, 0x7f, 0x80, 0x81] {
        let mut bytes = [0x80; 10];
        bytes[9] = end;
        assert_eq!(framing.decode(&bytes), Err(FrameError::Varint), "{end}");
    }
    // A longer encoding than necessary, of a valid length.
    let padded = Ok(Some(Extent { header: 3, payload: 1 }));
    assert_eq!(framing.decode(&[0x81, 0x80, 0]), padded);
}

#[test]
fn a_varint_over_the_cap_fails_at_its_first_byte_that_says_so() {
    let framing = Framing::prefixed(Prefix::Varint, 200);
    assert_eq!(framing.decode(&[0x80]), Ok(None));
    assert_eq!(framing.decode(&[0x80, 0x82]), Err(FrameError::TooLong { len: 256, max: 200 }));
}

#[test]
fn a_prefix_cannot_promise_more_than_it_can_say() {
    let framing = Framing::prefixed(Prefix::U8, 1000);
    assert_eq!(framing.header(256), Err(FrameError::TooLong { len: 256, max: 255 }));
    let framing = Framing::fixed(3);
    assert_eq!(framing.header(2), Err(FrameError::NotTheSize { len: 2, size: 3 }));
    assert_eq!(framing.header(4), Err(FrameError::TooLong { len: 4, max: 3 }));
}

proptest! {
    #[test]
    fn row_07_a_length_that_is_sent_is_understood_and_one_that_is_understood_can_be_sent(
        prefix in prop::sample::select(&PREFIXES[..]),
        offset in 0_usize..4,
        adjustment in prop_oneof![-255_i32..300, 0..=i32::MAX],
        max in prop_oneof![0_usize..400, any::<usize>()],
        len in prop_oneof![0_u64..400, any::<u64>()],
        wire in prop::array::uniform10(any::<u8>()),
    ) {
        let framing = Framing::prefixed(prefix, max);
        let framing = framing.length_offset(offset).length_adjustment(adjustment);
        if let Ok(header) = framing.header(len) {
            let frame = [&wire[..offset], &header].concat();
            let extent = Extent { header: frame.len(), payload: len as usize };
            prop_assert_eq!(framing.decode(&frame), Ok(Some(extent)));
        }
        if let Ok(Some(extent)) = framing.decode(&wire) {
            let header = framing.header(extent.payload as u64).expect("a length that was received");
            // A varint may have been longer than necessary.
            if prefix != Prefix::Varint {
                prop_assert_eq!(&header[..], &wire[offset..extent.header]);
            }
        }
    }
}
