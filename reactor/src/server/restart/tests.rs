//! The new process, with an old one that the tests play.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use super::message::Lines;
use super::*;

/// The connection of a new process to an old one, and its other end.
fn connected() -> (Predecessor, UnixStream) {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let listener = UnixListener::bind(&control).unwrap();
    let predecessor = Predecessor::connect(&control).unwrap().expect("it listens");
    (predecessor, listener.accept().unwrap().0)
}

#[test]
fn a_start_that_was_too_slow_fails() {
    let (predecessor, old) = connected();
    message::refuse(&old, "it did not answer in time");
    drop(old);
    let error = predecessor.finish(&[0]).unwrap_err().to_string();
    assert!(error.ends_with(" keeps running: it did not answer in time"), "{error}");
}

#[test]
fn a_new_process_waits_until_the_old_one_has_told_the_service_manager() {
    let (predecessor, old) = connected();
    let has_told = Arc::new(AtomicBool::new(false));
    let told = has_told.clone();
    let old = thread::spawn(move || {
        message::send(&old, "released\n", &[]).unwrap();
        // Time for a mistake.
        thread::sleep(Duration::from_millis(50));
        told.store(true, Ordering::Release);
    });
    predecessor.finish(&[0]).unwrap();
    assert!(has_told.load(Ordering::Acquire));
    old.join().unwrap();
}

#[test]
fn a_new_process_goes_on_if_the_old_one_ends_before_it_answers() {
    let (predecessor, old) = connected();
    drop(old);
    predecessor.finish(&[0]).unwrap();
}

#[test]
fn a_new_process_goes_on_if_the_old_one_ends_with_unread_bytes() {
    let (predecessor, old) = connected();
    message::send(&predecessor.stream, "unread\n", &[]).unwrap();
    drop(old);
    predecessor.finish(&[0]).unwrap();
}

#[test]
fn a_new_process_starts_alone_if_the_old_one_ends_before_it_offers_anything() {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    for (answers, ends) in [(false, true), (true, true), (true, false)] {
        let listener = UnixListener::bind(&control).unwrap();
        let old = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            if answers {
                let _ = Lines::of(&stream).next();
            }
            // Of a process that ends, both are closed.
            (!ends).then_some(listener)
        });
        let begun = Restart::begin(&control);
        drop(old.join().unwrap());
        assert_eq!(begun.map(|(restart, _)| restart.generation).ok(), ends.then_some(1));
        let _ = std::fs::remove_file(&control);
    }
}

#[test]
fn the_last_generation_that_can_be_counted_has_successors() {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control");
    let listener = UnixListener::bind(&control).unwrap();
    let lock = File::create(control.with_added_extension("lock")).unwrap();
    let last = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        message::check_request(&Lines::of(&stream).next().unwrap()).unwrap();
        let offer = format!("offer {} 1 0\n0 1 lock control\n", u64::MAX);
        message::send(&stream, &offer, &[listener.as_fd(), lock.as_fd()]).unwrap();
    });
    let (restart, _) = Restart::begin(&control).unwrap();
    last.join().unwrap();
    assert_eq!(restart.generation, u64::MAX);
}
