//! No line of the papers and of the source is too wide to be read beside another file.
//!
//! rustfmt holds to its own width where it can, and leaves alone what it cannot break: comments and strings.

use super::{files, papers, read, root};
use std::fs;

/// Most columns of a line: characters, not bytes.
const COLUMNS: usize = 120;
/// The same of a page of the manual, which is read in a window; tabs lead to every eighth. Its text has 80.
const OF_PAGES: usize = 96;

#[test]
fn no_line_is_wide() {
    let sources = sources();
    assert!(sources.len() > 500, "only {} source files were looked at", sources.len());
    let mut wide = Vec::new();
    for path in papers().into_iter().chain(sources) {
        for (line, number) in read(&path).lines().zip(1..) {
            let columns = line.chars().count();
            if columns > COLUMNS {
                wide.push(format!("{path}:{number}: {columns} columns"));
            }
        }
    }
    assert!(wide.is_empty(), "lines of more than {COLUMNS} columns:\n{}", wide.join("\n"));
}

#[test]
fn no_line_of_the_manual_is_wide() {
    let pages = files("sys/man");
    assert!(pages.len() > 150, "only {} pages were looked at", pages.len());
    let mut wide = Vec::new();
    for path in pages {
        for (line, number) in read(&path).lines().zip(1..) {
            let end = |at: usize, c| if c == '\t' { (at / 8 + 1) * 8 } else { at + 1 };
            let columns = line.chars().fold(0, end);
            if columns > OF_PAGES {
                wide.push(format!("{path}:{number}: {columns} columns"));
            }
        }
    }
    assert!(wide.is_empty(), "lines of more than {OF_PAGES} columns:\n{}", wide.join("\n"));
}

/// All Rust files, wherever they are; but `build` has none of ours.
fn sources() -> Vec<String> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let ours = !name.starts_with('.') && !["build", "target"].contains(&name.as_str());
        if ours && entry.file_type().unwrap().is_dir() {
            sources.extend(files(&name));
        }
    }
    sources.retain(|path| path.ends_with(".rs"));
    sources
}
