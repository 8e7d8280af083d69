//! The rooms of `src` stand on one another in the order that `lib.rs` states: no file imports a higher room, and no
//! driver another one.

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first; those of one line do not know each other.
const ROOMS: [&[&str]; 6] = [
    &["transport"],
    &["ring"],
    &["requests"],
    &["inventory"],
    &["p9", "block", "console", "net", "rng", "balloon"],
    &["system"],
];

/// The files of a room that are not tests.
fn files(room: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(room).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Whether a file's code, less its comments and tests, names a room.
fn imports(path: &Path, room: &str) -> bool {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.any(|l| l.contains(&format!("crate::{room}::")) || l.contains(&format!("crate::{room};")))
}

#[test]
fn no_file_imports_a_room_above_or_beside_its_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (height, storey) in ROOMS.iter().enumerate() {
        for room in *storey {
            let mut found = Vec::new();
            files(&src.join(room), &mut found);
            assert!(!found.is_empty(), "{room}");
            let beside = storey.iter().filter(|other| *other != room);
            for other in ROOMS[height + 1..].iter().copied().flatten().chain(beside) {
                for path in &found {
                    assert!(!imports(path, other), "{} imports {other}", path.display());
                }
            }
        }
    }
}
