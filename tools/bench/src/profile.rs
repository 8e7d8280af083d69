//! A profile: in which functions of the kernel an operation's instructions are, and how many there are of the kinds
//! that the translator makes dear.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::rows::operations;
use crate::{insn, table};

/// Which row, and how much of it is told.
#[derive(Args)]
pub struct Options {
    /// The row, or words that the names of several contain
    row: String,
    /// How many functions
    #[arg(long, default_value_t = 30)]
    most: usize,
}

/// Where the upper half of the addresses begins, which is the kernel's.
const UPPER: u64 = 1 << 63;

/// Functions by their addresses.
struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// From the kernel's own table, or that of the file which it was made from: what is in `build` has none.
    fn of(kernel: &Path) -> Result<Symbols> {
        let own = Symbols::in_file(kernel)?;
        if !own.0.is_empty() {
            return Ok(own);
        }
        let told = kernel.with_extension("json");
        let said = std::fs::read_to_string(&told).with_context(|| told.display().to_string())?;
        let linked = linked(&said).with_context(|| format!("{} names no kernel", told.display()))?;
        let same = text_of(kernel)? == text_of(&linked)?;
        ensure!(same, "{} was not made from {}", kernel.display(), linked.display());
        let symbols = Symbols::in_file(&linked)?;
        ensure!(!symbols.0.is_empty(), "{} names no functions", linked.display());
        Ok(symbols)
    }

    /// What `nm` reads in a file.
    fn in_file(kernel: &Path) -> Result<Symbols> {
        let output = Command::new("nm").args(["-C", "--defined-only"]).arg(kernel).output().context("nm")?;
        ensure!(output.status.success(), "nm: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Symbols::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(said: &str) -> Symbols {
        let line = |line: &str| -> Option<(u64, String)> {
            let mut words = line.splitn(3, ' ');
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            "tTwW".contains(words.next()?).then_some(())?;
            let name = words.next()?;
            // Behind it is the hash of a name as the compiler has it.
            let name =
                name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name);
            Some((address, name.to_owned()))
        };
        Symbols(said.lines().filter_map(line).collect())
    }

    /// The function that an address is in, and whether it is the first of it.
    fn find(&self, address: u64) -> (&str, bool) {
        if address < UPPER {
            return ("(the program)", false);
        }
        let found = self.0.range(..=address).next_back();
        found.map_or(("(unknown)", false), |(first, name)| (name, *first == address))
    }
}

/// The file that cargo says it has made.
fn linked(said: &str) -> Option<PathBuf> {
    let made = |line: &str| -> Option<PathBuf> {
        let told: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(told.get("executable")?.as_str()?))
    };
    said.lines().filter_map(made).next_back()
}

/// The instructions in a file.
fn text_of(kernel: &Path) -> Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    let done = Command::new("objcopy")
        .args(["-O", "binary", "--only-section=.text"])
        .args([kernel, file.path()])
        .status()
        .context("objcopy")?;
    ensure!(done.success(), "objcopy of {}", kernel.display());
    Ok(std::fs::read(file.path())?)
}

/// An operation's instructions.
#[derive(Debug, Default, PartialEq)]
struct Profile {
    /// Of each function, and how often it was called.
    functions: BTreeMap<String, (f64, f64)>,
    /// Of each dear kind.
    kinds: Vec<(String, f64)>,
}

/// Profiles the chosen rows.
pub fn run(options: &Options, kernel: &Path) -> Result<bool> {
    let rows = table::chosen(&options.row);
    let exact: Vec<_> = rows.iter().copied().filter(|row| row.name == options.row).collect();
    let rows = if exact.is_empty() { rows } else { exact };
    ensure!(!rows.is_empty() && !options.row.trim().is_empty(), "no row has such a name: {}", options.row);
    let folder = tempfile::Builder::new().prefix("bench").tempdir()?;
    insn::plugins_work(folder.path())?;
    let symbols = Symbols::of(kernel)?;
    for set in table::sets(&rows) {
        ensure!(set != "boot", "a boot has no marks to count between");
        let of: Vec<&str> = rows.iter().filter(|row| row.set() == set).map(|row| row.name).collect();
        let ports = tempfile::tempdir_in(folder.path())?;
        let (said, counted) = insn::run_counted(kernel, ports.path(), set, &of.join(","), ",profile=1")?;
        for (name, profile) in read(&said, &counted, &symbols) {
            if of.contains(&name) {
                print!("{}", as_text(name, &profile, options.most));
            }
        }
    }
    Ok(true)
}

/// Puts together the guest's lines and the plugin's: rows in their order.
fn read<'a>(said: &'a str, counted: &str, symbols: &Symbols) -> Vec<(&'a str, Profile)> {
    let mut profiles = Vec::new();
    let mut rows = said.lines().filter_map(operations);
    let mut times = 1.0;
    for line in counted.lines() {
        if let Some(block) = line.strip_prefix("@ ") {
            let Some((_, profile)) = profiles.last_mut() else { continue };
            add_block(profile, block, times, symbols);
        } else if let Some((count, kind)) = line.strip_prefix("! ").and_then(|kind| kind.split_once(' ')) {
            let count: f64 = count.parse().unwrap_or_default();
            if let Some((_, profile)) = profiles.last_mut()
                && count > 0.0
            {
                profile.kinds.push((kind.to_owned(), count / times));
            }
        } else if let Some((name, operations)) = rows.next() {
            let regions = line.split_whitespace().count() / 2;
            times = (regions as f64 * operations as f64).max(1.0);
            profiles.push((name, Profile::default()));
        }
    }
    profiles
}

/// Adds `ADDRESS INSTRUCTIONS TIMES`.
fn add_block(profile: &mut Profile, block: &str, times: f64, symbols: &Symbols) {
    let words: Vec<&str> = block.split_whitespace().collect();
    let [address, instructions, entered] = words[..] else { return };
    let Ok(address) = u64::from_str_radix(address, 16) else { return };
    let (name, is_first) = symbols.find(address);
    let (sum, calls) = profile.functions.entry(name.to_owned()).or_default();
    *sum += instructions.parse::<f64>().unwrap_or_default() / times;
    if is_first {
        *calls += entered.parse::<f64>().unwrap_or_default() / times;
    }
}

fn as_text(name: &str, profile: &Profile, most: usize) -> String {
    let all: f64 = profile.functions.values().map(|(instructions, _)| instructions).sum();
    let mut text = format!("{name}: {all:.0} instructions an operation\n");
    let kinds: Vec<String> =
        profile.kinds.iter().filter(|(_, n)| *n >= 0.01).map(|(kind, n)| format!("{kind} {n:.2}")).collect();
    text += &format!("  dear ones: {}\n", kinds.join(", "));
    text += &format!("  {:>12} {:>8}  function\n", "instructions", "calls");
    let mut functions: Vec<_> = profile.functions.iter().collect();
    functions.sort_by(|(_, (a, _)), (_, (b, _))| b.total_cmp(a));
    for (function, (instructions, calls)) in functions.into_iter().take(most) {
        text += &format!("  {instructions:12.1} {calls:8.2}  {function}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn cargo_says_what_it_has_made() {
        let said = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/release/pc64"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(super::linked(said), Some("/t/release/pc64".into()));
        assert_eq!(super::linked("nothing"), None);
    }

    use super::*;

    const NM: &str = "ffffffff80000000 T syscall_entry\nffffffff80000100 t port::call::dispatch::h0123456789abcdef\n\
                      ffffffff80000200 D a_table\n                 U missing\n";

    #[test]
    fn an_address_is_in_the_function_before_it() {
        let symbols = Symbols::parse(NM);
        assert_eq!(symbols.find(0xffff_ffff_8000_0000), ("syscall_entry", true));
        assert_eq!(symbols.find(0xffff_ffff_8000_00ff), ("syscall_entry", false));
        assert_eq!(symbols.find(0xffff_ffff_8000_0300), ("port::call::dispatch", false));
        assert_eq!(symbols.find(0x20_0000), ("(the program)", false));
        assert_eq!(symbols.find(0xffff_8000_0000_0000), ("(unknown)", false));
    }

    #[test]
    fn instructions_are_an_operations() {
        let said = "R calib.start 1 ns 1 1 2 10\nR cpu.x 5 us 4 9 2 10\n";
        // Two regions of ten operations each.
        let counted = "0 50 0 50 \n@ 200000 100 20\n! 20 block\n400 20 400 20 \n@ ffffffff80000000 400 20\n\
                       @ ffffffff80000120 400 40\n@ 200000 40 20\n! 20 syscall\n! 0 hlt\n";
        let profiles = read(said, counted, &Symbols::parse(NM));
        let names: Vec<&str> = profiles.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["calib.start", "cpu.x"]);
        let profile = &profiles[1].1;
        assert_eq!(profile.functions["syscall_entry"], (20.0, 1.0));
        assert_eq!(profile.functions["port::call::dispatch"], (20.0, 0.0));
        assert_eq!(profile.kinds, [("syscall".to_owned(), 1.0)]);
        let text = as_text("cpu.x", profile, 2);
        assert!(
            text.starts_with("cpu.x: 42 instructions an operation\n  dear ones: syscall 1.00\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
