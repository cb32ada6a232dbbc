//! How the buffer of a request grows.

use super::*;

fn of(expected: usize) -> Exact {
    Exact::new(expected)
}

/// Whether there is room for this many bytes, and for no more than a page beyond.
fn has_room(exact: &Exact, size: usize) -> bool {
    (size..=size + PAGE).contains(&(exact.buffer.capacity() - exact.start))
}

#[test]
fn the_first_receive_begins_in_the_middle_of_a_page() {
    // Several messages, since one may begin there by chance.
    for expected in [70_000, 100_000, 1 << 20, 3 << 20] {
        for copied in [0, 1, 18, 4096, 32_750] {
            let mut exact = of(expected);
            exact.fill(&vec![7; copied]).unwrap();
            let (buffer, room) = exact.spare().unwrap();
            assert_eq!((buffer.as_ptr().addr() + buffer.len()) % PAGE, PAGE / 2);
            buffer.resize(buffer.len() + room, 7);
            exact.fill(&vec![7; exact.left()]).unwrap();
            assert_eq!(exact.take(), vec![7; expected]);
            assert_eq!((exact.unread(), exact.left()), (0, expected));
        }
    }
}

#[test]
fn a_full_buffer_grows_sixteen_times_and_ends_as_large_as_what_is_expected() {
    let mut exact = of(35 << 20);
    let mut size = 1 << 20;
    for _ in 0..3 {
        exact.reserve(1, 0).unwrap();
        assert!(has_room(&exact, size));
        let len = exact.unread() + exact.left().min(exact.buffer.capacity() - exact.buffer.len());
        exact.buffer.resize(exact.start + len, 0);
        size = (16 * len).min(35 << 20);
    }
    assert_eq!(exact.left(), 0);
}

#[test]
fn a_buffer_with_room_for_what_comes_stays_as_it_is() {
    let mut exact = of(16 << 20);
    exact.fill(&[0; 1020 << 10]).unwrap();
    exact.reserve(4 << 10, 0).unwrap();
    assert!(has_room(&exact, 1 << 20));
    exact.reserve((4 << 10) + PAGE + 1, 0).unwrap();
    assert!(has_room(&exact, (16 * 1020) << 10));
}

#[test]
fn a_buffer_is_no_larger_than_what_is_expected() {
    let mut exact = of(100 << 10);
    exact.reserve(1, 0).unwrap();
    assert!(has_room(&exact, 100 << 10));
}
