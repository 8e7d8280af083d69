//! README: short, and its quotations are true.

use super::read;

/// Most lines that README has.
const LINES: usize = 150;

#[test]
fn readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= LINES, "README.md has {lines} lines, and {LINES} at most");
}

/// The indented lines of a paper that stand together, without their indentation.
fn quotations(paper: &str) -> Vec<String> {
    let mut quotations = vec![String::new()];
    for line in read(paper).lines() {
        match line.strip_prefix("    ") {
            Some(quoted) => *quotations.last_mut().unwrap() += &format!("{quoted}\n"),
            None => quotations.push(String::new()),
        }
    }
    quotations
}

#[test]
fn the_boot_story_is_the_one_in_main() {
    let main = read("kernel/pc64/src/main.rs");
    let body = main.split_once("fn main_on_metal() {\n").unwrap().1.split_once("\n}\n").unwrap().0;
    let story: String = body.lines().map(|line| format!("{}\n", line.trim())).collect();
    assert!(story.lines().count() >= 5, "{story}");
    let quoted = quotations("README.md").into_iter().find(|text| text.contains("glue::start(")).unwrap();
    assert_eq!(quoted, story, "the boot story in README.md and in kernel/pc64/src/main.rs");
}

#[test]
fn the_first_line_of_the_boot_has_the_version() {
    let quoted = quotations("README.md").into_iter().find(|text| text.contains("term% ")).unwrap();
    let first = quoted.lines().next().unwrap();
    assert_eq!(first, format!("elwood {}", env!("CARGO_PKG_VERSION")));
}
