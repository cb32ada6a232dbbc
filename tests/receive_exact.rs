//! One large message on real sockets: its memory is one buffer, which grows as it arrives. By
//! itself in its file, since it looks at the memory of the process.
//!
//! `SLUICEGATE_MIB=1024 cargo test --release -p sluicegate-tests --test receive_exact` receives 1 GiB.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use sluicegate_reactor::{Context, Handler, Input, Limits, Listen, Payload, Reactor};

const MIB: usize = 1 << 20;
/// What a reactor, two threads and the allocator take besides.
const OTHERS: usize = 8 * MIB;

struct Receiver {
    count: usize,
}

impl Handler for Receiver {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.receive_exact(self.count).expect("less than the limit");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {
        cx.abort();
    }

    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), bytes: Payload<'_>) {
        let Payload::Owned(bytes) = bytes else { panic!("copied at last") };
        assert_eq!(bytes.len(), self.count);
        assert!(bytes.chunks(MIB).enumerate().all(|(at, part)| part[0] == at as u8));
        cx.send("received");
        cx.close();
    }
}

/// Memory of this process in bytes: what it has now, or the most it ever had.
fn memory(of: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(of)).expect("its memory");
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    number.parse::<usize>().expect("a number") << 10
}

#[test]
fn a_large_message_takes_one_buffer_that_grows_as_it_arrives() {
    let mib = std::env::var("SLUICEGATE_MIB").map_or(64, |mib| mib.parse().expect("a number"));
    let before = memory("VmRSS");
    let mut reactor = Reactor::new().expect("a reactor");
    let receiver = reactor.register(Receiver { count: mib * MIB });
    let limits = Limits { max_exact: mib * MIB, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let listener = reactor.listen("127.0.0.1:0", &listen, receiver).expect("a free port");
    let address =
        reactor.listener_address(listener).expect("it listens").ip_and_port().expect("an address");
    let stopper = reactor.stopper();
    let client = thread::spawn(move || {
        let mut client = TcpStream::connect(address).expect("a connection");
        client.set_read_timeout(Some(Duration::from_secs(120))).expect("an option");
        let mut part = vec![b'.'; MIB];
        for at in 0..mib {
            part[0] = at as u8;
            client.write_all(&part).expect("a server that receives");
            if at == mib / 8 {
                let now = memory("VmRSS") - before;
                assert!(now <= mib * MIB / 4 + OTHERS, "{now} bytes for an eighth");
            }
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        stopper.stop().expect("a reactor");
        answer
    });
    reactor.run().expect("a run");
    assert_eq!(client.join().expect("a client"), "received");
    let most = memory("VmHWM") - before;
    assert!(most <= mib * MIB + OTHERS, "{most} bytes for {mib} MiB");
}
