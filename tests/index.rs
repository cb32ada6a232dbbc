//! Every test that `tests/README.md` names exists, and cargo runs every file of tests and benches.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The names of all functions in the Rust files beneath a folder.
fn functions(folder: &Path, names: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after_fn = text.lines().filter_map(|line| Some(line.split_once("fn ")?.1));
            let name = |rest: &str| rest.split(['(', '<']).next().map(str::to_owned);
            names.extend(after_fn.filter_map(name));
        }
    }
}

#[test]
fn every_test_that_the_index_names_exists() {
    let root = root();
    let mut names = HashSet::new();
    for folder in ["tests", "reactor/src", "protocols/src"] {
        functions(&root.join(folder), &mut names);
    }
    let index = fs::read_to_string(root.join("tests/README.md")).unwrap();
    let quoted = index.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.contains('_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
    };
    let named: Vec<_> = quoted.filter(is_name).collect();
    assert!(named.len() > 80, "the index has {} names", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn cargo_runs_every_file_of_tests_and_benches() {
    for folder in ["tests", "benches"] {
        let folder = root().join(folder);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = match () {
                () if entry.path().join("main.rs").exists() => format!("{name}/main.rs"),
                () if name.ends_with(".rs") => name,
                () => continue,
            };
            let listed = manifest.contains(&format!("path = \"{path}\"\n"));
            assert!(listed, "{} does not list {path}", folder.join("Cargo.toml").display());
        }
    }
}
