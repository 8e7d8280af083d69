//! Processes as a tree, as pstree draws it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// The lines of a tree: each process with what leads to it from its parent. A parent that is not among them, or is
/// its own grandchild since numbers were used again, is none.
pub fn lines(parents: &[(u32, u32)]) -> Vec<(u32, String)> {
    let known: BTreeSet<u32> = parents.iter().map(|(pid, _)| *pid).collect();
    let mut children: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut roots = BTreeSet::new();
    for &(pid, parent) in parents {
        let is_child = known.contains(&parent) && parent != pid;
        if is_child { children.entry(parent).or_default() } else { &mut roots }.insert(pid);
    }
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    draw(&roots, &children, &mut seen, &mut out);
    // Those of a ring hang on nobody.
    for pid in &known {
        if !seen.contains(pid) {
            draw(&BTreeSet::from([*pid]), &children, &mut seen, &mut out);
        }
    }
    out
}

/// Draws these and what hangs on them, without recursion: nothing bounds how deep processes are.
fn draw(
    roots: &BTreeSet<u32>,
    children: &BTreeMap<u32, BTreeSet<u32>>,
    seen: &mut BTreeSet<u32>,
    out: &mut Vec<(u32, String)>,
) {
    let last_of = |set: &BTreeSet<u32>, pid: &u32| set.last() == Some(pid);
    let mut todo: Vec<(u32, Vec<bool>)> = roots.iter().rev().map(|pid| (*pid, Vec::new())).collect();
    while let Some((pid, above)) = todo.pop() {
        if !seen.insert(pid) {
            continue;
        }
        let mut drawn = String::new();
        for (n, last) in above.iter().enumerate() {
            drawn.push(match (n + 1 == above.len(), last) {
                (true, true) => '└',
                (true, false) => '├',
                (false, true) => ' ',
                (false, false) => '│',
            });
        }
        out.push((pid, drawn));
        let Some(below) = children.get(&pid) else { continue };
        for child in below.iter().rev() {
            let mut above = above.clone();
            above.push(last_of(below, child));
            todo.push((*child, above));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;
    use alloc::format;
    use alloc::string::String;

    fn drawn(parents: &[(u32, u32)]) -> String {
        lines(parents).iter().map(|(pid, tree)| format!("{tree}{pid} ")).collect()
    }

    #[test]
    fn children_hang_on_their_parents() {
        assert_eq!(drawn(&[(1, 0), (2, 1), (5, 2), (3, 1), (4, 3)]), "1 ├2 │└5 └3  └4 ");
        // Orphans of somebody who is gone stand by themselves, and so does each part of a ring.
        assert_eq!(drawn(&[(7, 6), (8, 7), (1, 0)]), "1 7 └8 ");
        assert_eq!(drawn(&[(1, 1), (2, 3), (3, 2)]), "1 2 └3 ");
        assert_eq!(drawn(&[]), "");
    }
}
