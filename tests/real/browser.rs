//! Listings in a browser: their links, their look, and uploads from them.
//!
//! With the variable `SCREENSHOTS` set to a folder, [`the_page_reads_well_on_any_screen`] writes
//! pictures of a listing there. Those in `docs` are made by
//!
//! ```sh
//! cargo build --all-features --examples
//! SCREENSHOTS=docs cargo test -p sluicegate-tests --all-features --test real browser::
//! ```

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::chromium::{Browser, LOWEST_CONTRAST};
use crate::process::{Server, example, has};

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

/// What the rows of a listing say, and where they lead.
const ROWS: &str = "[...document.querySelectorAll('td a')].map((a) => [a.textContent, a.href])";

/// Serves a directory, with uploads.
fn serve(root: &Path) -> Server {
    Server::start(example("http").arg("--upload").arg(root))
}

fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().expect("an array").iter();
    values.map(|value| value.as_str().expect("a string").to_owned()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of characters")
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
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    browser.click("td a");
    browser.wait_for("location.pathname === '/a%20directory%20%231/'");
    assert_eq!(browser.eval("document.querySelectorAll('script, img').length"), 0);

    let rows = browser.eval(ROWS);
    let rows: Vec<_> = rows.as_array().expect("rows").iter().map(strings).collect();
    let (up, files) = rows.split_first().expect("rows");
    assert_eq!(up[0], "Parent directory");
    let mut labels: Vec<_> = files.iter().map(|row| &*row[0]).collect();
    let mut names = NAMES;
    labels.sort_unstable();
    names.sort_unstable();
    assert_eq!(labels, names);
    for row in files {
        browser.open(&row[1]);
        let shown = browser.eval("document.body.textContent");
        assert_eq!(shown, format!("content of {}", row[0]));
    }
}

/// A directory as people have it.
fn put_holiday(root: &Path) -> std::path::PathBuf {
    let below = root.join("photos").join("holiday");
    fs::create_dir_all(below.join("drafts")).expect("directories");
    fs::create_dir(below.join("selected")).expect("a directory");
    let sizes = (1..=10).map(|i| (format!("img{i}.jpg"), 700_000 + i * 93_000 % 410_000));
    let long = ["a-long-name", "that-does-not-fit", "on-the-screen-of-a-phone.tar.gz"].join("-");
    let others = [("README.md", 480), ("route.gpx", 18_200), (&long, 5_368_709_120)];
    for (name, size) in sizes.chain(others.map(|(name, size)| (name.to_owned(), size))) {
        let file = File::create(below.join(name)).expect("a file");
        file.set_len(size).expect("a sparse file");
        let time = UNIX_EPOCH + Duration::from_secs(1_750_000_000 + size % 10_000_000);
        file.set_modified(time).expect("a time");
    }
    for name in ["drafts", "selected"] {
        let directory = File::open(below.join(name)).expect("a directory");
        let time = UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        directory.set_modified(time).expect("a time");
    }
    below
}

#[test]
fn the_page_reads_well_on_any_screen() {
    if !has("chromium") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    put_holiday(dir.path());
    let server = serve(dir.path());
    let mut browser = Browser::start();
    for width in [375, 1280] {
        for scheme in ["light", "dark"] {
            browser.set_screen(width, scheme);
            browser.open(&format!("http://{}/photos/holiday/", server.address));
            assert_eq!(browser.eval("innerWidth"), width);
            assert_eq!(browser.eval("document.documentElement.scrollWidth"), width);
            let contrast = browser.eval(LOWEST_CONTRAST).as_f64().expect("a number");
            assert!(contrast >= 4.5, "{scheme}: {contrast}");
            // Sizes and dates stay on one line; a name wraps if it must.
            let heights = "[...document.querySelectorAll('td + td')]
                .filter((cell) => cell.getClientRects().length && cell.textContent)
                .map((cell) => { const range = new Range(); range.selectNodeContents(cell);
                    return range.getBoundingClientRect().height })";
            let tallest = browser.eval(&format!("Math.max(...{heights})"));
            assert!(tallest.as_f64().expect("a number") < 30.0, "{width}: {tallest}");
            let time = browser.eval("getComputedStyle(document.querySelector('td span')).display");
            assert_eq!(time, if width == 375 { "none" } else { "inline" });
            if let Some(folder) = std::env::var_os("SCREENSHOTS") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
                fs::create_dir_all(&root).expect("a folder");
                let name = format!("listing-{width}-{scheme}.png");
                fs::write(root.join(name), browser.screenshot()).expect("a picture");
            }
        }
    }
}

#[test]
fn a_listing_is_sorted_and_left_by_clicks() {
    if !has("chromium") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    put_holiday(dir.path());
    let server = serve(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/photos/holiday/", server.address));
    let names = "[...document.querySelectorAll('td a')].slice(3).map((a) => a.textContent)";
    let by_name = strings(&browser.eval(names));
    let images: Vec<_> = by_name.iter().filter(|name| name.starts_with("img")).collect();
    let expected: Vec<_> = (1..=10).map(|i| format!("img{i}.jpg")).collect();
    assert!(images.into_iter().eq(&expected), "{by_name:?}");
    browser.click("th:nth-child(2) a");
    browser.wait_for("location.search === '?sort=size&order=asc'");
    let by_size = strings(&browser.eval(names));
    assert_eq!(by_size[0], "README.md");
    browser.click("th:nth-child(2) a");
    browser.wait_for("location.search === '?sort=size&order=desc'");
    let reversed = strings(&browser.eval(names));
    assert!(reversed.iter().eq(by_size.iter().rev()), "{reversed:?}");
    browser.click("h1 a:nth-of-type(2)");
    browser.wait_for("location.pathname === '/photos/'");
    browser.click("h1 a");
    browser.wait_for("location.pathname === '/'");
    assert_eq!(browser.eval("document.querySelector('h1').textContent"), "Index of /");
}

/// Writes files of some length to upload; each begins with its name.
fn put_uploads(root: &Path, names: &[&str], len: u64) -> Vec<String> {
    let put = |name: &&str| {
        let path = root.join(name);
        let mut file = File::create(&path).expect("a file");
        file.write_all(name.as_bytes()).expect("its start");
        file.set_len(len).expect("a sparse file");
        text(&path).to_owned()
    };
    names.iter().map(put).collect()
}

/// Asserts that a directory has these files, with the contents of the local ones.
fn assert_uploaded(dir: &Path, names: &[&str], paths: &[String]) {
    for (name, path) in names.iter().zip(paths) {
        let (there, here) = (fs::read(dir.join(name)), fs::read(path));
        assert!(there.expect(name) == here.expect("the local file"), "{name}");
    }
}

#[test]
fn files_are_uploaded_by_the_form_without_scripts() {
    if !has("chromium") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let names = ["a \"quoted\" name", "Bäume.txt"];
    let paths = put_uploads(local.path(), &names, 200_000);
    let server = serve(dir.path());
    let mut browser = Browser::start();
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.open(&format!("http://{}/", server.address));
    browser.choose("#files", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    browser.click("button");
    browser.wait_for("document.querySelectorAll('td a').length === 2");
    assert_eq!(browser.eval("location.pathname"), "/");
    assert_uploaded(dir.path(), &names, &paths);
}

#[test]
fn the_form_states_its_origin_even_if_referrers_are_forbidden() {
    if !has("chromium") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let paths = put_uploads(local.path(), &["a"], 1000);
    let mut http = example("http");
    http.args(["--upload", "--header", "Referrer-Policy: no-referrer"]).arg(dir.path());
    let server = Server::start(&mut http);
    let mut browser = Browser::start();
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    // Without TLS, a browser sends `Sec-Fetch-Site` to loopback addresses only.
    browser.open(&format!("http://files.example:{}/", server.address.port()));
    browser.choose("#files", &[&paths[0]]);
    browser.click("button");
    browser.wait_for("document.querySelectorAll('td a').length === 1");
    assert_uploaded(dir.path(), &["a"], &paths);
}

/// Notes in the session of the browser, which survives the reload after an upload, what the list of
/// uploads says.
const NOTE_PROGRESS: &str = "new MutationObserver(() => {
    const notes = JSON.parse(sessionStorage.notes ?? '[]');
    notes.push([...document.querySelectorAll('li')].map((row) =>
        [row.querySelector('progress').value, row.querySelector('output').textContent]));
    sessionStorage.notes = JSON.stringify(notes);
}).observe(document.querySelector('ul'),
    { subtree: true, childList: true, attributes: true, characterData: true })";

#[test]
fn files_are_uploaded_by_drag_and_drop_with_their_progress() {
    if !has("chromium") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let names = ["first #1", "second"];
    let paths = put_uploads(local.path(), &names, 4_000_000);
    let server = serve(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    // So slow that there is some progress.
    browser.call("Network.enable", json!({}));
    let network = json!({
        "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 8_000_000
    });
    browser.call("Network.emulateNetworkConditions", network);
    browser.eval(NOTE_PROGRESS);
    browser.drop(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    // The page is loaded anew when all are done.
    browser.wait_for("document.querySelectorAll('td a').length === 2");
    assert_uploaded(dir.path(), &names, &paths);
    let notes: Value =
        serde_json::from_str(browser.eval("sessionStorage.notes").as_str().expect("notes"))
            .expect("JSON");
    let notes = notes.as_array().expect("an array");
    for at in 0..names.len() {
        let values: Vec<_> = notes.iter().filter_map(|note| note[at][0].as_f64()).collect();
        assert!(values.is_sorted(), "{values:?}");
        assert!(values.iter().any(|value| (0.01..1.0).contains(value)), "{values:?}");
    }
    assert_eq!(notes.last().expect("notes"), &json!([[1, "done"], [1, "done"]]));
}

#[test]
fn an_upload_that_fails_says_why_and_the_others_go_on() {
    if !has("chromium") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let paths = put_uploads(local.path(), &[".hidden", "fine"], 1000);
    let server = serve(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    browser.choose("#files", &paths.iter().map(String::as_str).collect::<Vec<_>>());
    browser.click("button");
    browser.wait_for("document.querySelectorAll('output')[1]?.textContent === 'done'");
    let states = "[...document.querySelectorAll('output')].map((state) => state.textContent)";
    assert_eq!(strings(&browser.eval(states)), ["403 Forbidden", "done"]);
    assert!(dir.path().join("fine").exists());
}

#[test]
fn a_download_of_200_megabytes_is_resumed() {
    if !has("chromium") {
        return;
    }
    const LEN: u64 = 200 << 20;
    let dir = tempdir().expect("a new directory");
    let file = File::create(dir.path().join("large")).expect("a file");
    file.set_len(LEN).expect("a sparse file");
    for mebibyte in 0..200 {
        file.write_all_at(&[mebibyte as u8 + 1], mebibyte << 20).expect("a mark");
    }
    let server = serve(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    // The sum of all bytes, weighted by the mebibyte they are in: marks that move change it.
    let sum = browser.eval(
        "(async () => {
            let received = 0, sum = 0, status = [], tag;
            while (received < 200 * 2 ** 20) {
                const headers = received
                    ? { 'Range': `bytes=${received}-`, 'If-Range': tag } : {};
                const cut = new AbortController();
                const response = await fetch('large', { headers, signal: cut.signal });
                status.push(response.status);
                tag = response.headers.get('ETag');
                const stop = received + 70 * 2 ** 20;
                for await (const piece of response.body) {
                    for (let at = 0; at < piece.length; at++) {
                        if (piece[at]) sum += piece[at] * Math.floor((received + at) / 2 ** 20);
                    }
                    received += piece.length;
                    if (received >= stop) break;
                }
                cut.abort();
            }
            return [received, sum, status];
        })()",
    );
    let expected: u64 = (0..200).map(|mebibyte| (mebibyte + 1) * mebibyte).sum();
    assert_eq!(sum, json!([LEN, expected, [200, 206, 206]]));
}
