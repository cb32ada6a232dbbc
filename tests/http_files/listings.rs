//! Listings of long directories: every name is on a page, and nobody waits for them but those who
//! asked for them.

use serde_json::{Value, json};
use sluicegate_protocols::files::Upload;
use sluicegate_protocols::http::{Answered, Reply, Request, Service};
use sluicegate_reactor::fs::Dir;
use sluicegate_reactor::testing::Client;

use super::*;

const MANY: usize = 20_000;

/// The most entries that a turn reads, and the most of which it asks the size.
const ENTRIES_PER_TURN: u64 = 16;

fn site_of(options: FilesOptions, count: usize) -> Site {
    site_with(options, |disk| {
        for i in 0..count {
            // Sizes and times in orders of their own.
            let (size, time) = (i * 7 % count % 100, OLD + (i * 11 % count) as i64);
            disk.put_file(format!("/www/many/{i:06}"), &vec![b'x'; size], time);
        }
        disk.put_file("/www/few/a", b"a", OLD);
        disk.put_symlink("/www/many/broken", "nowhere");
        disk.put_fifo("/www/many/fifo");
        disk.put_file("/www/many/.hidden", b"", OLD);
    })
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
}

fn json(listing: &Answer) -> Value {
    serde_json::from_str(listing.text()).expect("JSON")
}

/// The path of a listing, its page, the number of pages, and whether there are more entries.
fn place(listing: &Answer) -> [Value; 4] {
    let mut json = json(listing);
    ["path", "page", "pages", "cut"].map(|key| json[key].take())
}

/// The names in a listing.
fn names(listing: &Answer) -> Vec<String> {
    let json = json(listing);
    let entries = json["entries"].as_array().expect("entries").iter();
    entries.map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn row_35_every_name_is_on_one_page_whatever_the_order() {
    const COUNT: usize = 1234;
    let options = FilesOptions { listing_page: 100, ..FilesOptions::default() };
    let mut site = site_of(options, COUNT);
    for sort in ["name", "size", "time"] {
        for order in ["asc", "desc"] {
            let mut all = Vec::new();
            for page in 1..=13 {
                let path = format!("/many/?sort={sort}&order={order}&page={page}");
                let client = site.open();
                site.feed(client, request(&path));
                let answer = Answer::parse(&site.sent(client));
                assert_eq!(place(&answer), [json!("/many/"), page.into(), 13.into(), false.into()]);
                let names = names(&answer);
                assert_eq!(names.len(), if page < 13 { 100 } else { 34 }, "{path}");
                all.extend(names.into_iter().map(|name| name.parse::<usize>().expect("a number")));
            }
            let key = |i: &usize| match sort {
                "name" => *i,
                "size" => i * 7 % COUNT % 100,
                _ => i * 11 % COUNT,
            };
            let mut expected: Vec<usize> = (0..COUNT).collect();
            expected.sort_by_key(key);
            if order == "desc" {
                expected.sort_by_key(|i| std::cmp::Reverse(key(i)));
            }
            assert!(all == expected, "{sort} {order}");
        }
    }
    let client = site.open();
    site.feed(client, request("/many/?page=14"));
    assert!(names(&Answer::parse(&site.sent(client))).is_empty());
}

#[test]
fn row_35_a_page_links_to_the_next() {
    let options = FilesOptions { listing_page: 10, ..FilesOptions::default() };
    let mut site = site_of(options, 25);
    let mut path = "/many/".to_owned();
    let mut pages = 0;
    loop {
        let answer = get(&mut site, &path);
        pages += 1;
        let Some(at) = answer.text().find("\">Next</a>") else { break };
        let start = answer.text()[..at].rfind("href=\"").expect("a link") + 6;
        path = format!("/many/{}", answer.text()[start..at].replace("&amp;", "&"));
    }
    assert_eq!((pages, &*path), (3, "/many/?sort=name&order=asc&page=3"));
    assert!(!get(&mut site, "/few/").text().contains("<nav>"));
}

/// Takes turns until the listing has arrived, and asserts that in each of them another client gets
/// a file, and little of the listing is made. Returns the number of turns.
fn turns_until(site: &mut Site, listing: Client, other: Client) -> usize {
    site.at_once(|site| {
        let mut turns = 0;
        while site.arrived(listing) == 0 {
            site.sent(other);
            let before = site.calls();
            site.feed(other, request("/few/a"));
            site.turn();
            let after = site.calls();
            assert!(site.arrived(other) > 0, "the file waits for the listing");
            assert!(after.read_dir - before.read_dir <= ENTRIES_PER_TURN);
            // The file of the other client, too; and a broken link is looked up twice.
            assert!(after.metadata - before.metadata <= ENTRIES_PER_TURN + 2);
            turns += 1;
        }
        turns
    })
}

#[test]
fn nobody_waits_for_a_long_listing_but_those_who_asked_for_it() {
    let mut site = site_of(FilesOptions::default(), MANY);
    for (path, pages) in [("/many/", 1), ("/many/?page=20", 20), ("/many/?sort=size", 1)] {
        let (listing, other) = (site.open(), site.open());
        site.feed(other, request("/few/a"));
        let turns = site.at_once(|site| {
            site.feed(listing, request(path));
            turns_until(site, listing, other)
        });
        assert!(turns > MANY / ENTRIES_PER_TURN as usize, "{turns}");
        let answer = Answer::parse(&site.sent(listing));
        assert_eq!((answer.status, names(&answer).len()), (200, 1000));
        assert_eq!(place(&answer), [json!("/many/"), pages.into(), 20.into(), false.into()]);
        site.sent(other);
    }
}

#[test]
fn a_short_listing_does_not_wait_for_a_long_one() {
    let mut site = site_of(FilesOptions::default(), 10_000);
    let (long, short) = (site.open(), site.open());
    site.at_once(|site| {
        site.feed(long, request("/many/"));
        site.turn();
        site.feed(short, request("/few/"));
        // The first entries of a listing are read in a turn of their own, and so is its answer.
        (0..5).for_each(|_| site.turn());
        assert!(site.arrived(short) > 0 && site.arrived(long) == 0);
    });
    assert_eq!(names(&Answer::parse(&site.sent(short))), ["a"]);
    assert_eq!(names(&Answer::parse(&site.sent(long))).len(), 1000);
}

#[test]
fn clients_that_leave_before_their_listings_are_made_hold_up_nothing() {
    let mut site = site_of(FilesOptions::default(), 1000);
    let clients: Vec<_> = (0..10).map(|_| site.open()).collect();
    site.at_once(|site| {
        clients.iter().for_each(|client| site.feed(*client, request("/many/")));
        site.turn();
        clients[1..].iter().for_each(|client| site.reset(*client));
        site.turn();
    });
    assert_eq!(names(&Answer::parse(&site.sent(clients[0]))).len(), 1000);
    let later = site.open();
    site.feed(later, request("/few/"));
    assert_eq!(names(&Answer::parse(&site.sent(later))), ["a"]);
    // The root, and what the cache holds.
    assert_eq!(site.open_descriptors().files, 1);
}

#[test]
fn listings_whose_clients_have_left_are_not_made() {
    let mut site = site_of(FilesOptions::default(), 10_000);
    let clients: Vec<_> = (0..20).map(|_| site.open()).collect();
    let mut begun = 0;
    site.at_once(|site| {
        clients.iter().for_each(|client| site.feed(*client, request("/many/")));
        site.turn();
        clients.iter().for_each(|client| site.reset(*client));
        site.turn();
        begun = site.ledger().messages;
    });
    // Each would take more than six hundred turns.
    assert!(site.ledger().messages <= begun + 3, "{} messages", site.ledger().messages - begun);
}

#[test]
fn more_listings_than_may_wait_are_refused_and_the_others_are_made() {
    let mut site = site_of(FilesOptions::default(), 300);
    let clients: Vec<_> = (0..1100).map(|_| site.open()).collect();
    site.at_once(|site| {
        clients.iter().for_each(|client| site.feed(*client, request("/many/")));
    });
    let mut refused = 0;
    for client in clients {
        let answer = Answer::parse(&site.sent(client));
        if answer.status == 503 {
            assert_eq!(answer.field("Retry-After"), Some("1"));
            refused += 1;
        } else {
            assert_eq!((answer.status, names(&answer).len()), (200, 300));
        }
    }
    assert!((1..=1100 - 1024).contains(&refused), "{refused}");
}

#[test]
fn a_reactor_that_stops_makes_the_listings_that_were_asked_for() {
    let mut site = site_of(FilesOptions::default(), 1000);
    let client = site.open();
    site.at_once(|site| {
        site.feed(client, request("/many/"));
        site.turn();
        site.stop();
    });
    let answer = Answer::parse(&site.sent(client));
    assert_eq!((names(&answer).len(), answer.field("Connection")), (1000, Some("close")));
    assert_eq!(site.state(client), State::Shut);
}

/// Takes the last descriptor once all listings have been requested.
struct Hoarder {
    files: Files,
    root: Dir,
    requested: usize,
    kept: Option<Dir>,
}

impl Service for Hoarder {
    type State = Upload;

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        let answered = self.files.call(request, reply);
        self.requested += 1;
        if self.requested == 3 {
            self.kept = Some(self.root.open_dir("few").expect("a descriptor is left"));
        }
        answered
    }
}

#[test]
fn a_listing_that_cannot_be_made_does_not_hold_up_the_next() {
    let disk = |disk: &mut Disk| disk.put_file("/www/few/a", b"a", OLD);
    let mut site = Harness::build(&Listen::default(), disk, |reactor| {
        let files = Files::new(reactor, "/www", FilesOptions::default()).expect("the root");
        let root = reactor.open_dir("/www").expect("the root");
        reactor.register(Http::new(Hoarder { files, root, requested: 0, kept: None }))
    });
    let clients = [site.open(), site.open(), site.open()];
    // The listener, the clients and the root, twice, are open.
    site.set_descriptor_limit(7);
    site.at_once(|site| {
        clients.iter().for_each(|client| site.feed(*client, request("/few/")));
    });
    for client in clients {
        assert_eq!(Answer::parse(&site.sent(client)).status, 503);
    }
}
