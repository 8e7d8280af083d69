//! The rooms of `src/amd64` stand on one another in the order that its head states: no file imports a higher room.

use std::fs;
use std::path::Path;

/// Lowest first. `cpu.rs`, `interrupts.rs` and `lock.rs`, the ground, are below them all.
const ROOMS: [&str; 6] = ["mem", "dev", "time", "sched", "trap", "boot"];
/// What is explained in the heads: file, and the room above it that it imports.
const EXCEPTIONS: [(&str, &str); 3] =
    [("dev/uart.rs", "time"), ("dev/uart.rs", "sched"), ("dev/uart.rs", "trap")];

/// The lines of a file that are neither comments nor tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_file_imports_a_room_above_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/amd64");
    let (mut wrong, mut used) = (Vec::new(), Vec::new());
    for (height, room) in ROOMS.iter().enumerate() {
        for entry in fs::read_dir(root.join(room)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let name = format!("{room}/{}", path.file_name().unwrap().to_str().unwrap());
            let text = code(&path);
            assert!(!text.contains("super::super"), "{name}: rooms are named from `crate::amd64` on");
            for above in &ROOMS[height + 1..] {
                if !text.contains(&format!("amd64::{above}")) {
                    continue;
                }
                match EXCEPTIONS.iter().find(|e| e.0 == name && e.1 == *above) {
                    Some(e) => used.push(*e),
                    None => wrong.push(format!("{name} imports {above}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    used.sort_unstable();
    let mut stated = EXCEPTIONS;
    stated.sort_unstable();
    assert_eq!(used, stated, "an exception that nobody needs any more");
}

#[test]
fn every_file_is_in_a_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/amd64");
    let names = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    let mut expected: Vec<&str> =
        ROOMS.iter().copied().chain(["cpu.rs", "interrupts.rs", "lock.rs", "mod.rs"]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}
