use proptest::prelude::*;

use super::*;

/// The name, the file name and the data of a part. The last part of a form may be incomplete.
type Part = (String, Option<String>, Vec<u8>);

fn decoder(boundary: &str, limits: FormLimits) -> FormDecoder {
    let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
    FormDecoder::new(content_type.as_bytes(), limits).expect("a valid type")
}

/// Decodes a body that arrives in pieces of these sizes, repeated. Returns the parts, and whether
/// the form is complete.
fn decode(
    mut form: FormDecoder,
    mut body: &[u8],
    sizes: &[usize],
) -> Result<(Vec<Part>, bool), FormError> {
    let mut sizes = sizes.iter().cycle();
    let (mut parts, mut is_open) = (Vec::<Part>::new(), false);
    while !body.is_empty() {
        let (mut piece, rest) = body.split_at(body.len().min(*sizes.next().expect("a size")));
        body = rest;
        loop {
            let before = piece;
            match form.next(&mut piece)? {
                FormEvent::NeedInput => break,
                FormEvent::Part(part) => {
                    assert!(!std::mem::replace(&mut is_open, true));
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    parts.push((text(part.name()), part.file_name().map(text), Vec::new()));
                }
                FormEvent::Data(data) => {
                    assert!(is_open && !data.is_empty());
                    let consumed = before.len() - piece.len();
                    assert!(consumed == 0 || before.starts_with(data) && consumed == data.len());
                    parts.last_mut().expect("a part").2.extend_from_slice(data);
                }
                FormEvent::PartEnd => assert!(std::mem::take(&mut is_open)),
                FormEvent::End => {
                    assert!(piece.is_empty() && !is_open);
                    break;
                }
            }
        }
        assert!(piece.is_empty());
    }
    Ok((parts, form.is_complete()))
}

/// Decodes a body whole, split at every byte, and byte by byte. All results must be the same.
fn decode_in_all_pieces(body: &[u8], limits: FormLimits) -> Result<(Vec<Part>, bool), FormError> {
    let whole = decode(decoder("xyz", limits), body, &[body.len().max(1)]);
    for sizes in (1..body.len()).map(|at| [at, body.len()]).chain([[1, 1], [2, 3]]) {
        assert_eq!(decode(decoder("xyz", limits), body, &sizes), whole, "{sizes:?}");
    }
    whole
}

fn part(name: &str, file_name: Option<&str>, data: &[u8]) -> Part {
    (name.to_owned(), file_name.map(str::to_owned), data.to_vec())
}

const A: &str = "Content-Disposition: form-data; name=\"a\"\r\n";

#[test]
fn row_51_parts_are_decoded_whatever_the_pieces() {
    let body = concat!(
        "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue",
        "\r\n--xyz\r\ncontent-disposition:Form-Data;name=b; filename=\"b.txt\"\r\n",
        "Content-Type: text/plain\r\n\r\n\r\n--xy\r\n\r\n-\r\r\n--xy-\r\n",
        "\r\n--xyz\r\nX: y\r\nContent-Disposition: form-data; filename=\"\"; name=\"c\"\r\n\r\n",
        "\r\n--xyz--\r\n--xyz\r\nignored",
    );
    let parts = vec![
        part("a", None, b"value"),
        part("b", Some("b.txt"), b"\r\n--xy\r\n\r\n-\r\r\n--xy-\r\n"),
        part("c", Some(""), b""),
    ];
    assert_eq!(decode_in_all_pieces(body.as_bytes(), FormLimits::default()), Ok((parts, true)));
    assert_eq!(decode_in_all_pieces(b"--xyz--", FormLimits::default()), Ok((vec![], true)));
}

#[test]
fn row_51_a_form_that_is_cut_off_is_not_complete() {
    let body = format!("--xyz\r\n{A}\r\nvalue\r\n--xyz--");
    for end in 0..body.len() {
        let (_, is_complete) =
            decode_in_all_pieces(&body.as_bytes()[..end], FormLimits::default()).expect("so far");
        assert!(!is_complete, "{end}");
    }
}

#[test]
fn row_51_what_precedes_the_first_delimiter_is_ignored_up_to_a_limit() {
    let form = format!("--xyz\r\n{A}\r\nvalue\r\n--xyz--");
    let parts = vec![part("a", None, b"value")];
    for preamble in ["", "\r\n", "\r\n\r\n", "A note.\r\n", "--xy\r\n", "x--xyz\r\n", "\r\r\n"] {
        let body = format!("{preamble}{form}");
        let decoded = decode_in_all_pieces(body.as_bytes(), FormLimits::default());
        assert_eq!(decoded, Ok((parts.clone(), true)), "{preamble:?}");
    }
    for (length, is_accepted) in [(MAX_PREAMBLE, true), (MAX_PREAMBLE + 1, false)] {
        let body = format!("{}\r\n{form}", "x".repeat(length - 2));
        for size in [1, 1000, body.len()] {
            let limits = FormLimits::default();
            let decoded = decode(decoder("xyz", limits), body.as_bytes(), &[size]);
            assert_eq!(decoded.is_ok(), is_accepted, "{length} {size}");
        }
    }
}

#[test]
fn row_51_malformed_forms_are_refused() {
    for body in [
        "--xyz \r\n",
        "--xyz-\r\n",
        "--xyz\n",
        "--xyz\r\r\n",
        "--xyz\r\n\r\n",
        "--xyz\r\nContent-Type: text/plain\r\n\r\n",
        &format!("--xyz\r\n{A}{A}\r\n"),
        &format!("--xyz\r\n{A} folded\r\n\r\n"),
        &format!("--xyz\r\n{A}no colon\r\n\r\n"),
        &format!("--xyz\r\n{A}A: \n\r\n\r\n"),
        &format!("--xyz\r\n{A}A: \r\r\n\r\n"),
        &format!("--xyz\r\n{A}A: \0\r\n\r\n"),
        &format!("--xyz\r\n{A}\r\n\r\n--xyza\r\n"),
        "--xyz\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data; name=\"a\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data; name=\"a\"; name=\"a\"\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data; name=\"a\" filename=\"b\"\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data; name\r\n\r\n",
        "--xyz\r\nContent-Disposition: form-data; name=\"a\";\r\n\r\n",
    ] {
        let decoded = decode_in_all_pieces(body.as_bytes(), FormLimits::default());
        assert_eq!(decoded, Err(FormError::Malformed), "{body:?}");
    }
}

#[test]
fn row_51_names_are_unquoted_as_clients_quote_them() {
    for (quoted, expected) in [
        (r#""plain.txt""#, "plain.txt"),
        ("token.txt", "token.txt"),
        (r#""50% ;=.txt""#, "50% ;=.txt"),
        (r#""a%22b%0D.txt""#, "a\"b%0D.txt"),
        (r#""a\"b\\c\d""#, r#"a"b\c\d"#),
        (r#""B\u{e4}ume""#, r"B\u{e4}ume"),
        ("\"B\u{e4}ume\"", "B\u{e4}ume"),
        (r#""../x"; filename*=UTF-8''other"#, "../x"),
    ] {
        let head = format!("Content-Disposition: form-data; name=a; filename={quoted}");
        let body = format!("--xyz\r\n{head}\r\n\r\n\r\n--xyz--");
        let parts = vec![part("a", Some(expected), b"")];
        let decoded = decode_in_all_pieces(body.as_bytes(), FormLimits::default());
        assert_eq!(decoded, Ok((parts, true)), "{quoted}");
    }
}

#[test]
fn row_51_a_form_has_a_type_with_a_valid_boundary() {
    let long = "b".repeat(70);
    let longer = "b".repeat(71);
    for (content_type, expected) in [
        ("multipart/form-data; boundary=xyz", None),
        ("Multipart/Form-Data ;charset=utf-8; Boundary=\"x y\"", None),
        (&format!("multipart/form-data; boundary={long}"), None),
        (&format!("multipart/form-data; boundary={longer}"), Some(FormError::Malformed)),
        ("multipart/form-data", Some(FormError::Malformed)),
        ("multipart/form-data; boundary=", Some(FormError::Malformed)),
        ("multipart/form-data; boundary=\"\"", Some(FormError::Malformed)),
        ("multipart/form-data; boundary=\"x \"", Some(FormError::Malformed)),
        ("multipart/form-data; boundary=\"x\ty\"", Some(FormError::Malformed)),
        ("multipart/form-data; boundary=a; boundary=a", Some(FormError::Malformed)),
        ("multipart/mixed; boundary=xyz", Some(FormError::OtherType)),
        ("application/x-www-form-urlencoded", Some(FormError::OtherType)),
        ("", Some(FormError::OtherType)),
    ] {
        let form = FormDecoder::new(content_type.as_bytes(), FormLimits::default());
        assert_eq!(form.err(), expected, "{content_type}");
    }
}

#[test]
fn row_51_the_heads_of_parts_and_their_number_are_bounded() {
    let limits = FormLimits { parts: 2, part_head: A.len() + 2 };
    let part = format!("--xyz\r\n{A}\r\n\r\n");
    let two = format!("{part}{part}--xyz--");
    assert_eq!(decode_in_all_pieces(two.as_bytes(), limits).map(|(parts, _)| parts.len()), Ok(2));
    let three = format!("{part}{part}{part}");
    assert_eq!(decode_in_all_pieces(three.as_bytes(), limits), Err(FormError::TooManyParts));
    let longer = format!("--xyz\r\nA{A}\r\n");
    assert_eq!(decode_in_all_pieces(longer.as_bytes(), limits), Err(FormError::HeadTooLong));
    // Even if no line ends.
    let endless = format!("--xyz\r\n{}", "a".repeat(A.len() + 3));
    assert_eq!(decode_in_all_pieces(endless.as_bytes(), limits), Err(FormError::HeadTooLong));
}

proptest! {
    #[test]
    fn row_51_what_was_encoded_is_decoded(
        parts in proptest::collection::vec("[\r\nxyz-]{0,12}", 0..4),
        sizes in proptest::collection::vec(1usize..9, 1..4),
    ) {
        // In data, the delimiter does not occur.
        let data = |text: &String| text.replace("\r\n--xyz", "").into_bytes();
        let parts: Vec<_> = parts.iter().map(|text| part("a", None, &data(text))).collect();
        let mut body = Vec::new();
        for (_, _, data) in &parts {
            body.extend_from_slice(format!("--xyz\r\n{A}\r\n").as_bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--xyz--");
        let decoded = decode(decoder("xyz", FormLimits::default()), &body, &sizes);
        prop_assert_eq!(decoded, Ok((parts, true)));
    }
}
