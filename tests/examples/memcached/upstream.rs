//! What the tests of memcached check about the protocol, by the names of their files in its `t/`.
//! Those about its slabs, its threads and its proxy have no counterpart.

use super::*;

const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format\n";

#[test]
fn row_08_bogus_commands() {
    talk(&[("boguscommand slkdsldkfjsd\n", "ERROR\n")]);
}

#[test]
fn row_08_cas() {
    for line in ["bad blah 0 0 0", "bad 0 blah 0 0", "bad 0 0 0 blah"] {
        talk(&[(&format!("cas {line}\n\n"), BAD_FORMAT)]);
    }
    talk(&[("cas bad 0 0 blah 0\n", BAD_FORMAT)]);
    talk(&[
        ("gets foo\n", "END\n"),
        ("set foo 0 0 6\nbarval\n", "STORED\n"),
        ("gets foo\n", "VALUE foo 0 6 1\nbarval\nEND\n"),
        ("cas foo 0 0 6 123\nbarva2\n", "EXISTS\n"),
        ("gets foo\n", "VALUE foo 0 6 1\nbarval\nEND\n"),
        ("cas foo 0 0 6 1\nbarva2\n", "STORED\n"),
        ("cas foo 0 0 6 1\nbarva2\n", "EXISTS\n"),
        ("delete foo\n", "DELETED\n"),
        ("cas foo 0 0 6 1\nbarva2\n", "NOT_FOUND\n"),
        ("cas foo 0 0 6 \nbarva2\n", BAD_FORMAT),
        ("set foo1 0 0 1\n1\nset foo2 0 0 1\n2\n", "STORED\nSTORED\n"),
        ("gets foo1 foo2\n", "VALUE foo1 0 1 3\n1\nVALUE foo2 0 1 4\n2\nEND\n"),
        ("set bug15 0 0 1\n0\n", "STORED\n"),
        ("gets bug15\n", "VALUE bug15 0 1 5\n0\nEND\n"),
        ("incr bug15 1\n", "1\n"),
        ("gets bug15\n", "VALUE bug15 0 1 6\n1\nEND\n"),
    ]);
}

#[test]
fn row_08_cas_from_two_connections_succeeds_for_one() {
    let mut h = cache();
    let (one, two) = (h.open(), h.open());
    ask(&mut h, one, "set foo 0 0 1\n1\n");
    let number = ask(&mut h, one, "gets foo\n");
    assert_eq!(ask(&mut h, two, "gets foo\n"), number);
    assert_eq!(ask(&mut h, one, "cas foo 0 0 6 1\nbarva2\n"), "STORED\n");
    assert_eq!(ask(&mut h, two, "cas foo 0 0 5 1\napple\n"), "EXISTS\n");
}

#[test]
fn row_08_flags() {
    for flags in [0_u32, 123, 65_535, 1 << 31, u32::MAX] {
        talk(&[
            (&format!("set foo {flags} 0 6\nfooval\n"), "STORED\n"),
            ("get foo\n", &format!("VALUE foo {flags} 6\nfooval\nEND\n")),
            (&format!("ms a 1 F{flags}\n1\n"), "HD\n"),
            ("mg a f\n", &format!("HD f{flags}\n")),
        ]);
    }
}

#[test]
fn row_11_incrdecr() {
    talk(&[
        ("set bug21 0 0 19\n9223372036854775807\n", "STORED\n"),
        ("incr bug21 1\n", "9223372036854775808\n"),
        ("incr bug21 1\n", "9223372036854775809\n"),
        ("decr bug21 1\n", "9223372036854775808\n"),
        ("set num 0 0 1\n1\n", "STORED\n"),
        ("incr num 1\nincr num 8\ndecr num 1\n", "2\n10\n9\n"),
        ("decr num 9\ndecr num 5\n", "0\n0\n"),
        ("set num 0 0 10\n4294967296\n", "STORED\n"),
        ("incr num 1\n", "4294967297\n"),
        ("set num 0 0 20\n18446744073709551615\n", "STORED\n"),
        ("incr num 1\n", "0\n"),
        ("decr bogus 5\ndecr incr 5\n", "NOT_FOUND\nNOT_FOUND\n"),
        ("set bigincr 0 0 1\n0\n", "STORED\n"),
        ("incr bigincr 18446744073709551610\n", "18446744073709551610\n"),
        ("set text 0 0 2\nhi\n", "STORED\n"),
        ("incr text 1\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\n"),
    ]);
}

#[test]
fn row_09_issue_70() {
    talk(&[
        ("set issue70 0 0 0\n\n", "STORED\n"),
        ("set issue70 0 0 -1\n", BAD_FORMAT),
        ("set issue70 0 0 4294967295\n", BAD_FORMAT),
        ("set issue70 0 0 2147483647\n", BAD_FORMAT),
    ]);
}

#[test]
fn row_11_expirations() {
    let mut h = cache();
    let client = h.open();
    let now = h.reactor().unix_time();
    let mut gone = |said: &str, heard: &str, key: &str| {
        assert_eq!(ask(&mut h, client, said), heard);
        assert_eq!(ask(&mut h, client, &format!("get {key}\n")), "END\n", "{said}");
    };
    for exptime in [format!("{}", now - 1), format!("{}", now - 20), "-1".to_owned()] {
        gone(&format!("set foo 0 {exptime} 6\nfooval\n"), "STORED\n", "foo");
        let set = "set tch 0 0 8\ntouchval\n";
        gone(&format!("{set}touch tch {exptime}\n"), "STORED\nTOUCHED\n", "tch");
        let got = "STORED\nVALUE tch 0 8\ntouchval\nEND\n";
        gone(&format!("{set}gat {exptime} tch\n"), got, "tch");
    }
    assert_eq!(
        ask(&mut h, client, "add add 0 2 6\naddval\nadd add 0 2 7\naddval2\n"),
        "STORED\nNOT_STORED\n"
    );
    h.advance(TICK * 2);
    assert_eq!(ask(&mut h, client, "add add 0 2 7\naddval3\n"), "STORED\n");
    assert_eq!(ask(&mut h, client, "get add\n"), "VALUE add 0 7\naddval3\nEND\n");
}

#[test]
fn row_08_flush_all() {
    let mut h = cache();
    let client = h.open();
    let set = "set foo 0 0 6\nfooval\n";
    let there = "VALUE foo 0 6\nfooval\nEND\n";
    for flush in ["flush_all\n", "flush_all 0\n", "flush_all -1\n"] {
        assert_eq!(ask(&mut h, client, &format!("{set}get foo\n")), format!("STORED\n{there}"));
        assert_eq!(ask(&mut h, client, &format!("{flush}get foo\n")), "OK\nEND\n");
    }
    let soon = h.reactor().unix_time() + 2;
    ask(&mut h, client, set);
    assert_eq!(
        ask(&mut h, client, &format!("flush_all {soon}\nget foo\n")),
        format!("OK\n{there}")
    );
    h.advance(TICK * 5);
    assert_eq!(ask(&mut h, client, "get foo\n"), "END\n");
    ask(&mut h, client, set);
    let later = ask(&mut h, client, &format!("flush_all 86400\n{set}get foo\n"));
    assert_eq!(later, format!("OK\nSTORED\n{there}"));
    let refused = "CLIENT_ERROR invalid exptime argument\n";
    assert_eq!(ask(&mut h, client, "flush_all invalid\n"), refused);
}

#[test]
fn row_08_metaget_quiet_commands_in_a_pipeline() {
    talk(&[
        ("ms quiet 2 q\nmo\nmd quiet q\nmg quiet s v q\n", ""),
        ("ms quiet\n", BAD_FORMAT),
        ("ms quiet 2 q\nbo\n", ""),
        ("mg quiet v q\nmg quiet v q\nmg missing v q\nmn\n", "VA 2\nbo\nVA 2\nbo\nMN\n"),
        ("mg vivified s N30 t q\n", "HD s0 t30 W\n"),
        ("mg foo m o o o o o o o o o\n", "CLIENT_ERROR invalid flag\n"),
        ("mg foo m o o o o o o o o o\n", "CLIENT_ERROR invalid flag\n"),
    ]);
}

#[test]
fn row_08_metaget_arithmetic_with_cas() {
    talk(&[
        ("ma maE v N0 c E4321 J5\n", "VA 1 c4321\n5\n"),
        ("ma maE C4321 c v\n", "VA 1 c2\n6\n"),
        ("ma maE c v E8765\n", "VA 1 c8765\n7\n"),
        ("ms k 2 E1234\nmE\n", "HD\n"),
        ("md k C1234 E5678 I\n", "HD\n"),
        ("mg k c\n", "HD c5678 X W\n"),
    ]);
}
