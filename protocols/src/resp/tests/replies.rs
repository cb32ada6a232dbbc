//! What an encoder writes, and what a decoder makes of it.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::resp::{Decoder, DecoderLimits, Encoder, RespError, Value, Version};

/// Writes one value of each kind.
fn write_all(version: Version) -> String {
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, version)
        .simple("a\r\nb")
        .error("ERR c\n")
        .integer(i64::MIN)
        .bulk(b"\0\r\n")
        .bulk_shared(&"s".into())
        .bulk_or_null(None)
        .null_array()
        .array(0)
        .map(1)
        .set(2)
        .push(3)
        .double(-1.5)
        .double(f64::INFINITY)
        .double(f64::NAN)
        .boolean(true)
        .boolean(false)
        .big_number("-123456789012345678901234567890")
        .verbatim(*b"txt", "text");
    bytes.escape_ascii().to_string().replace("\\r\\n", "|")
}

#[test]
fn resp3_has_all_types() {
    let expected = "+a  b|-ERR c |:-9223372036854775808|$3|\\x00||$1|s|_|_|*0|%1|~2|>3|,-1.5|,inf|\
                    ,nan|#t|#f|(-123456789012345678901234567890|=8|txt:text|";
    assert_eq!(write_all(Version::Resp3), expected);
}

#[test]
fn for_resp2_the_types_of_resp3_become_those_of_resp2() {
    let expected = "+a  b|-ERR c |:-9223372036854775808|$3|\\x00||$1|s|$-1|*-1|*0|*2|*2|*3|$4|-1.5|\
                    $3|inf|$3|nan|:1|:0|$31|-123456789012345678901234567890|$4|text|";
    assert_eq!(write_all(Version::Resp2), expected);
}

/// Decodes all values of an input that arrives in these pieces.
fn decode<'a>(
    limits: DecoderLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Value>, RespError> {
    let mut decoder = Decoder::new(limits);
    let (mut unread, mut values) = (Vec::new(), Vec::new());
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut rest = &unread[..];
        while let Some(value) = decoder.decode(&mut rest)? {
            values.push(value);
        }
        unread = rest.to_vec();
    }
    Ok(values)
}

/// Decodes an input whole, and in two pieces at every position, and byte by byte.
#[track_caller]
fn decoded(limits: DecoderLimits, input: &[u8]) -> Result<Vec<Value>, RespError> {
    let whole = decode(limits, [input]);
    for at in 1..input.len() {
        assert_eq!(decode(limits, <[_; 2]>::from(input.split_at(at))), whole, "cut at {at}");
    }
    assert_eq!(decode(limits, input.chunks(1)), whole, "byte by byte");
    whole
}

fn text(text: &'static str) -> Value {
    Value::Simple(text.into())
}

#[test]
fn row_23_every_type_is_decoded_however_it_arrives() {
    let input =
        b"+OK\r\n-ERR no\r\n:-12\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n:1\r\n\
        *1\r\n+x\r\n%1\r\n+k\r\n+v\r\n~1\r\n+x\r\n>2\r\n+x\r\n_\r\n,2.5\r\n,-inf\r\n#t\r\n#f\r\n\
        (-12345678901234567890\r\n=7\r\nmkd:abc\r\n!5\r\nERR x\r\n";
    let expected = vec![
        text("OK"),
        Value::Error("ERR no".into()),
        Value::Integer(-12),
        Value::Bulk("a\r\n".into()),
        Value::Bulk("".into()),
        Value::Null,
        Value::Null,
        Value::Array(vec![]),
        Value::Array(vec![Value::Integer(1), Value::Array(vec![text("x")])]),
        Value::Map(vec![(text("k"), text("v"))]),
        Value::Set(vec![text("x")]),
        Value::Push(vec![text("x"), Value::Null]),
        Value::Double(2.5),
        Value::Double(f64::NEG_INFINITY),
        Value::Boolean(true),
        Value::Boolean(false),
        Value::BigNumber("-12345678901234567890".into()),
        Value::Verbatim { format: *b"mkd", text: "abc".into() },
        Value::Error("ERR x".into()),
    ];
    assert_eq!(decoded(DecoderLimits::default(), input), Ok(expected));
}

#[test]
fn attributes_are_skipped() {
    let input = b"|1\r\n+ttl\r\n*1\r\n:3\r\n*2\r\n|0\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n";
    let expected = Value::Array(vec![Value::Integer(1), Value::Integer(2)]);
    assert_eq!(decoded(DecoderLimits::default(), input), Ok(vec![expected]));
}

#[test]
fn row_23_replies_that_are_malformed_or_exceed_a_limit_are_errors() {
    let limits = DecoderLimits { depth: 3, values: 4, bytes: 10, line: 8 };
    for (input, error) in [
        ("x", RespError::Type(b'x')),
        ("*?\r\n", RespError::Count),
        ("$?\r\n", RespError::Length),
        ("$-2\r\n", RespError::Length),
        ("$2\r\nabc\r\n", RespError::Unterminated),
        ("$11\r\n", RespError::Length),
        ("$9223372036854775807\r\n", RespError::Length),
        ("*2\r\n$6\r\n123456\r\n$5\r\n", RespError::Length),
        ("*5\r\n", RespError::Count),
        ("*2\r\n*3\r\n", RespError::Count),
        ("%3\r\n", RespError::Count),
        ("%9223372036854775807\r\n", RespError::Count),
        ("*-2\r\n", RespError::Count),
        ("*1\r\n*1\r\n*1\r\n*1\r\n", RespError::TooDeep),
        ("+123456789\r\n", RespError::LineTooLong),
        ("+1234567890", RespError::LineTooLong),
        ("+OK\n", RespError::Malformed),
        ("#x\r\n", RespError::Malformed),
        ("_x\r\n", RespError::Malformed),
        (",x\r\n", RespError::Malformed),
        ("(1x\r\n", RespError::Malformed),
        ("(-\r\n", RespError::Malformed),
        (":\r\n", RespError::Malformed),
        ("=3\r\ntxt\r\n", RespError::Malformed),
        ("=4\r\ntext\r\n", RespError::Malformed),
    ] {
        assert_eq!(decoded(limits, input.as_bytes()), Err(error), "{input:?}");
    }
    for input in ["$10\r\n1234567890\r\n", "+12345678\r\n", "*4\r\n_\r\n_\r\n_\r\n_\r\n"] {
        assert!(decoded(limits, input.as_bytes()).is_ok(), "{input:?}");
        let twice = input.repeat(2);
        assert!(decoded(limits, twice.as_bytes()).is_ok(), "each reply has the limit: {input:?}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[ -~]{0,8}".prop_map(|text| Value::Simple(text.into())),
        "[ -~]{0,8}".prop_map(|text| Value::Error(text.into())),
        any::<i64>().prop_map(Value::Integer),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bulk(bytes.into())),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(Value::Double),
        "[1-9][0-9]{0,30}".prop_map(|digits| Value::BigNumber(digits.into())),
        "[ -~]{0,8}".prop_map(|text| Value::Verbatim { format: *b"txt", text: text.into() }),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec(inner.clone(), 0..4).prop_map(Value::Set),
            vec(inner.clone(), 0..4).prop_map(Value::Push),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

/// Writes a value with the methods for its types.
fn write(encoder: &mut Encoder<'_, Vec<u8>>, value: &Value) {
    let text = |bytes| str::from_utf8(bytes).expect("text");
    match value {
        Value::Simple(bytes) => _ = encoder.simple(text(bytes)),
        Value::Error(bytes) => _ = encoder.error(text(bytes)),
        Value::Integer(number) => _ = encoder.integer(*number),
        Value::Bulk(bytes) => _ = encoder.bulk_shared(bytes),
        Value::Null => _ = encoder.null(),
        Value::Boolean(value) => _ = encoder.boolean(*value),
        Value::Double(number) => _ = encoder.double(*number),
        Value::BigNumber(digits) => _ = encoder.big_number(text(digits)),
        Value::Verbatim { format, text: bytes } => _ = encoder.verbatim(*format, text(bytes)),
        Value::Array(values) | Value::Set(values) | Value::Push(values) => {
            match value {
                Value::Array(_) => encoder.array(values.len()),
                Value::Set(_) => encoder.set(values.len()),
                _ => encoder.push(values.len()),
            };
            values.iter().for_each(|value| write(encoder, value));
        }
        Value::Map(pairs) => {
            encoder.map(pairs.len());
            for (key, value) in pairs {
                write(encoder, key);
                write(encoder, value);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_for_resp3_is_decoded(value in values(), size in 1..50_usize) {
        let mut bytes = Vec::new();
        write(&mut Encoder::new(&mut bytes, Version::Resp3), &value);
        let decoded = decode(DecoderLimits::default(), bytes.chunks(size));
        prop_assert_eq!(decoded, Ok(vec![value]));
    }

    #[test]
    fn what_is_encoded_for_resp2_is_one_reply(value in values(), size in 1..50_usize) {
        let mut bytes = Vec::new();
        write(&mut Encoder::new(&mut bytes, Version::Resp2), &value);
        let decoded = decode(DecoderLimits::default(), bytes.chunks(size));
        prop_assert_eq!(decoded.map(|values| values.len()), Ok(1));
    }
}
