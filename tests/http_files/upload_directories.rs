//! The directories that uploads keep open.

use super::uploads::{content, put, send, statuses, uploads};
use super::*;

#[test]
fn the_directory_of_uploads_is_opened_once_and_again_when_it_is_no_longer_valid() {
    let mut site = uploads();
    let before = site.calls().open;
    for (seconds, opened) in [(0, 1), (0, 1), (2, 2), (0, 2)] {
        site.advance(Duration::from_secs(seconds));
        assert_eq!(send(&mut site, put("/dir/a", "hello")).1.len(), 1);
        assert_eq!(site.calls().open - before, opened);
        assert_eq!(site.open_descriptors().files, 2, "the root and the directory");
    }
}

#[test]
fn a_directory_that_was_removed_and_created_again_receives_uploads_at_once() {
    let mut site = uploads();
    assert_eq!(send(&mut site, put("/dir/a", "hello")).1, [201]);
    site.files().remove("/www/dir");
    assert_eq!(send(&mut site, put("/dir/a", "hello")).1, [409]);
    site.files().make_dir("/www/dir");
    assert_eq!(send(&mut site, put("/dir/a", "hello")).1, [201]);
    site.files().remove("/www/dir");
    site.files().make_dir("/www/dir");
    assert_eq!(send(&mut site, put("/dir/a", "hello")).1, [201]);
    assert_eq!(content(&mut site, "/dir/a").expect("put"), b"hello");
}

#[test]
fn a_path_that_leads_to_another_directory_is_noticed_after_the_time_that_it_is_valid() {
    let mut site = uploads();
    site.files().make_dir("/www/one");
    site.files().make_dir("/www/two");
    site.files().put_symlink("/www/link", "one");
    assert_eq!(send(&mut site, put("/link/a", "1")).1, [201]);
    site.files().put_symlink("/www/link", "two");
    site.advance(LATER);
    assert_eq!(send(&mut site, put("/link/a", "2")).1, [201]);
    let contents = [content(&mut site, "/one/a"), content(&mut site, "/two/a")];
    assert_eq!(contents, [Some(b"1".to_vec()), Some(b"2".to_vec())]);
    site.files().put_symlink("/www/link", "../outside");
    site.advance(LATER);
    assert_eq!(send(&mut site, put("/link/a", "3")).1, [403]);
}

#[test]
fn few_directories_stay_open_and_give_their_descriptors_back_when_there_are_no_others() {
    let mut site = uploads();
    for number in 0..30 {
        site.files().make_dir(format!("/www/{number}"));
        assert_eq!(send(&mut site, put(&format!("/{number}/a"), "hello")).1, [201]);
    }
    let open = site.open_descriptors();
    assert_eq!(open.files, 1 + 16, "the root and the directories");
    let client = site.open();
    site.set_descriptor_limit(open.files + open.listeners + open.streams + 1);
    site.feed(client, put("/dir/a", "hello") + &put("/there", "new") + &put("/29/a", "again"));
    assert_eq!(statuses(&site.sent(client)), [201, 204, 204]);
}

#[test]
fn a_link_in_a_directory_is_followed_to_anything_beneath_the_root() {
    let mut site = uploads();
    for (target, status) in [
        ("../there", 412),
        ("../dir", 405),
        ("..", 405),
        ("../fifo", 403),
        ("../../secret", 403),
        ("/www/there", 412),
        ("/www", 405),
        ("/secret", 403),
        ("nowhere", 201),
        ("../nowhere", 201),
    ] {
        site.files().put_symlink("/www/dir/link", target);
        let answer = ask(&mut site, "PUT /dir/link", "If-None-Match: *\r\n");
        assert_eq!(answer.status, status, "{target}");
    }
}
