//! Files that have to be read from a disk, which takes its time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{Limits, Listen};

use crate::answers::Answers;
use crate::http::{example::Site, get};
use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:80";
/// Read in one piece, sent by sendfile in one window, and in several.
const SIZES: [usize; 4] = [13, 9000, 20_000, 70_000];

/// Serves `/hot-N` and `/cold-N`, each of N bytes.
fn serve(sim: &mut Sim) {
    for size in SIZES {
        sim.files().put_file(format!("/www/hot-{size}"), &noise(size), 0);
        sim.files().put_file(format!("/www/cold-{size}"), &noise(size), 0);
    }
    let small_file = [16 << 10, u64::MAX][sim.below(2)];
    let warm_window = [8192, 20_000, 1 << 20][sim.below(3)];
    let limits = Limits { small_file, warm_window, ..Limits::default() };
    sim.reactor(|reactor| {
        let files = Files::new(reactor, "/www", FilesOptions::default());
        let files = files.expect("the root is there");
        let http = reactor.register(Watched::new(Http::new(Site { files, auth: None, log: None })));
        reactor.listen(ADDRESS, &Listen { limits, ..Listen::default() }, http).expect("free");
    });
}

/// Some requests for files of this kind, and how long their answers are.
fn requests(sim: &mut Sim, kind: &str, most: usize) -> (String, Vec<usize>) {
    let sizes: Vec<_> = (0..1 + sim.below(most)).map(|_| SIZES[sim.below(4)]).collect();
    (sizes.iter().map(|size| get(format!("{kind}-{size}"))).collect(), sizes)
}

type Asked = (Rc<RefCell<Answers>>, Client);

/// A client that asks for files in memory, and for some more when it has thought about them.
fn asks_for_hot(sim: &mut Sim) -> Asked {
    let (first, mut sizes) = requests(sim, "hot", 3);
    let (then, more) = requests(sim, "hot", 3);
    sizes.extend(more);
    let thinks = Duration::from_millis(sim.below(5000) as u64);
    let client = sim.client(ADDRESS).sends(first).waits(thinks).sends(then);
    (Answers::to(&client, Some(sizes)), client)
}

/// One that asks for files that are not in memory, behind others that are.
fn asks_for_cold(sim: &mut Sim, are_cut: bool) -> Asked {
    let (first, mut sizes) = requests(sim, "hot", 2);
    let (then, more) = requests(sim, "cold", 3);
    sizes.extend(more);
    let client = sim.client(ADDRESS).sends(first + &then);
    let client = if sim.below(3) == 0 { client.finishes() } else { client };
    (Answers::to(&client, (!are_cut).then_some(sizes)), client)
}

#[test]
pub(crate) fn while_a_disk_does_nothing_all_others_are_answered() {
    // What leaves the memory after somebody has looked makes everybody wait, here and elsewhere.
    let faults = Faults { cold: 0.0, open: 0.0, ..Faults::default() };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        for size in SIZES {
            let from = [0, sim.below(size)][sim.below(2)];
            sim.files().evict(format!("/www/cold-{size}"), from as u64);
        }
        sim.hold_disk();
        let cut = sim.below(2) == 0;
        let waiting: Vec<_> = (0..1 + sim.below(4)).map(|_| asks_for_cold(sim, cut)).collect();
        let others: Vec<_> = (0..1 + sim.below(4)).map(|_| asks_for_hot(sim)).collect();
        for size in SIZES.into_iter().filter(|_| cut) {
            let when = Duration::from_micros(sim.below(60_000_000) as u64);
            sim.after(when, move |sim| {
                sim.files().truncate(format!("/www/cold-{size}"), size / 3, 1);
            });
        }
        let leaving = asks_for_cold(sim, true);
        leaving.1.clone().waits(Duration::from_secs(1)).resets();
        sim.run_for(Duration::from_secs(70));
        for (answers, client) in &others {
            assert!(answers.borrow().are_all() || client.is_spoilt(), "{client:?}");
        }
        // One that came when its files had been cut already may have got them.
        for (answers, client) in waiting.iter().filter(|_| !cut) {
            assert!(!answers.borrow().are_all(), "{client:?} has what was never read");
            assert!(client.end() == End::Open || client.is_spoilt(), "{client:?} was given up");
        }
        sim.release_disk();
        sim.run();
        for (answers, client) in &waiting {
            let is_cut = cut && client.end() == End::Reset;
            assert!(answers.borrow().are_all() || is_cut || client.is_spoilt(), "{client:?}");
        }
    });
}

#[test]
pub(crate) fn files_that_leave_the_memory_and_change_while_they_are_read_are_exact_or_cut() {
    let faults = Faults { cold: 0.4, slow_disk: 0.3, ..Faults::default() };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        if sim.below(4) == 0 {
            sim.files().hide_residency();
        }
        let all = (0..1 + sim.below(5)).map(|_| asks_for_cold(sim, true));
        let all: Vec<_> = all.collect();
        for size in SIZES {
            let (how, from) = (sim.below(4), sim.below(size) as u64);
            let path = format!("/www/cold-{size}");
            let when = Duration::from_micros(sim.below(60_000) as u64);
            sim.after(when, move |sim| match how {
                0 => sim.files().truncate(path, size / 3, 1),
                1 => sim.files().append(path, &noise(size + 1000)[size..], 1),
                2 => sim.files().put_file(path, &noise(size + 1000), 1),
                _ => sim.files().evict(path, from),
            });
        }
        sim.run();
        for (answers, client) in all {
            answers.borrow().check(&client);
        }
    });
}
