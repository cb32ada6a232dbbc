//! An entry of a listing, and its place among the others.

use std::cmp::Ordering;

use super::view::{Column, Order};

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Vec<u8>,
    pub(super) is_dir: bool,
    pub(super) len: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// A row with its place in an order.
pub(super) struct Ranked {
    pub(super) order: Order,
    pub(super) row: Row,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        self.order.compare(&self.row, &other.row)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Order {
    fn compare(self, a: &Row, b: &Row) -> Ordering {
        let directories_first = b.is_dir.cmp(&a.is_dir);
        let by_column = match self.by {
            Column::Name => compare_names(&a.name, &b.name),
            Column::Size if a.is_dir => Ordering::Equal,
            Column::Size => a.len.cmp(&b.len),
            Column::Time => a.modified.cmp(&b.modified),
        };
        let by_column = if self.descending { by_column.reverse() } else { by_column };
        directories_first.then(by_column).then_with(|| compare_names(&a.name, &b.name))
    }
}

/// Compares names as people count: `file9` comes before `file10`. ASCII letters are compared
/// ignoring case, and runs of ASCII digits by their value. Names that are equal by this are
/// compared byte by byte, so the order of different names is always decided.
fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    compare_naturally(a, b).then_with(|| a.cmp(b))
}

fn compare_naturally(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let order = match (a, b) {
            ([x, ..], [y, ..]) if x.is_ascii_digit() && y.is_ascii_digit() => {
                compare_numbers(take_digits(&mut a), take_digits(&mut b))
            }
            ([x, rest_of_a @ ..], [y, rest_of_b @ ..]) => {
                (a, b) = (rest_of_a, rest_of_b);
                x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase())
            }
            // One of them is at its end.
            _ => return a.len().cmp(&b.len()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the run of digits at the start of `name`.
fn take_digits<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    *name = rest;
    digits
}

/// Compares two runs of digits of any length by their value.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().position(|digit| *digit != b'0');
    let a = &a[significant(a).unwrap_or(a.len())..];
    let b = &b[significant(b).unwrap_or(b.len())..];
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::view::View;
    use super::*;

    fn row(name: &str, is_dir: bool, len: u64, modified: i64) -> Row {
        Row { name: name.into(), is_dir, len, modified }
    }

    #[test]
    fn rows_are_sorted_as_asked_with_directories_first() {
        let rows = [
            row("B", false, 3, 20),
            row("a", false, 2, 30),
            row("c", false, 1, 10),
            row("z", true, 4096, 5),
            row("y", true, 8192, 40),
            row("b", false, 3, 20),
        ];
        let table = [
            (None, "yzaBbc"),
            (Some("sort=name&order=desc"), "zycbBa"),
            (Some("sort=size"), "yzcaBb"),
            (Some("order=desc&sort=size"), "yzBbac"),
            (Some("sort=time"), "zycBba"),
            (Some("sort=time&order=desc"), "yzaBbc"),
            (Some("sort=&order=x&&sort"), "yzaBbc"),
        ];
        for (query, expected) in table {
            let order = View::from_query(query).order;
            let mut rows = rows.to_vec();
            rows.sort_by(|a, b| order.compare(a, b));
            let names: Vec<u8> = rows.iter().flat_map(|row| row.name.clone()).collect();
            assert_eq!(String::from_utf8_lossy(&names), expected, "{query:?}");
        }
    }

    #[test]
    fn row_35_names_are_sorted_as_people_count() {
        let sorted = [
            "",
            "0",
            "00",
            "01.txt",
            "1.txt",
            "2",
            "10",
            "18446744073709551616",
            "99999999999999999999",
            "_",
            "A",
            "a",
            "a b",
            "a.txt",
            "File1",
            "file1",
            "file2.txt",
            "file9",
            "file10",
            "file10b",
            "file10c2",
            "file10c10",
            "v1.2.9",
            "v1.2.10",
            "v1.10",
            "z",
            "\u{e4}",
        ];
        let mut shuffled: Vec<_> = sorted.iter().rev().collect();
        shuffled.sort_by(|a, b| compare_names(a.as_bytes(), b.as_bytes()));
        assert!(shuffled.iter().copied().eq(&sorted), "{shuffled:?}");
    }

    proptest! {
        #[test]
        fn row_35_the_order_of_names_is_total(names in proptest::collection::vec("[a0A1-]{0,5}", 3)) {
            let [a, b, c] = [0, 1, 2].map(|i| names[i].as_bytes());
            prop_assert_eq!(compare_names(a, b), compare_names(b, a).reverse());
            prop_assert_eq!(compare_names(a, b).is_eq(), a == b);
            if compare_names(a, b).is_le() && compare_names(b, c).is_le() {
                prop_assert!(compare_names(a, c).is_le());
            }
        }
    }
}
