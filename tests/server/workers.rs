//! The pool of threads that the reactors of a server share.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate_reactor::workers::WorkersLimits;
use sluicegate_reactor::{
    ConnId, Connect, Context, Handler, Input, Listen, Reason, Server, ServerOptions, Turn,
};

use super::{ANY_PORT, alone};

const REACTORS: usize = 3;

/// Counts the connections that it has made, and stops the server when each reactor has one.
struct Connects(&'static AtomicUsize);

impl Handler for Connects {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        if self.0.fetch_add(1, Ordering::Relaxed) + 1 == REACTORS {
            cx.stop();
        }
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), why: Reason) {
        assert!(!matches!(why, Reason::Unconnected(_)), "{why:?}");
    }
}

/// How many threads of this process have this name.
fn threads_named(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim_end() == name).count()
}

#[test]
fn all_reactors_look_names_up_in_one_pool() {
    static CONNECTED: AtomicUsize = AtomicUsize::new(0);
    let _alone = alone();
    let workers = WorkersLimits { threads: 1, ..WorkersLimits::default() };
    let options = ServerOptions { threads: REACTORS, workers, ..ServerOptions::default() };
    let mut server = Server::new(&options);
    let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let port = listener.address().ip_and_port().expect("an address of IP").port();
    let most = AtomicUsize::new(0);
    server
        .run(|shard| {
            let connects = shard.register(Connects(&CONNECTED));
            shard.serve(&listener, connects)?;
            let connector = shard.connector(connects, &Connect::default())?;
            shard.connect(connector, ("localhost", port), ());
            while !shard.has_stopped() {
                shard.turn(None)?;
                most.fetch_max(threads_named("lookup"), Ordering::Relaxed);
            }
            Ok(())
        })
        .unwrap();
    // All look up the same name at once. One that comes just as that ends may start a thread.
    let most = most.into_inner();
    assert!((1..REACTORS).contains(&most), "{most} threads");
}
