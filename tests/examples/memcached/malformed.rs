//! Lines that are not commands. Whatever is wrong, the connection is in step afterwards.

use super::*;

const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format\n";
const TOO_LARGE: &str = "SERVER_ERROR object too large for cache\n";

#[test]
fn row_09_keys_have_up_to_250_bytes_without_control_characters() {
    let (longest, long) = ("k".repeat(250), "k".repeat(251));
    talk(&[
        (&format!("set {longest} 0 0 1\nx\n"), "STORED\n"),
        (&format!("get {longest}\n"), &format!("VALUE {longest} 0 1\nx\nEND\n")),
        (&format!("set {long} 0 0 1\nx\n"), BAD_FORMAT),
        (&format!("get {long}\n"), BAD_FORMAT),
    ]);
    for line in ["delete {}", "incr {} 1", "touch {} 1", "mg {} v", "md {}", "ma {}", "me {}"] {
        talk(&[(&format!("{}\n", line.replace("{}", &long)), BAD_FORMAT)]);
    }
    talk(&[
        ("set a 0 0 1\nx\n", "STORED\n"),
        // The error is the whole response, as a client would not find its end otherwise.
        (&format!("get a {long} a\n"), BAD_FORMAT),
        (&format!("ms {long} 2\nhi\n"), BAD_FORMAT),
        ("set a\x01b 0 0 1\nx\n", BAD_FORMAT),
        ("get a\tb\n", BAD_FORMAT),
        ("set é 0 0 1\nx\nget é\n", "STORED\nVALUE é 0 1\nx\nEND\n"),
    ]);
}

#[test]
fn row_09_lengths_that_are_none_are_refused() {
    for len in ["-1", "2147483647", "4294967295", "99999999999999999999", "abc", "1x"] {
        talk(&[
            (&format!("set a 0 0 {len}\n"), BAD_FORMAT),
            (&format!("cas a 0 0 {len} 1\n"), BAD_FORMAT),
            (&format!("ms a {len}\n"), BAD_FORMAT),
        ]);
    }
}

#[test]
fn row_09_a_block_is_skipped_if_its_line_is_wrong_elsewhere() {
    for line in [
        "set a x 0 3",
        "set a -1 0 3",
        "set a 4294967296 0 3",
        "set a 0 x 3",
        "cas a 0 0 3 x",
        "cas a 0 0 3",
        "ms a 3 Fx",
    ] {
        talk(&[(&format!("{line}\nmn\r\n"), BAD_FORMAT)]);
    }
    talk(&[
        ("set a 0 0 3 noreply x\nabc\n", "ERROR\n"),
        ("set a 0 0\n", "ERROR\n"),
        ("set\n", "ERROR\n"),
    ]);
}

#[test]
fn row_09_anything_else_is_an_error() {
    for line in ["bogus", "GET a", "get", "get ", "gat", "delete", "incr a", "touch a"] {
        talk(&[(&format!("{line}\n"), "ERROR\n")]);
    }
    talk(&[
        ("\n", "ERROR\n"),
        (" \n", "ERROR\n"),
        ("gat 1\n", "END\n"),
        ("gats 1 \n", "END\n"),
        ("gat x a\n", "CLIENT_ERROR invalid exptime argument\n"),
        ("touch a x\n", "CLIENT_ERROR invalid exptime argument\n"),
        ("flush_all x\n", "CLIENT_ERROR invalid exptime argument\n"),
        ("flush_all 1 2 3\n", "ERROR\n"),
        ("verbosity x\n", BAD_FORMAT),
        ("delete a 5\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\n"),
    ]);
}

#[test]
fn row_09_a_line_that_is_too_long_is_skipped() {
    let mut h = cache();
    let client = h.open();
    let most = example::server::MAX_LINE;
    let keys = "k ".repeat(most / 2 - 2);
    assert_eq!(ask(&mut h, client, &format!("get {keys}\n")), "END\n");
    let answer = ask(&mut h, client, &format!("get {keys}kkkk\nmn\n"));
    assert_eq!(answer, "CLIENT_ERROR line too long\nMN\n");
}

#[test]
fn row_10_a_value_over_the_limit_is_swallowed_exactly() {
    let small = || cache_with(Settings { max_value: 1024, ..SETTINGS });
    let (fits, large) = ("x".repeat(1024), "x".repeat(1025));
    let said = format!(
        "set a 0 0 1024\n{fits}\nset a 0 0 1025\n{large}\nget a\nms b 1025\n{large}\n\
         set b 0 0 1025 noreply\n{large}\nmn\n"
    );
    let outcome = same_at_every_split(small, crlf(&said));
    assert_eq!(plain(outcome.sent), format!("STORED\n{TOO_LARGE}END\n{TOO_LARGE}MN\n"));
}

#[test]
fn row_10_other_commands_with_a_value_over_the_limit_leave_the_item() {
    let mut h = cache_with(Settings { max_value: 4, ..SETTINGS });
    let client = h.open();
    ask(&mut h, client, "set a 0 0 1\nx\n");
    for command in ["add a 0 0 5", "append a 0 0 5", "cas a 0 0 5 1", "ms a 5 MA"] {
        assert_eq!(ask(&mut h, client, &format!("{command}\n12345\n")), TOO_LARGE);
    }
    assert_eq!(ask(&mut h, client, "get a\n"), "VALUE a 0 1\nx\nEND\n");
}

#[test]
fn row_10_a_value_does_not_grow_over_the_limit() {
    let mut h = cache_with(Settings { max_value: 6, ..SETTINGS });
    let client = h.open();
    ask(&mut h, client, "set a 0 0 4\n1234\n");
    for (command, answer) in [
        ("append a 0 0 3", "NOT_STORED\n"),
        ("prepend a 0 0 3", "NOT_STORED\n"),
        ("append a 0 0 3 noreply", ""),
        ("ms a 3 MA", "NS\n"),
    ] {
        assert_eq!(ask(&mut h, client, &format!("{command}\n567\n")), answer, "{command}");
    }
    assert_eq!(ask(&mut h, client, "append a 0 0 2\n56\n"), "STORED\n");
    assert_eq!(ask(&mut h, client, "get a\n"), "VALUE a 0 6\n123456\nEND\n");
    let stats = ask(&mut h, client, "stats\n");
    assert!(stats.contains("STAT store_too_large 4\n"), "{stats}");
}

#[test]
fn row_10_data_must_end_where_its_line_has_said() {
    talk(&[
        ("set a 0 0 2\nhixx\n", "CLIENT_ERROR bad data chunk\nERROR\n"),
        ("ms a 2\nhixx\n", "CLIENT_ERROR bad data chunk\nERROR\n"),
        ("get a\n", "END\n"),
    ]);
}

#[test]
fn row_08_nothing_is_said_about_what_is_wrong_with_a_line_that_asks_for_silence() {
    let long = "k".repeat(251);
    for line in [
        "incr a -1 noreply",
        "decr a 1.5 noreply",
        "touch a x noreply",
        "delete a 5 noreply",
        "flush_all x noreply",
        "verbosity x noreply",
        "set a 0 0 -1 noreply",
        "set a 0 0 2  x noreply \nhi",
        "add a x 0 2 noreply\nhi",
        "replace a 0 x 2 noreply\nhi",
        "cas a 0 0 2 x noreply\nhi",
        &format!("append {long} 0 0 2 noreply\nhi"),
        &format!("prepend {long} 0 0 2 noreply\nhi"),
        &format!("delete {long} noreply"),
    ] {
        talk(&[(&format!("{line}\n"), "")]);
    }
    // The block is two bytes longer than its line says, so that what follows it is a line.
    talk(&[("set a 0 0 2 noreply\nhixx\nget a\n", "ERROR\nEND\n")]);
    // Other commands have no such word.
    talk(&[("bogus noreply\n", "ERROR\n"), (&format!("get {long} noreply\n"), BAD_FORMAT)]);
}
