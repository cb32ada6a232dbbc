//! Forms in any pieces: the same parts and the same end for every split, data that a naive search
//! of the whole input finds, and no more of a head or of parts than the limits allow.
//!
//! The last byte of an input says in which pieces the others arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::multipart::{
    FormDecoder, FormError, FormEvent, FormLimits, FormPart,
};

const LIMITS: FormLimits = FormLimits { parts: 4, part_head: 100 };

/// The delimiter of the forms.
const DELIMITER: &[u8] = b"\r\n--b";

/// What a form consists of: its parts with their data, and whether the last delimiter was found.
#[derive(PartialEq, Eq, Debug, Default)]
struct Form {
    parts: Vec<(FormPart, Vec<u8>)>,
    is_complete: bool,
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, body)) = input.split_last() else { return };
    let whole = decode(body, usize::MAX);
    assert_eq!(decode(body, usize::from(size % 32) + 1), whole);
    if let Ok(form) = whole {
        assert!(form.parts.len() <= LIMITS.parts);
        let data: Vec<_> = form.parts.iter().map(|(_, data)| &data[..]).collect();
        assert_eq!(data, naive(body), "{}", body.escape_ascii());
    }
});

/// Decodes a body that arrives in pieces of this size.
fn decode(body: &[u8], size: usize) -> Result<Form, FormError> {
    let mut decoder = FormDecoder::new(b"multipart/form-data; boundary=b", LIMITS)?;
    let mut form = Form::default();
    for mut piece in body.chunks(size) {
        loop {
            match decoder.next(&mut piece)? {
                FormEvent::Part(part) => form.parts.push((part.clone(), Vec::new())),
                FormEvent::Data(data) => {
                    assert!(!data.is_empty());
                    form.parts.last_mut().expect("a part").1.extend_from_slice(data);
                }
                FormEvent::PartEnd => {}
                FormEvent::NeedInput | FormEvent::End => break,
            }
        }
        assert!(piece.is_empty());
    }
    form.is_complete = decoder.is_complete();
    Ok(form)
}

/// The data of the parts of a valid form: what is between an empty line and the next delimiter,
/// behind the first one. An incomplete delimiter at the end is not data yet.
fn naive(body: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    let mut rest = match body.strip_prefix(&DELIMITER[2..]) {
        Some(rest) => rest,
        None => find(body, DELIMITER).map_or(&body[..0], |at| &body[at + DELIMITER.len()..]),
    };
    while rest.starts_with(b"\r\n") {
        let Some(end) = find(rest, b"\r\n\r\n") else { break };
        let data = &rest[end + 4..];
        let end = find(data, DELIMITER).unwrap_or_else(|| {
            (0..data.len()).find(|at| DELIMITER.starts_with(&data[*at..])).unwrap_or(data.len())
        });
        all.push(&data[..end]);
        rest = data.get(end + DELIMITER.len()..).unwrap_or_default();
    }
    all
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
