//! The picture of the layers and the table of dependencies, against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{read, root};

/// What a `Cargo.toml` says: the folder of each crate, and what it depends on.
struct Crate {
    folder: String,
    dependencies: Vec<Value>,
}

/// The crates of the workspace and of the fuzz targets, which are a workspace of their own.
fn crates() -> Vec<Crate> {
    let mut crates = Vec::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"]);
        let output = cargo.arg(root().join(manifest)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        for package in metadata["packages"].as_array().unwrap() {
            let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
            let folder = folder.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            crates.push(Crate { folder, dependencies: package["dependencies"].as_array().unwrap().clone() });
        }
    }
    assert!(crates.len() > 15);
    crates
}

/// The last part of a folder's path: what a crate is called in the picture.
fn short(folder: &str) -> String {
    folder.rsplit('/').next().unwrap().to_owned()
}

/// Every dependency of one of our crates on another, but not those of tests.
fn arrows() -> BTreeSet<(String, String)> {
    let mut arrows = BTreeSet::new();
    for one in crates() {
        for dependency in &one.dependencies {
            if let (Some(path), Value::Null) = (dependency["path"].as_str(), &dependency["kind"]) {
                arrows.insert((short(&one.folder), short(path)));
            }
        }
    }
    arrows
}

#[test]
fn the_picture_has_every_crate_and_every_arrow() {
    let picture = read("docs/layers.svg").replace("&#45;", "-").replace("&gt;", ">");
    let titles = |class: &str| -> BTreeSet<String> {
        let begin = format!("class=\"{class}\">");
        let parts = picture.split(begin.as_str()).skip(1);
        let title =
            |part: &str| part.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0.to_owned();
        parts.map(title).collect()
    };
    let expected: BTreeSet<String> = crates().iter().map(|one| short(&one.folder)).collect();
    assert_eq!(titles("node"), expected, "crates in docs/layers.svg and in the Cargo.toml files");
    let expected: BTreeSet<String> = arrows().into_iter().map(|(from, to)| format!("{from}->{to}")).collect();
    assert_eq!(titles("edge"), expected, "arrows in docs/layers.svg and in the Cargo.toml files");
}

#[test]
fn the_picture_is_drawn_from_the_same_arrows() {
    let source = read("docs/layers.dot");
    // What is invisible only puts crates in their places.
    let visible = source.split("style=invis").next().unwrap();
    let mut drawn = BTreeSet::new();
    for line in visible.lines().filter(|line| !line.trim_start().starts_with("//")) {
        if let Some((from, to)) = line.split_once("->") {
            let to = to.trim().trim_matches(['{', '}']).split_whitespace();
            drawn.extend(to.map(|to| (from.trim().to_owned(), to.to_owned())));
        }
    }
    assert_eq!(drawn, arrows(), "arrows in docs/layers.dot and in the Cargo.toml files");
}

#[test]
fn the_table_of_dependencies_has_each_crate_and_where_it_is() {
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in crates() {
        for dependency in one.dependencies.iter().filter(|d| d["source"].is_string()) {
            let name = dependency["name"].as_str().unwrap().to_owned();
            expected.entry(name).or_default().insert(one.folder.clone());
        }
    }
    let readme = read("README.md");
    let section = readme.split("\n## Dependencies\n").nth(1).unwrap();
    let table = section.split_once("| crate |").unwrap().1.split("\n\n").next().unwrap();
    let mut stated = BTreeMap::new();
    for line in table.lines().skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, places, why] = cells[..] else { panic!("three columns: {line}") };
        assert!(why.len() > 5, "a reason: {line}");
        let places: BTreeSet<String> = places.split(',').map(|place| place.trim().to_owned()).collect();
        stated.insert(name.trim_matches('`').to_owned(), places);
    }
    assert_eq!(stated, expected, "README's table and the Cargo.toml files");
}
