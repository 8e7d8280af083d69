#![forbid(unsafe_code)]
//! Boots real machines and checks what they print, how they end, and what they leave on the host.
//!
//! `boottest` runs every case of [`cases`]; `boottest NAME...` those whose names contain one of the words. Each case
//! is a description of a machine and a script ([`case`]), played by [`play`]. A case that fails prints its
//! transcript.

mod case;
mod cases;
mod host;
mod peers;
mod play;
mod screen;
mod secure;
mod socket;
mod step;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use vm::{Board, Flavour};

use crate::case::Case;

/// Boot machines and check what they do.
#[derive(Parser)]
struct Options {
    /// Only the cases whose names contain one of these
    names: Vec<String>,
    /// The kernel to boot
    #[arg(long, default_value = "build/kernel.elf")]
    kernel: PathBuf,
    /// The command of the host that some cases use
    #[arg(long, default_value = "build/elwood")]
    elwood: PathBuf,
    /// How many machines run at the same time
    #[arg(short, long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Show all that the machines print, as they print it
    #[arg(short, long)]
    verbose: bool,
    /// Only the cases that are not about a board, on this one
    #[arg(long, value_parser = parse_board)]
    on: Option<(Board, Flavour)>,
    /// Processors of machines that are described with one; unless said, those on microvm for a second time have two
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8))]
    smp: Option<u32>,
    /// Beside the cases that are named, or instead of all, the first case of each group
    #[arg(long)]
    one_of_each: bool,
    /// Name the cases and end
    #[arg(short, long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut cases = match options.on {
        Some((board, flavour)) => {
            let moved = cases::moved(board, flavour).into_iter();
            moved.map(|case| case.smp(options.smp.unwrap_or(1))).collect()
        }
        None => cases::all(options.smp),
    };
    let mut choice = Choice::new(&options.names, options.one_of_each);
    cases.retain(|case| choice.takes(case.name()));
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name()));
        return ExitCode::SUCCESS;
    }
    if cases.is_empty() {
        eprintln!("boottest: no case has such a name; --list shows them");
        return ExitCode::FAILURE;
    }
    for file in [&options.kernel, &options.elwood] {
        if !file.is_file() {
            eprintln!("boottest: no {}; 'make' makes it", file.display());
            return ExitCode::FAILURE;
        }
    }
    let qemu = match vm::qemu_version() {
        Ok(version) => version,
        Err(error) => {
            eprintln!("boottest: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    println!("QEMU {qemu} ({}), {} cases", vm::qemu().display(), cases.len());
    match Signals::new([SIGHUP, SIGINT, SIGTERM]) {
        Ok(mut signals) => drop(std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                vm::kill_all();
                std::process::exit(128 + signal);
            }
        })),
        Err(error) => eprintln!("boottest: an interrupt will leave machines behind: {error}"),
    }
    let (failed, skipped) = run(&cases, qemu, &options);
    let left_out = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    println!("{} passed, {failed} failed{left_out}", cases.len() - failed - skipped);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which cases are played.
struct Choice<'a> {
    /// Those whose names contain one of these, or all if there are none.
    words: &'a [String],
    /// The first of each group, too, or instead of all.
    one_of_each: bool,
    /// The groups that have had their first.
    groups: BTreeSet<String>,
}

impl<'a> Choice<'a> {
    fn new(words: &'a [String], one_of_each: bool) -> Choice<'a> {
        Choice { words, one_of_each, groups: BTreeSet::new() }
    }

    /// Whether the next case, which has this name, is one.
    fn takes(&mut self, name: &str) -> bool {
        let first = self.one_of_each && self.groups.insert(group(name).to_owned());
        let named = self.words.iter().any(|word| name.contains(word.as_str()));
        first || named || (self.words.is_empty() && !self.one_of_each)
    }
}

/// The group of a case: its name without the last word, and without the dialect. `microvm/mount/union/L` is of
/// `microvm/mount`.
fn group(name: &str) -> &str {
    let name = name.strip_suffix("/L").unwrap_or(name);
    name.rsplit_once('/').map_or(name, |(group, _)| group)
}

/// `q35`, `microvm-modern`, `pc-legacy`...
fn parse_board(text: &str) -> Result<(Board, Flavour), String> {
    let (board, flavour) = text.split_once('-').unwrap_or((text, ""));
    let board = [Board::Pc, Board::Q35, Board::Microvm].into_iter().find(|b| b.name() == board);
    let flavour = match flavour {
        "" => Some(Flavour::Transitional),
        "modern" => Some(Flavour::Modern),
        "legacy" => Some(Flavour::Legacy),
        _ => None,
    };
    board.zip(flavour).ok_or_else(|| "it is pc, q35 or microvm, with -modern or -legacy behind".into())
}

/// Plays all cases, several at a time, and returns how many failed and how many this host cannot play.
fn run(cases: &[Case], qemu: vm::Version, options: &Options) -> (usize, usize) {
    let (next, skipped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    let built = play::Built { kernel: &options.kernel, elwood: &options.elwood, qemu };
    std::thread::scope(|scope| {
        for _ in 0..usize::from(options.jobs).min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(why) = case.lacks() {
                        println!("skipped {:32} {why}", case.name());
                        skipped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let result = play::play(case, &built, options.verbose);
                    match &result.error {
                        None => println!("ok      {:32} {:6.2} s", case.name(), result.took.as_secs_f64()),
                        Some(error) => {
                            // One print, so that cases that fail together stay apart.
                            println!(
                                "FAILED  {:32} {:6.2} s\n{error:#}\n--- transcript of {}\n{}\n--- end of {}",
                                case.name(),
                                result.took.as_secs_f64(),
                                case.name(),
                                result.transcript.trim_end(),
                                case.name()
                            );
                            if let Ok(mut failures) = failures.lock() {
                                failures.push(case.name().to_owned());
                            }
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    for name in &failures {
        println!("FAILED  {name}");
    }
    (failures.len(), skipped.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_those_with_a_word_or_one_of_each_group() {
        let cases = cases::all(None);
        let names: Vec<&str> = cases.iter().map(Case::name).collect();
        let chosen = |words: &[&str], one_of_each| -> Vec<&str> {
            let words: Vec<String> = words.iter().map(|&word| word.into()).collect();
            let mut choice = Choice::new(&words, one_of_each);
            names.iter().copied().filter(|name| choice.takes(name)).collect()
        };
        assert_eq!(chosen(&[], false), names);
        let guide = chosen(&["guide/"], false);
        assert!(guide.len() > 2 && guide.iter().all(|name| name.contains("guide/")), "{guide:?}");
        let one = chosen(&[], true);
        assert_eq!(one.iter().map(|name| group(name)).collect::<BTreeSet<_>>().len(), one.len());
        assert!(names.iter().all(|name| one.iter().any(|first| group(first) == group(name))), "{one:?}");
        let both: BTreeSet<&str> = chosen(&["guide/"], true).into_iter().collect();
        assert_eq!(both, one.into_iter().chain(guide).collect());
    }

    #[test]
    fn a_group_has_neither_the_last_word_nor_the_dialect() {
        assert_eq!(
            ["mount/union", "mount/union/L", "microvm/mount/union/L", "smp/q35-4"].map(group),
            ["mount", "mount", "microvm/mount", "smp"]
        );
    }
}
