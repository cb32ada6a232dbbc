//! The commands of the text protocol.

use super::*;

#[test]
fn row_08_values_are_stored_and_fetched() {
    talk(&[
        ("get a\n", "END\n"),
        ("set a 5 0 3\nabc\n", "STORED\n"),
        ("get a\n", "VALUE a 5 3\nabc\nEND\n"),
        ("gets a b a\n", "VALUE a 5 3 1\nabc\nVALUE a 5 3 1\nabc\nEND\n"),
        ("add a 0 0 1\nx\n", "NOT_STORED\n"),
        ("add b 0 0 0\n\n", "STORED\n"),
        ("replace b 4294967295 0 1\ny\n", "STORED\n"),
        ("replace c 0 0 1\ny\n", "NOT_STORED\n"),
        ("get  a   b c \n", "VALUE a 5 3\nabc\nVALUE b 4294967295 1\ny\nEND\n"),
    ]);
}

#[test]
fn row_08_a_value_may_be_any_bytes() {
    let said = b"set a 0 0 6\r\n\r\n\n\0\xff\r\r\nget a\r\n";
    let outcome = same_at_every_split(cache, said);
    assert_eq!(outcome.sent, b"STORED\r\nVALUE a 0 6\r\n\r\n\n\0\xff\r\r\nEND\r\n");
}

#[test]
fn row_08_append_and_prepend_keep_flags() {
    talk(&[
        ("append a 0 0 1\nx\n", "NOT_STORED\n"),
        ("prepend a 0 0 1\nx\n", "NOT_STORED\n"),
        ("set a 3 0 2\nhi\n", "STORED\n"),
        ("append a 9 9 2\nho\n", "STORED\n"),
        ("prepend a 9 9 2\nhe\n", "STORED\n"),
        ("gets a\n", "VALUE a 3 6 3\nhehiho\nEND\n"),
    ]);
}

#[test]
fn row_08_cas_stores_what_nobody_has_changed() {
    talk(&[
        ("cas a 0 0 1 1\nx\n", "NOT_FOUND\n"),
        ("set a 0 0 1\nx\n", "STORED\n"),
        ("cas a 1 0 1 7\ny\n", "EXISTS\n"),
        ("cas a 1 0 1 1\ny\n", "STORED\n"),
        ("cas a 2 0 1 1\nz\n", "EXISTS\n"),
        ("gets a\n", "VALUE a 1 1 2\ny\nEND\n"),
        ("cas a 2 0 1 2 noreply\nz\n", ""),
        ("get a\n", "VALUE a 2 1\nz\nEND\n"),
    ]);
}

#[test]
fn row_08_items_are_deleted_touched_and_flushed() {
    talk(&[
        ("delete a\n", "NOT_FOUND\n"),
        ("touch a 10\n", "NOT_FOUND\n"),
        ("set a 0 0 1\nx\n", "STORED\n"),
        ("touch a 10\n", "TOUCHED\n"),
        ("gat 20 a\n", "VALUE a 0 1\nx\nEND\n"),
        ("gats 20 b a\n", "VALUE a 0 1 1\nx\nEND\n"),
        ("delete a 0\n", "DELETED\n"),
        ("get a\n", "END\n"),
        ("set a 0 0 1\nx\nset b 0 0 1\ny\n", "STORED\nSTORED\n"),
        ("flush_all\n", "OK\n"),
        ("get a b\n", "END\n"),
        ("set a 0 0 1\nx\n", "STORED\n"),
        ("flush_all 0\nflush_all noreply\nflush_all 0 noreply\n", "OK\n"),
        ("add a 0 0 1\ny\n", "STORED\n"),
        ("get a\n", "VALUE a 0 1\ny\nEND\n"),
    ]);
}

#[test]
fn row_08_noreply_is_silent() {
    talk(&[
        ("set a 0 0 1 noreply\n1\n", ""),
        ("add a 0 0 1 noreply\n2\n", ""),
        ("replace a 0 0 1 noreply\n3\n", ""),
        ("append a 0 0 1 noreply\n4\n", ""),
        ("prepend a 0 0 1 noreply\n5\n", ""),
        ("get a\n", "VALUE a 0 3\n534\nEND\n"),
        ("incr a 1 noreply\ndecr a 2 noreply\ntouch a 0 noreply\n", ""),
        ("get a\n", "VALUE a 0 3\n533\nEND\n"),
        ("delete a noreply\ndelete a 0 noreply\nverbosity 1 noreply\n", ""),
        ("get a\n", "END\n"),
    ]);
}

#[test]
fn row_08_the_server_describes_itself() {
    talk(&[
        ("verbosity 1\n", "OK\n"),
        ("verbosity noreply\n", ""),
        ("verbosity\n", "ERROR\n"),
        ("stats items\n", "END\n"),
        ("stats nonsense\n", "ERROR\n"),
        ("stats reset\n", "RESET\n"),
    ]);
    let mut h = cache();
    let client = h.open();
    assert!(ask(&mut h, client, "version\n").starts_with("VERSION 1.6."));
    let settings = ask(&mut h, client, "stats settings\n");
    assert!(settings.contains("STAT item_size_max 1048576\n") && settings.ends_with("END\n"));
}

#[test]
fn row_08_statistics_count_what_happened() {
    let mut h = cache();
    let client = h.open();
    ask(&mut h, client, "set a 0 0 1\n1\nset b 0 0 1\n2\nget a b c\ngat 0 a\ndelete b\n");
    ask(&mut h, client, "incr a 1\ndecr b 1\ncas a 0 0 1 99\nx\ntouch b 1\ndelete b\n");
    let stats = ask(&mut h, client, "stats\n");
    for (name, value) in [
        ("curr_items", 1),
        ("total_items", 2),
        ("curr_connections", 1),
        ("cmd_get", 4),
        ("cmd_set", 3),
        ("cmd_touch", 2),
        ("get_hits", 3),
        ("get_misses", 1),
        ("delete_hits", 1),
        ("delete_misses", 1),
        ("incr_hits", 1),
        ("decr_misses", 1),
        ("cas_badval", 1),
        ("touch_hits", 1),
        ("touch_misses", 1),
        ("limit_maxbytes", 64 << 20),
        ("threads", 1),
    ] {
        assert!(stats.contains(&format!("STAT {name} {value}\n")), "{name} {value} in {stats}");
    }
    assert!(stats.ends_with("END\n"));
    ask(&mut h, client, "stats reset\n");
    assert!(ask(&mut h, client, "stats\n").contains("STAT get_hits 0\n"));
}

#[test]
fn row_08_the_server_is_up_before_its_first_client() {
    let mut h = cache();
    h.advance(TICK * 10);
    let client = h.open();
    let stats = ask(&mut h, client, "stats\n");
    assert!(stats.contains("STAT uptime 10\n"), "{stats}");
}

#[test]
fn row_08_a_get_may_have_tens_of_thousands_of_keys() {
    let mut h = cache();
    let client = h.open();
    ask(&mut h, client, "set user:000000019999 0 0 1\nx\n");
    let keys: String = (0..20_000).map(|number| format!(" user:{number:012}")).collect();
    let answer = ask(&mut h, client, &format!("get{keys}\n"));
    assert_eq!(answer, "VALUE user:000000019999 0 1\nx\nEND\n");
}

#[test]
fn row_08_quit_closes_behind_the_responses_and_runs_nothing_more() {
    let outcome = same_at_every_split(cache, crlf("set a 0 0 1\nx\nget a\nquit\nget a\n"));
    assert_eq!(plain(outcome.sent), "STORED\nVALUE a 0 1\nx\nEND\n");
    assert_eq!(outcome.state, State::Shut);
}

#[test]
fn row_08_a_browser_is_hung_up_on() {
    for request in ["GET / HTTP/1.0", "PUT /a/b HTTP/1.1", "DELETE HTTP/1.1"] {
        let outcome = same_at_every_split(cache, crlf(&format!("{request}\nversion\n")));
        assert_eq!((plain(outcome.sent).as_str(), outcome.state), ("", State::Shut), "{request}");
    }
}

#[test]
fn row_11_numbers_wrap_above_and_stop_at_zero() {
    talk(&[
        ("incr n 1\n", "NOT_FOUND\n"),
        ("set n 7 0 2\n99\n", "STORED\n"),
        ("incr n 1\n", "100\n"),
        ("get n\n", "VALUE n 7 3\n100\nEND\n"),
        ("decr n 1\n", "99\n"),
        ("gets n\n", "VALUE n 7 2 3\n99\nEND\n"),
        ("decr n 100\n", "0\n"),
        ("incr n 18446744073709551615\n", "18446744073709551615\n"),
        ("incr n 3\n", "2\n"),
        ("set n 0 0 3\n 5 \n", "STORED\n"),
        ("incr n 1\n", "6\n"),
    ]);
}

#[test]
fn row_11_what_is_not_a_number_is_an_error() {
    let refused = "CLIENT_ERROR cannot increment or decrement non-numeric value\n";
    for value in ["", "hi", "-5", "+5", "1 2", "18446744073709551616", "184467440737095516150"] {
        let set = format!("set n 0 0 {}\n{value}\n", value.len());
        talk(&[(&set, "STORED\n"), ("incr n 1\n", refused), ("decr n 1\n", refused)]);
    }
    talk(&[
        ("incr n x\n", "CLIENT_ERROR invalid numeric delta argument\n"),
        ("incr n -1\n", "CLIENT_ERROR invalid numeric delta argument\n"),
        ("incr n\n", "ERROR\n"),
    ]);
}
