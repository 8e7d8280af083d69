//! The front door's sign: `make help` names every target there is.

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn help_lists_every_target() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let makefile = std::fs::read_to_string(format!("{root}/Makefile")).unwrap();
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).unwrap();
    let targets: BTreeSet<&str> = phony.split_whitespace().collect();
    let name = |line: &'_ str| line.split_once(':').map(|(name, _)| name.to_owned());
    let is_name = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let rules: BTreeSet<String> = makefile.lines().filter_map(name).filter(is_name).collect();
    let rules: BTreeSet<&str> = rules.iter().map(String::as_str).collect();
    assert_eq!(targets, rules, "every rule is phony, every phony target has a rule");

    let help =
        Command::new("make").args(["-s", "-C", root, "help"]).env_remove("MAKEFLAGS").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    let listed: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, targets, "make help says:\n{text}");
    assert!(text.lines().all(|line| line.split_whitespace().count() > 2), "each target is explained");
}
