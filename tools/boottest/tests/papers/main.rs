//! The papers are true as far as a program can tell: what README, CONTRIBUTING, SECURITY and `docs/` name is there,
//! what they quote is what the code says, and what the code cites in them is there. No line is wider than a screen.

mod columns;
mod crates;
mod names;
mod readme;
mod usages;

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file's text.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All papers, by their paths from the top.
fn papers() -> Vec<String> {
    let mut papers: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(String::from).into();
    papers.extend(files("docs").into_iter().filter(|name| name.ends_with(".md")));
    assert!(papers.len() > 8, "{papers:?}");
    papers
}

/// All files below a folder, by their paths from the top; not what is hidden or was built.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}")) {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
