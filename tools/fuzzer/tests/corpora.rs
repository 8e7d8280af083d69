//! Every input that is kept, among them those that once failed, and a few that are made from them.

use std::fs;
use std::path::PathBuf;

use fuzzer::{TARGETS, mutate};
use ninep::testserver::hostile::Random;

fn inputs(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_kept_input() {
    for (name, run) in TARGETS {
        let corpus = inputs(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        corpus.iter().for_each(|input| run(input));
    }
}

#[test]
fn some_that_are_made_from_them() {
    for (name, run) in TARGETS {
        let corpus = inputs(name);
        let mut random = Random(12);
        let count = if name.starts_with("lying_") { 2 } else { 200 };
        (0..count).for_each(|_| run(&mutate::input(&mut random, &corpus)));
    }
}
