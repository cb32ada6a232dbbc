//! A listing as a browser reads it: what its links lead to, and what its names turn into.

use std::fs;
use std::process::Command;

use tempfile::tempdir;

use crate::process::{Server, example, has, run};

/// Names that are something else to HTML, to URLs or to both unless they are escaped.
const NAMES: [&str; 10] = [
    "plain.txt",
    "two  spaces.txt",
    "quotes ' and \".txt",
    "number #1.txt",
    "why?.txt",
    "50%25.txt",
    "javascript:void 0.txt",
    "Bäume & Flüsse.txt",
    "<script>document.title=1<.txt",
    "<img src=x onerror=alert(1)>.txt",
];

/// What Chromium makes of a page, as HTML.
fn dom(url: &str) -> String {
    let profile = tempdir().expect("a new directory");
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    chromium.args(["--disable-dev-shm-usage", "--no-first-run", "--disable-component-update"]);
    chromium.args(["--disable-background-networking", "--disable-sync"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    let outcome = run(chromium.args(["--dump-dom", url]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

/// The text of a piece of HTML without elements.
fn text_of(html: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", "\u{a0}")];
    let text = entities.iter().fold(html.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&amp;", "&")
}

/// Where the rows of a listing link to, and what they say.
fn rows(dom: &str) -> Vec<(String, String)> {
    let rows = dom.split("<td><a href=\"").skip(1).filter_map(|row| {
        let (reference, rest) = row.split_once("\">")?;
        let (label, _) = rest.split_once("</a>")?;
        let label = label.trim_start_matches("<bdi>").trim_end_matches("</bdi>");
        Some((text_of(reference), text_of(label)))
    });
    rows.collect()
}

/// What a browser takes a reference in a page for. It must leave no doubt: it begins with `./`, so
/// it has no scheme, and has nothing that begins a query or a fragment.
fn resolve(page: &str, reference: &str) -> String {
    let name = reference.strip_prefix("./").unwrap_or_else(|| panic!("{reference:?}"));
    assert!(!name.contains(['?', '#', '"', '<', '>', ' ', '\\']), "{reference:?}");
    assert!(name.is_ascii(), "{reference:?}");
    format!("{page}{name}")
}

#[test]
fn a_browser_shows_a_listing_and_what_its_links_lead_to() {
    if !has("chromium") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let below = dir.path().join("a directory #1");
    fs::create_dir(&below).expect("a directory");
    for name in NAMES {
        fs::write(below.join(name), format!("content of {name}")).expect("a file");
    }
    let server = Server::start(example("http").arg(dir.path()));

    let root = format!("http://{}/", server.address);
    let [(reference, label)] = &rows(&dom(&root))[..] else { panic!("not one row") };
    assert_eq!(label, "a directory #1/");
    let page = resolve(&root, reference);
    let listing = dom(&page);
    assert!(!listing.contains("<script") && !listing.contains("<img"), "{listing}");
    let rows = rows(&listing);
    let (up, files) = rows.split_first().expect("rows");
    assert_eq!(up, &("../".to_owned(), "Parent directory".to_owned()));

    let mut labels: Vec<_> = files.iter().map(|(_, label)| label.as_str()).collect();
    let mut names = NAMES;
    labels.sort_unstable();
    names.sort_unstable();
    assert_eq!(labels, names);
    for (reference, label) in files {
        let shown = text_of(&dom(&resolve(&page, reference)));
        assert!(shown.contains(&format!("content of {label}")), "{label}: {shown}");
    }
}
