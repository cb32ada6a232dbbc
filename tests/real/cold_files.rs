//! Files on a disk that takes its time: nobody waits but who has asked for them.

use std::fs;

use tempfile::tempdir;

use crate::client::Client;
use crate::fuse::SlowDisk;
use crate::process::{Server, example};
use crate::random::noise;

#[test]
fn a_slow_disk_delays_nobody_but_who_asked_for_the_file() {
    // One that the server keeps in memory, one that it reads, and two that go by sendfile.
    for (len, flag) in [
        (1000, "--no-listing"),
        (100_000, "--copy"),
        (100_000, "--no-listing"),
        (3 << 20, "--no-listing"),
    ] {
        let dir = tempdir().expect("a new directory");
        let (slow, fast) = (noise(len, 1), noise(200_000, 2));
        fs::write(dir.path().join("fast"), &fast).expect("a file");
        let mount = dir.path().join("disk");
        fs::create_dir(&mount).expect("a directory");
        let Some(disk) = SlowDisk::mount(&mount, slow.clone()) else { return };
        let server = Server::start(example("http").arg(dir.path()).arg(flag));

        let mut waiting = Client::new(&server);
        waiting.ask("GET", "/disk/slow");
        disk.wait_for_read();
        for _ in 0..3 {
            // As long as this has no answer the disk has none.
            let (head, body) = Client::new(&server).get("/fast");
            assert!(head.status == 200 && body == fast, "{head:?} while the disk is slow");
        }
        disk.go_on();
        let (head, body) = waiting.answer();
        assert!(head.status == 200 && body == slow, "{len} bytes: {head:?}");
        let (head, body) = Client::new(&server).get("/disk/slow");
        assert!(head.status == 200 && body == slow, "{len} bytes, the second time: {head:?}");
    }
}
