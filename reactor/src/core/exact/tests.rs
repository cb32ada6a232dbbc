//! How the buffer of a request grows.

use super::*;

fn of(expected: usize) -> Exact {
    Exact::new(expected)
}

#[test]
fn a_full_buffer_grows_sixteen_times_and_ends_as_large_as_what_is_expected() {
    let mut exact = of(35 << 20);
    for size in [1 << 20, 16 << 20, 35 << 20] {
        exact.reserve(1).unwrap();
        assert_eq!(exact.buffer.capacity(), size);
        exact.buffer.resize(size, 0);
    }
    assert_eq!(exact.left(), 0);
}

#[test]
fn a_buffer_with_room_for_what_comes_stays_as_it_is() {
    let mut exact = of(16 << 20);
    exact.fill(&[0; 1020 << 10]).unwrap();
    exact.reserve(4 << 10).unwrap();
    assert_eq!(exact.buffer.capacity(), 1 << 20);
    exact.reserve((4 << 10) + 1).unwrap();
    assert_eq!(exact.buffer.capacity(), (16 * 1020) << 10);
}

#[test]
fn a_buffer_is_no_larger_than_what_is_expected() {
    let mut exact = of(100 << 10);
    exact.reserve(1).unwrap();
    assert_eq!(exact.buffer.capacity(), 100 << 10);
}
