//! Files that are received: whole under their names, or not there at all.

use std::time::Duration;

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Context, Handler, Input, Limits, Listen};

use crate::noise;

const ADDRESS: &str = "10.0.0.1:21";
/// In one piece, gathered from several, in several batches; and none.
const SIZES: [usize; 5] = [0, 5, 3000, 70_000, 200_000];

/// Receives `NAME LENGTH\n` and that many bytes, again and again, and answers `+` or `-`.
struct Uploads(Dir, CreateOptions);

impl Handler for Uploads {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
        let line = String::from_utf8(input[..end].to_vec()).expect("text");
        input.consume(end + 1);
        let (name, length) = line.split_once(' ').expect("a name and a length");
        let length = length.parse().expect("a number");
        match self.0.create(name, &self.1) {
            Ok(file) => cx.receive_file(file, Some(length)),
            Err(_) => {
                cx.send("-");
                cx.discard(length);
            }
        }
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, _: &mut (), saved: Result<Saved, NotSaved>) {
        match saved {
            Ok(Saved::Committed(Committed::Created | Committed::Replaced)) => cx.send("+"),
            Ok(Saved::Part(_)) => panic!("none was asked for"),
            Err(NotSaved { left, .. }) => {
                let sent = cx.send("-");
                cx.discard(left.expect("a length was said"));
                sent
            }
        };
    }
}

/// Returns whether files are synced.
fn serve(sim: &mut Sim) -> bool {
    sim.files().make_dir("/up");
    if sim.below(2) == 0 {
        sim.files().set_in_memory();
    }
    let splice_after = [0, 100_000, usize::MAX][sim.below(3)];
    let file_batches = 1 + sim.below(3);
    let options = CreateOptions { sync: sim.below(2) == 0, ..CreateOptions::default() };
    let limits = Limits { splice_after, file_batches, ..Limits::default() };
    sim.reactor(|reactor| {
        let dir = reactor.open_dir("/up").expect("it was made");
        let uploads = reactor.register(Uploads(dir, options));
        reactor.listen(ADDRESS, &Listen { limits, ..Listen::default() }, uploads).expect("free");
    });
    options.sync
}

/// A client that sends some files, each under a name of its own.
fn upload(sim: &mut Sim, number: usize) -> (Client, Vec<(String, usize)>) {
    let mut client = sim.client(ADDRESS);
    let mut files = Vec::new();
    for file in 0..1 + sim.below(3) {
        let (name, size) = (format!("{number}.{file}"), SIZES[sim.below(5)]);
        client = client.sends(format!("{name} {size}\n")).sends(noise(size));
        files.push((name, size));
    }
    (client, files)
}

/// Asserts whenever something arrives that it is an answer for one of so many files, or says of the
/// one behind them, which is cut, that it is not there.
fn listen(client: &Client, files: usize, then_cut: bool) {
    let mut count = 0;
    client.clone().hears(move |answers| {
        for answer in answers {
            count += 1;
            let is_possible = *answer == b'-' || *answer == b'+' && count <= files;
            assert!(is_possible && count <= files + usize::from(then_cut), "{answer} as {count}.");
        }
    });
}

/// Asserts that each file was answered truthfully, and that no file is there in part. One whose
/// directory could not be synced is answered with `-` and has its name all the same.
fn check(sim: &mut Sim, client: &Client, files: &[(String, usize)], synced: bool) {
    let answers = client.received();
    for (at, (name, size)) in files.iter().enumerate() {
        let disk = sim.files();
        let there = disk.content(format!("/up/{name}"));
        match answers.get(at) {
            Some(b'+') => assert!(there.is_some(), "{name} was said to be there"),
            Some(b'-') => assert!(there.is_none() || synced, "{name} was said not to be there"),
            _ => {}
        }
        assert!(there.is_none_or(|bytes| bytes == noise(*size)), "{name} is not exact");
    }
}

#[test]
pub(crate) fn files_are_there_as_they_were_sent_or_not_at_all() {
    Simulation::new().run(|sim| {
        let synced = serve(sim);
        let clients = (0..1 + sim.below(4)).map(|number| upload(sim, number));
        let clients: Vec<_> = clients.map(|(client, files)| (client.finishes(), files)).collect();
        clients.iter().for_each(|(client, files)| listen(client, files.len(), false));
        sim.run();
        assert_eq!(sim.files().temporary(), 0);
        for (client, files) in clients {
            check(sim, &client, &files, synced);
            if client.end() == End::Finished {
                assert_eq!(client.received().len(), files.len(), "each is answered: {client:?}");
            }
        }
    });
}

#[test]
pub(crate) fn a_peer_that_leaves_or_a_directory_that_is_removed_leaves_no_part_of_a_file() {
    Simulation::new().run(|sim| {
        let synced = serve(sim);
        let clients = (0..1 + sim.below(5)).map(|number| {
            let (client, files) = upload(sim, number);
            let size = 1 + sim.below(150_000);
            let sent = sim.below(size);
            let client = client.sends(format!("cut.{number} {size}\n")).sends(noise(sent));
            (if sim.below(2) == 0 { client.resets() } else { client.finishes() }, files)
        });
        let clients: Vec<_> = clients.collect();
        clients.iter().for_each(|(client, files)| listen(client, files.len(), true));
        let removed = sim.below(4) == 0;
        if removed {
            let when = Duration::from_micros(sim.below(100_000) as u64);
            sim.after(when, |sim| sim.files().remove("/up"));
        }
        sim.run();
        assert_eq!(sim.files().temporary(), 0);
        for (number, (client, files)) in clients.into_iter().enumerate() {
            assert_eq!(sim.files().content(format!("/up/cut.{number}")), None);
            if !removed {
                check(sim, &client, &files, synced);
            }
        }
    });
}
