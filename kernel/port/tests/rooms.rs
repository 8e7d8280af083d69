//! The rooms of this crate, as `lib.rs` describes them: no file uses a room above its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// From the bottom to the top.
const ROOMS: [&str; 12] =
    ["error", "kmesg", "pools", "mem", "name", "proc", "kernel", "exec", "dev", "mnt", "call", "testkit"];

/// The types that know each other and are known everywhere: see `lib.rs`.
const KNOWN: [&str; 6] = [
    "dev::Dev",
    "dev::MountDriver",
    "dev::Walk",
    "kernel::Kernel",
    "name::chan::Chan",
    "proc::process::Proc",
];

/// File, what it uses all the same, and why.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// The paths that a source names behind `crate::`, those in braces one by one. Comments and unit tests do not count.
fn paths(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        let (path, behind) = rest.split_at(end);
        match (path.strip_suffix("::"), behind.strip_prefix('{')) {
            (outer, Some(group)) => {
                let group = group.split('}').next().unwrap();
                assert!(!group.contains('{'), "braces in braces: {group}");
                let outer = outer.map_or(String::new(), |outer| format!("{outer}::"));
                let names = group.split(',').map(str::trim).filter(|name| !name.is_empty());
                found.extend(names.map(|name| match name {
                    "self" => outer.trim_end_matches(':').to_string(),
                    name => format!("{outer}{name}"),
                }));
            }
            _ => drop(found.insert(path.to_string())),
        }
    }
    found
}

fn files(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, out),
            false if path.extension().is_some_and(|e| e == "rs") => out.push(path),
            false => {}
        }
    }
}

fn height(room: &str) -> Option<usize> {
    ROOMS.iter().position(|&r| r == room)
}

#[test]
fn no_file_uses_a_room_above_its_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let (mut wrong, mut looked_at, mut excepted) = (Vec::new(), 0, BTreeSet::new());
    for file in all {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
        let room = name.split(['/', '.']).next().unwrap();
        let Some(own) = height(room) else { continue };
        for path in paths(&fs::read_to_string(&file).unwrap()) {
            let above = height(path.split("::").next().unwrap()).is_some_and(|used| used > own);
            let known = KNOWN.iter().any(|k| path == *k || path.starts_with(&format!("{k}::")));
            looked_at += 1;
            if let Some(e) = EXCEPTIONS.iter().find(|(file, used, _)| *file == name && *used == path) {
                excepted.insert(e);
            } else if above && !known {
                wrong.push(format!("{name} uses {path}"));
            }
        }
    }
    assert!(looked_at > 300, "only {looked_at} paths were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(excepted.len(), EXCEPTIONS.len(), "an exception that nobody needs any more");
}

#[test]
fn paths_are_found_wherever_they_are() {
    let source = "use crate::mem::{self, Kind, Segment};\nuse crate::{a, b};\n// crate::no\n\
                  fn f() { crate::exec::load::exec(x) }\n#[cfg(test)]\nuse crate::not_this;";
    let want = ["a", "b", "exec::load::exec", "mem", "mem::Kind", "mem::Segment"];
    assert_eq!(paths(source).into_iter().collect::<Vec<_>>(), want);
}
