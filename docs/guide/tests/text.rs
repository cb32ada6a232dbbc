//! The guide shows the programs as they are.

use std::fs;
use std::path::Path;

#[test]
fn the_guide_shows_each_program_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(folder.join("../guide.md")).expect("the guide");
    for entry in fs::read_dir(folder.join("src/bin")).expect("the programs") {
        let path = entry.expect("an entry").path();
        let program = fs::read_to_string(&path).expect("a program");
        let shown = guide.contains(&format!("```rust,no_run\n{program}```\n"));
        assert!(shown, "docs/guide.md does not show {} as it is", path.display());
    }
}
