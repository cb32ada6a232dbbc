//! Content codings of precompressed files, and which of them a client accepts (RFC 9110, sections
//! 8.4.1 and 12.5.3).

use crate::http::accept;

/// A coding in which a file may lie beside the original, the most preferred first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstandard,
    Gzip,
}

impl Coding {
    pub(super) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

    /// The suffix that its files append to the name of the original.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstandard => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    fn has_name(self, name: &str) -> bool {
        let is_old_name = self == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip");
        is_old_name || name.eq_ignore_ascii_case(self.name())
    }
}

/// The position of the coding that a client with these `Accept-Encoding` fields prefers; `None` for
/// no coding. At equal quality the first coding wins, and any coding wins over none. Malformed
/// members are ignored.
///
/// If a client accepts neither these codings nor `identity`, it gets the file without a coding,
/// because that serves more clients than 406.
pub(super) fn choose<'h>(
    fields: impl Iterator<Item = &'h [u8]>,
    available: impl Iterator<Item = Coding>,
) -> Option<usize> {
    let (mut of_codings, mut of_none, mut of_others) = ([None; Coding::ALL.len()], None, None);
    for (name, quality) in accept::members(fields) {
        let known = match Coding::ALL.iter().position(|coding| coding.has_name(name)) {
            Some(at) => &mut of_codings[at],
            None if name.eq_ignore_ascii_case("identity") => &mut of_none,
            None if name == "*" => &mut of_others,
            None => continue,
        };
        *known = known.or(Some(quality));
    }
    let or_others = |quality: Option<u16>| quality.or(of_others).unwrap_or(0);
    let mut best = (None, or_others(of_none).saturating_sub(1));
    for (at, coding) in available.enumerate() {
        let quality = or_others(of_codings[coding as usize]);
        if quality > best.1 {
            best = (Some(at), quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(fields: &[&str], available: &[Coding]) -> Option<Coding> {
        let fields = fields.iter().map(|field| field.as_bytes());
        choose(fields, available.iter().copied()).map(|at| available[at])
    }

    #[test]
    fn a_client_gets_the_coding_that_it_prefers_among_those_that_exist() {
        use Coding::{Brotli, Gzip, Zstandard};
        let table: [(&[&str], Option<Coding>); 31] = [
            (&[], None),
            (&[""], None),
            (&["gzip"], Some(Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Brotli)),
            (&["gzip", "br"], Some(Brotli)),
            (&["gzip, zstd"], Some(Zstandard)),
            (&["GZIP"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["br;q=0.5, gzip"], Some(Gzip)),
            (&["br;q=0.5, gzip;Q=0.501"], Some(Gzip)),
            (&["br ; q=0.5,\tgzip ;q=0.5"], Some(Brotli)),
            (&["br;q=0, gzip;q=0.001"], Some(Gzip)),
            (&["br;q=0.000, gzip;q=0"], None),
            (&["*"], Some(Brotli)),
            (&["*;q=0.5, gzip"], Some(Gzip)),
            (&["br;q=0, *"], Some(Zstandard)),
            (&["*;q=0"], None),
            (&["gzip, *;q=0"], Some(Gzip)),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some(Gzip)),
            (&["gzip;q=0.5, identity;q=0"], Some(Gzip)),
            (&["gzip;q=0.5, *;q=0.6"], Some(Brotli)),
            (&["identity;q=0"], None),
            (&["identity"], None),
            (&["deflate"], None),
            (&["gzip;q=1.000"], Some(Gzip)),
            (&["gzip;q=1.001, zstd;q=0.1"], Some(Zstandard)),
            (&["gzip;q=0.1234"], None),
            (&["gzip;q=-1"], None),
            (&["gzip;q=a"], None),
            (&["gzip;level=1, ;, =, \u{e9}"], None),
        ];
        for (fields, expected) in table {
            assert_eq!(chosen(fields, &Coding::ALL), expected, "{fields:?}");
        }
        assert_eq!(chosen(&["br, gzip"], &[Gzip]), Some(Gzip));
        assert_eq!(chosen(&["br, gzip;q=0.1"], &[Zstandard, Gzip]), Some(Gzip));
        assert_eq!(chosen(&["br"], &[Gzip]), None);
        assert_eq!(choose([&b"\xff"[..], b"gzip"].into_iter(), [Gzip].into_iter()), Some(0));
    }
}
