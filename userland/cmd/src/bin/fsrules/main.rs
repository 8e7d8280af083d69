//! fsrules [-x rule,...] dir: what Plan 9 says of files, tried in a directory of any file system. A line for each
//! rule that does not hold there, with what was seen; the status tells how many. Those behind -x are not tried.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::{DMDIR, OREAD, OWRITE};
use lib9::{Args, Dir, File, Result, error, exits, fd, file, println, proc, usage};

mod data;
mod modes;
mod names;
mod renames;

lib9::program!(main);

/// A name, and what is tried in a fresh directory.
type Rule = (&'static str, fn(&str) -> Result<()>);

const RULES: &[Rule] = &[
    ("append", modes::append),
    ("append-set", modes::append_set),
    ("create-exists", names::create_exists),
    ("create-masked", modes::create_masked),
    ("create-union", names::create_union),
    ("dir-length", data::dir_length),
    ("dir-write", data::dir_write),
    ("excl", modes::excl),
    ("excl-cut", modes::excl_cut),
    ("excl-race", modes::excl_race),
    ("exec", modes::exec),
    ("group", modes::group),
    ("list-stable", names::list_stable),
    ("mode-type", modes::mode_type),
    ("muid", modes::muid),
    ("null-wstat", data::null_wstat),
    ("orclose", names::orclose),
    ("orclose-below", renames::orclose_below),
    ("orclose-renamed", names::orclose_renamed),
    ("owner", modes::owner),
    ("permissions", modes::permissions),
    ("qid-fresh", data::qid_fresh),
    ("qid-stable", data::qid_stable),
    ("qid-version", data::qid_version),
    ("remove-full", names::remove_full),
    ("removed-change", data::removed_change),
    ("removed-dir", names::removed_dir),
    ("removed-length", data::removed_length),
    ("removed-open", data::removed_open),
    ("rename", names::rename),
    ("rename-dir", names::rename_dir),
    ("rename-exists", names::rename_exists),
    ("renamed-below", renames::renamed_below),
    ("renamed-dir", names::renamed_dir),
    ("renamed-open", names::renamed_open),
    ("renamed-swap", renames::renamed_swap),
    ("sparse", data::sparse),
    ("times", modes::times),
    ("times-late", modes::times_late),
    ("tmp", modes::tmp),
    ("truncate", data::truncate),
    ("wstat-whole", modes::wstat_whole),
];

fn main(args: &Args) -> Result<()> {
    let mut without = Vec::new();
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match (letter, flags.value()) {
            ('x', Ok(names)) => without.extend(names.split(',').map(String::from)),
            _ => usage(args, "[-x rule,...] dir"),
        }
    }
    if let Some(name) = without.iter().find(|without| !RULES.iter().any(|(name, _)| name == without)) {
        return Err(error!("there is no rule {name}"));
    }
    let [dir] = flags.rest() else { usage(args, "[-x rule,...] dir") };
    let (mut tried, mut broken) = (0, 0);
    for (name, rule) in RULES {
        if without.iter().any(|w| w == name) {
            continue;
        }
        let place = format!("{dir}/{name}.{}", proc::getpid());
        mkdir(&place, 0o777)?;
        tried += 1;
        if let Err(e) = rule(&place) {
            println!("{name}: {e}");
            broken += 1;
        }
        clear(&place)?;
    }
    println!("{tried} rules, {broken} broken");
    if broken == 0 { Ok(()) } else { exits(&format!("{broken} broken")) }
}

/// Removes a directory and what is in it.
fn clear(dir: &str) -> Result<()> {
    for entry in fd::readdir(dir)? {
        let path = format!("{dir}/{}", entry.name);
        if entry.qid.is_dir() { clear(&path)? } else { fd::remove(&path)? }
    }
    fd::remove(dir)
}

fn check(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(error!("{what}")) }
}

/// It must be refused, in words that contain these.
fn refused<T>(result: Result<T>, words: &str) -> Result<()> {
    match result {
        Ok(_) => Err(error!("was allowed, which is to be refused: {words}")),
        Err(e) => check(e.text().contains(words), &format!("refused with '{}', not '{words}'", e.text())),
    }
}

/// A file with these permissions and contents.
fn put(path: &str, perm: u32, text: &[u8]) -> Result<()> {
    let f = File::create(path, OWRITE, perm)?;
    f.write_all(text)
}

fn holds(path: &str, text: &[u8]) -> Result<()> {
    let got = file::read(path)?;
    check(got == text, &format!("reads as '{}'", String::from_utf8_lossy(&got)))
}

fn mkdir(path: &str, perm: u32) -> Result<()> {
    fd::close(fd::create(path, OREAD, DMDIR | perm)?)
}

/// Only the mode.
fn set_mode(path: &str, mode: u32) -> Result<()> {
    fd::wstat(path, &Dir { mode, ..Dir::untouched() })
}

fn set_name(path: &str, name: &str) -> Result<()> {
    fd::wstat(path, &Dir { name: name.to_string(), ..Dir::untouched() })
}
