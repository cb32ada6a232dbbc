//! The meta commands.

use super::*;

#[test]
fn row_08_mg_returns_flags_in_the_order_in_which_they_were_asked_for() {
    talk(&[
        ("mg a v\n", "EN\n"),
        ("mg a k Oabc c\n", "EN ka Oabc\n"),
        ("mg a q\n", ""),
        ("set a 5 0 2\nhi\n", "STORED\n"),
        ("mg a\n", "HD\n"),
        ("mg a s v f k Oop t h c\n", "VA 2 s2 f5 ka Oop t-1 h1 c1\nhi\n"),
        ("mg a q v\n", "VA 2\nhi\n"),
        ("mg a P L s\n", "HD s2\n"),
        ("mg a Ppath Lhint v\n", "VA 2\nhi\n"),
    ]);
}

#[test]
fn row_08_mg_can_leave_an_item_as_it_was() {
    talk(&[
        ("ms a 2 T100\nhi\n", "HD\n"),
        ("mg a u h l t\n", "HD h0 l0 t100\n"),
        ("mg a h\n", "HD h0\n"),
        ("mg a u h\n", "HD h1\n"),
        ("ms a 2\nhi\ntouch a 100\n", "HD\nTOUCHED\n"),
        ("mg a u h\n", "HD h1\n"),
    ]);
    let mut h = cache();
    let client = h.open();
    ask(&mut h, client, "ms a 2\nhi\n");
    h.advance(TICK * 3);
    assert_eq!(ask(&mut h, client, "mg a u l\nmg a l\nmg a l\n"), "HD l3\nHD l3\nHD l0\n");
}

#[test]
fn row_08_mg_touches_and_compares() {
    talk(&[
        ("ms a 2 T100\nhi\n", "HD\n"),
        ("mg a t T300 t\n", "CLIENT_ERROR duplicate flag\n"),
        ("mg a t T300\n", "HD t100\n"),
        ("mg a T200 t\n", "HD t200\n"),
        ("mg a C1 v c\n", "HD c1\n"),
        ("mg a C2 v c\n", "VA 2 c1\nhi\n"),
    ]);
}

#[test]
fn row_08_one_client_wins_the_right_to_store_what_is_missing() {
    talk(&[
        ("mg a s c v N30 t\n", "VA 0 s0 c1 t30 W\n\n"),
        ("mg a s t v N30\n", "VA 0 s0 t30 Z\n\n"),
        ("ms a 2 C5000 T120\nnu\n", "EX\n"),
        ("ms a 2 C1 T120\nmu\n", "HD\n"),
        ("mg a t v N30\n", "VA 2 t120\nmu\n"),
        ("mg a v R100\n", "VA 2\nmu\n"),
        ("mg a v R130\n", "VA 2 W\nmu\n"),
        ("mg a v R130\n", "VA 2 Z\nmu\n"),
        ("append a 0 0 1\n!\n", "STORED\n"),
        ("mg a v R130\n", "VA 3 W\nmu!\n"),
        ("mg b N0 E987 c q\n", "HD c987 W\n"),
        ("mg b c E5\n", "HD c987 Z\n"),
    ]);
}

#[test]
fn row_11_the_last_of_the_flags_that_set_a_time_sets_it() {
    talk(&[
        ("mg a T300 N30\nmg a t\n", "HD W\nHD t30 Z\n"),
        ("mg b N30 T300\nmg b t\n", "HD W\nHD t300 Z\n"),
        ("mg c t T300 N30 q\nmg c T300 N30 t\n", "HD t-1 W\nHD t300 Z\n"),
        ("mg d N-1\nmg d\n", "HD W\nEN\n"),
        ("ma n t T300 t2\n", "CLIENT_ERROR duplicate flag\n"),
        ("ma n t N30 T300\nmg n t\n", "HD t-1\nHD t300\n"),
        ("ma n t T90\nma n t\n", "HD t300\nHD t90\n"),
        ("ma m T300 N30\nmg m t\n", "HD\nHD t30\n"),
    ]);
    talk(&[
        ("set a 0 20 1\n1\nmg a T300 R30\n", "STORED\nHD\n"),
        ("set a 0 20 1\n1\nmg a R30 T300\n", "STORED\nHD W\n"),
    ]);
}

#[test]
fn row_08_ms_has_the_modes_of_the_storage_commands() {
    talk(&[
        ("ms a 2 MR\nhi\n", "NS\n"),
        ("ms a 2 MA T30\nhi\n", "NS\n"),
        ("ms a 2 MA C5 T30\nhi\n", "NS\n"),
        ("ms a 2 T120 ME\nbb\n", "HD\n"),
        ("ms a 2 ME k Ox\nbb\n", "NS ka Ox\n"),
        ("ms a 2 MA s\ncc\n", "HD s4\n"),
        ("ms a 2 mP\naa\n", "CLIENT_ERROR invalid flag\n"),
        ("ms a 2 Mp\naa\n", "HD\n"),
        ("mg a v t\n", "VA 6 t120\naabbcc\n"),
        ("ms a 2 MZ\ntt\n", "CLIENT_ERROR invalid mode for ms M token\n"),
        ("ms a 2 F7 I MS\nyy\n", "HD\n"),
        ("mg a v f t\n", "VA 2 f7 t-1\nyy\n"),
        ("ms b 2 MA N30\nmo\n", "HD\n"),
        ("ms b 2 MA N90 s\nko\n", "HD s4\n"),
        ("mg b v t\n", "VA 4 t30\nmoko\n"),
        ("ms b 0\n\n", "HD\n"),
    ]);
}

#[test]
fn row_08_ms_compares_and_sets_cas_numbers() {
    talk(&[
        ("ms a 2 C1\nhi\n", "NF\n"),
        ("ms a 2 c\nhi\n", "HD c1\n"),
        ("ms a 2 c C9\nho\n", "EX c0\n"),
        ("ms a 2 c C1 E4000\nhu\n", "HD c4000\n"),
        ("mg a c v\n", "VA 2 c4000\nhu\n"),
        ("ms a 2 q\nhi\nms a 2 q C7\nhi\n", "EX\n"),
        ("ms a 2 E50\nhi\n", "HD\n"),
        ("ms a 1 MA I C49\n!\nms a 1 MP I C49\n!\n", "EX\nEX\n"),
        ("ms a 1 MA C50\n!\nmg a v\n", "HD\nVA 3\nhi!\n"),
        ("ms b 2 MR C1\nho\n", "NF\n"),
        ("ms b 2 ME C1\nho\nms b 2 ME C1\nho\n", "HD\nNS\n"),
        ("ms c 2 MA C1 N30\nhu\nmg c v t\n", "HD\nVA 2 t30\nhu\n"),
    ]);
}

#[test]
fn row_08_md_deletes_invalidates_or_empties() {
    talk(&[
        ("md a\n", "NF\n"),
        ("md a q k Ox\n", "NF ka Ox\n"),
        ("ms a 2 F3 T50\nmx\n", "HD\n"),
        ("md a C9\n", "EX\n"),
        ("md a x k\n", "HD ka\n"),
        ("mg a v f t\n", "VA 0 f0 t50\n\n"),
        ("ms a 2 T50\nmz\n", "HD\n"),
        ("md a I T30\n", "HD\n"),
        ("mg a v t\n", "VA 2 t30 X W\nmz\n"),
        ("mg a v\n", "VA 2 Z X\nmz\n"),
        ("md a C4 E77 I x\n", "HD\n"),
        ("mg a c v\n", "VA 0 c77 X W\n\n"),
        ("md a q\n", ""),
        ("mg a\n", "EN\n"),
    ]);
}

#[test]
fn row_08_an_older_version_is_stored_as_stale() {
    talk(&[
        ("set a 0 0 3\nmoo\n", "STORED\n"),
        ("md a I T30 E50\n", "HD\n"),
        ("mg a v\n", "VA 3 X W\nmoo\n"),
        ("ms a 1 T90 C0\nf\n", "EX\n"),
        ("ms a 1 I T90 C1\nf\n", "HD\n"),
        ("mg a t v c\n", "VA 1 t30 c3 Z X\nf\n"),
        ("ms a 1 T90 C3\ng\n", "HD\n"),
        ("mg a t v\n", "VA 1 t90\ng\n"),
        ("md a I\nappend a 0 0 1\nh\n", "HD\nSTORED\n"),
        ("mg a h v\n", "VA 2 h0\ngh\n"),
    ]);
}

#[test]
fn row_08_ma_changes_numbers() {
    talk(&[
        ("ma n c\n", "NF\n"),
        ("ma n q D1\n", "NF\n"),
        ("ma n N90 J13 t c v k Oq\n", "VA 2 t90 c1 kn Oq\n13\n"),
        ("ma n N0 J5 v\n", "VA 2\n14\n"),
        ("ma n D30\n", "HD\n"),
        ("ma n MD D22 v T300 t\n", "VA 2 t300\n22\n"),
        ("ma n M- D9000 v\n", "VA 1\n0\n"),
        ("ma n M+ v E77 c\n", "VA 1 c77\n1\n"),
        ("ma n C9 v c\n", "EX\n"),
        ("ma n C77 q\n", ""),
        ("ma n q v\nma m q v N0\nmn\n", "MN\n"),
        ("ma n Mx\n", "CLIENT_ERROR invalid mode for ma M token\n"),
        ("ma n D-1\n", "CLIENT_ERROR bad token in command line format\n"),
        ("set n 0 0 1\nq\n", "STORED\n"),
        ("ma n\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\n"),
    ]);
}

#[test]
fn row_08_keys_in_base64_are_those_they_encode() {
    talk(&[
        ("ms YQ== 2 b k\nhi\n", "HD kYQ== b\n"),
        ("get a\n", "VALUE a 0 2\nhi\nEND\n"),
        ("mg YQ== v\n", "EN\n"),
        ("mg YQ== b k v\n", "VA 2 kYQ== b\nhi\n"),
        ("ms AAEg 2 b\nhi\n", "HD\n"),
        ("mg AAEg b v\n", "VA 2\nhi\n"),
        ("md AAEg b\n", "HD\n"),
        ("mg ==== b\n", "CLIENT_ERROR error decoding key\n"),
        ("ms ==== 2 b\nhi\n", "CLIENT_ERROR error decoding key\n"),
    ]);
}

#[test]
fn row_08_me_describes_an_item() {
    let mut h = cache();
    let client = h.open();
    assert_eq!(ask(&mut h, client, "me a\n"), "EN\n");
    ask(&mut h, client, "ms a 2 T100\nhi\n");
    h.advance(TICK * 2);
    let debug = ask(&mut h, client, "me a\n");
    assert!(debug.starts_with("ME a exp=98 la=2 cas=1 fetch=no cls=1 size="), "{debug}");
    assert_eq!(ask(&mut h, client, "me YQ== b\n"), debug.replace("ME a", "ME YQ=="));
    assert_eq!(ask(&mut h, client, "me\n"), "CLIENT_ERROR bad command line format\n");
}

#[test]
fn row_08_meta_flags_are_checked() {
    talk(&[
        ("mg a m\n", "CLIENT_ERROR invalid flag\n"),
        ("mg a v v\n", "CLIENT_ERROR duplicate flag\n"),
        ("mg a Tx\n", "CLIENT_ERROR bad token in command line format\n"),
        ("mg a O12345678901234567890123456789012\n", "EN O12345678901234567890123456789012\n"),
        ("mg a O123456789012345678901234567890123\n", "CLIENT_ERROR opaque token too long\n"),
        ("mg\n", "ERROR\n"),
        ("ms a\n", "CLIENT_ERROR bad command line format\n"),
        ("mn\n", "MN\n"),
    ]);
    // Bytes that are no letters.
    talk(&[
        ("mg a é\n", "CLIENT_ERROR invalid flag\n"),
        ("mg a 1\n", "CLIENT_ERROR invalid flag\n"),
    ]);
}
