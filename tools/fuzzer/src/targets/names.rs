//! Binds and unmounts in any order, against a model: a directory is a list of directories.
//!
//! The model knows five directories, each with a file that tells it from the others. What a name stands for is its
//! list, or itself if nothing was bound there; a bind puts the new one's list in place of the old one's, before it or
//! behind it.

use port::call::sysfile;
use port::proc::exit::exit;
use port::testkit::{Hosted, tar};

const DIRS: [&str; 5] = ["/a", "/b", "/c", "/d", "/e"];

/// Lists by directory; an empty one is a directory that nothing was bound to.
type Model = [Vec<usize>; DIRS.len()];

/// Tries these bytes: operations, two bytes each.
pub fn run(bytes: &[u8]) {
    machine::host::new_machine();
    let files = ["a/", "a/0", "b/", "b/1", "c/", "c/2", "d/", "d/3", "e/", "e/4"].map(|name| (name, ""));
    let t = Hosted::with(vec![], vec![tar(&files)], &[]);
    play(&t, bytes);
    // A kernel with a process in it is never given up.
    exit(&t.up, "");
}

fn play(t: &Hosted, bytes: &[u8]) {
    let mut model = Model::default();
    for op in bytes.chunks_exact(2).take(60) {
        let (new, old) = (usize::from(op[1] & 15) % DIRS.len(), usize::from(op[1] >> 4) % DIRS.len());
        let elements = |model: &Model| match model[new].as_slice() {
            [] => vec![new],
            list => list.to_vec(),
        };
        match op[0] % 8 {
            flag @ 0..=5 => {
                let order = u32::from(flag) % 3;
                let done = sysfile::bind(&t.up, DIRS[new], DIRS[old], order).is_ok();
                let added = elements(&model);
                if !done {
                    // Something is refused when there is too much of it, or when it would change nothing.
                    assert!(added.len() + model[old].len() > 100 || new == old, "bind {op:?} refused");
                    continue;
                }
                let had = match model[old].as_slice() {
                    [] => vec![old],
                    list => list.to_vec(),
                };
                model[old] = match order {
                    abi::MREPL => added,
                    abi::MBEFORE => [added, had].concat(),
                    _ => [had, added].concat(),
                };
            }
            6 => {
                let done = sysfile::unmount(&t.up, None, DIRS[old]).is_ok();
                assert_eq!(done, !model[old].is_empty(), "unmount of {}", DIRS[old]);
                model[old].clear();
            }
            _ => {
                let first = elements(&model)[0];
                let done = sysfile::unmount(&t.up, Some(DIRS[new]), DIRS[old]).is_ok();
                let at = model[old].iter().position(|&dir| dir == first);
                assert_eq!(done, at.is_some(), "unmount of {} from {}: {model:?}", DIRS[new], DIRS[old]);
                if let Some(at) = at {
                    model[old].remove(at);
                }
            }
        }
        check(t, &model);
        if model.iter().any(|list| list.len() > 200) {
            return;
        }
    }
}

/// What the kernel shows is what the model says.
fn check(t: &Hosted, model: &Model) {
    for (n, name) in DIRS.iter().enumerate() {
        let list = if model[n].is_empty() { vec![n] } else { model[n].clone() };
        let seen = t.ls(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected: Vec<String> = list.iter().map(usize::to_string).collect();
        assert_eq!(seen, expected, "{name} of {model:?}");
        for file in 0..DIRS.len() {
            let found = t.stat(&format!("{name}/{file}")).is_ok();
            assert_eq!(found, list.contains(&file), "{name}/{file} of {model:?}");
        }
    }
}
