//! Patterns in the style of a shell, as `PSUBSCRIBE` and `CONFIG GET` take them.

/// Whether a pattern matches all of a text. `*` stands for any bytes, `?` for one, `[a-c]` and
/// `[^abc]` for one of a set, and a backslash takes the next byte literally. Takes time
/// proportional to the product of the lengths, so callers must limit at least one of them.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last `*`, and how far the text behind what it stands for.
    let mut star = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        match text.get(t) {
            None if p == pattern.len() => return true,
            Some(byte) => {
                if let Some(len) = matches_one(&pattern[p..], *byte) {
                    (p, t) = (p + len, t + 1);
                    continue;
                }
            }
            None => {}
        }
        // The last `*` has to stand for one byte more.
        match &mut star {
            Some((behind, at)) if *at < text.len() => {
                *at += 1;
                (p, t) = (*behind, *at);
            }
            _ => return false,
        }
    }
}

/// Matches one byte with the front of a pattern. Returns the length of that part of the pattern.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => matches_set(set, byte).map(|len| len + 1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// Matches one byte with a set. Returns the length of the set with its closing bracket.
fn matches_set(set: &[u8], byte: u8) -> Option<usize> {
    let is_negated = set.first() == Some(&b'^');
    let (mut at, mut is_in) = (usize::from(is_negated), false);
    loop {
        at += match &set[at..] {
            [] | [b']', ..] => break,
            [b'\\', literal, ..] => {
                is_in |= *literal == byte;
                2
            }
            [first, b'-', last, ..] => {
                is_in |= (*first.min(last)..=*first.max(last)).contains(&byte);
                3
            }
            [literal, ..] => {
                is_in |= *literal == byte;
                1
            }
        };
    }
    (is_in != is_negated).then_some((at + 1).min(set.len()))
}
