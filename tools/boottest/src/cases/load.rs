//! Much of it: large files, many files, many processes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::{Dialect, q35};
use crate::case::{Case, World, re};

/// The size of the large file: not a multiple of anything that a message or a page is.
const LARGE: u64 = 100_000_007;

pub fn cases(d: Dialect) -> Vec<Case> {
    vec![
        d.case("load/large-file", q35().memory_mib(512))
            .share("host", |folder| noise(&folder.join("large"), LARGE))
            .line(d.mount())
            .is("")
            .line("cp /n/host/large /n/host/back && cmp /n/host/large /n/host/back; echo $status")
            .is("\n")
            .check(|w| same(w, "large", "back"))
            .line("cat /n/host/large | cat >/n/host/direct; echo $status")
            .is("|\n")
            .check(|w| same(w, "large", "direct"))
            .budget(180),
        d.case("load/tree", q35())
            .share("host", |folder| tree(&folder.join("tree"), &mut |_, _| {}))
            .line(d.mount())
            .is("")
            .line("cd /n/host && du -an tree >listing && du -a tree >disk; echo $status")
            .is("\n")
            .check(listings)
            .line("mkdir copy; @{cd tree; for(d in d0*) { mkdir ../copy/$d && cp $d/* ../copy/$d }}; echo $status")
            .is("\n")
            .check(copied_tree)
            .budget(180),
        d.case("load/forty-readers", q35())
            .share("host", forty)
            .line(d.mount())
            .is("")
            .line("rc /n/host/forty")
            .is("equal\n".repeat(40))
            .line("cat /dev/mtags")
            .gives(re(&format!("^host:{}:[0-9]+:[0-9]+$", d.version)))
            .budget(120),
    ]
}

/// Writes `length` bytes that look random and are always the same.
pub(super) fn noise(path: &Path, length: u64) -> Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = length;
    while left > 0 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let count = left.min(8);
        file.write_all(bytes.get(..usize::try_from(count)?).unwrap_or_default())?;
        left -= count;
    }
    Ok(file.flush()?)
}

/// The two files of the share are equal, byte for byte.
pub(super) fn same(world: &World, one: &str, other: &str) -> Result<()> {
    let folder = world.folder("host")?;
    let (mut a, mut b) = (File::open(folder.join(one))?, File::open(folder.join(other))?);
    let (la, lb) = (a.metadata()?.len(), b.metadata()?.len());
    ensure!(la == lb, "{one} has {la} bytes, {other} {lb}");
    let (mut x, mut y) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    while at < la {
        let n = x.len().min(usize::try_from(la - at)?);
        let (Some(x), Some(y)) = (x.get_mut(..n), y.get_mut(..n)) else { bail!("a piece of {n} bytes") };
        a.read_exact(x)?;
        b.read_exact(y)?;
        if x != y {
            let first = x.iter().zip(&*y).take_while(|(p, q)| p == q).count();
            bail!("{one} and {other} differ at byte {}", at + first as u64);
        }
        at += n as u64;
    }
    Ok(())
}

/// Makes 5000 files in 50 folders (or only names them, when `root` is there), of 0 to 4999 bytes, telling `each` their
/// names and contents.
fn tree(root: &Path, each: &mut dyn FnMut(&str, &str)) -> Result<()> {
    let make = !root.exists();
    for d in 0..50 {
        let folder = root.join(format!("d{d:02}"));
        if make {
            fs::create_dir_all(&folder)?;
        }
        for f in 0..100 {
            let name = format!("d{d:02}/file.{f:03}");
            let text = name.repeat((d * 100 + f) / name.len());
            if make {
                fs::write(root.join(&name), &text)?;
            }
            each(&name, &text);
        }
    }
    Ok(())
}

/// `du -an` has named each file with its length, and `du -a` each file and folder, once.
fn listings(world: &World) -> Result<()> {
    let folder = world.folder("host")?;
    let (mut lengths, mut names) = (Vec::new(), vec!["tree".to_owned()]);
    names.extend((0..50).map(|d| format!("tree/d{d:02}")));
    tree(&folder.join("tree"), &mut |name, text| {
        lengths.push(format!("{}\ttree/{name}", text.len()));
        names.push(format!("tree/{name}"));
    })?;
    let listing = fs::read_to_string(folder.join("listing"))?;
    equal_sets("du -an", listing.lines(), lengths)?;
    let disk = fs::read_to_string(folder.join("disk"))?;
    equal_sets("du -a", disk.lines().filter_map(|line| Some(line.split_once('\t')?.1)), names)
}

/// The lines that `who` printed are `wanted`, in any order.
fn equal_sets<'a>(who: &str, lines: impl Iterator<Item = &'a str>, mut wanted: Vec<String>) -> Result<()> {
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    wanted.sort_unstable();
    if let Some((line, want)) = lines.iter().zip(&wanted).find(|(line, want)| line != want) {
        bail!("{who} has {line:?} where {want:?} should be ({} lines of {})", lines.len(), wanted.len());
    }
    ensure!(lines.len() == wanted.len(), "{who} has {} lines of {}", lines.len(), wanted.len());
    Ok(())
}

/// `copy` has all that the first ten folders of `tree` have.
fn copied_tree(world: &World) -> Result<()> {
    let folder = world.folder("host")?;
    let mut wrong = Vec::new();
    tree(&folder.join("tree"), &mut |name, text| {
        if name.starts_with("d0")
            && fs::read_to_string(folder.join("copy").join(name)).ok().as_deref() != Some(text)
        {
            wrong.push(name.to_owned());
        }
    })?;
    ensure!(wrong.is_empty(), "{} files differ, the first is {:?}", wrong.len(), wrong.first());
    Ok(())
}

/// Two equal files of a megabyte, and a script in which forty processes at once compare them.
fn forty(folder: &Path) -> Result<()> {
    noise(&folder.join("a"), 1_000_003)?;
    fs::copy(folder.join("a"), folder.join("b"))?;
    let numbers: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
    let script =
        format!("for(i in {}) {{ cmp /n/host/a /n/host/b && echo equal & }}\nwait\n", numbers.join(" "));
    Ok(fs::write(folder.join("forty"), script)?)
}
