//! Times: Elwood, Linux and the floor take turns in each round, on a host that is quiet meanwhile.
//!
//! A boot during which others had more of the host than is allowed is done again, and the quietest one counts; if none
//! was quiet, its figures are marked. What is written into the papers is a whole table of quiet boots, or nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use clap::Args;
use tempfile::TempDir;
use vm::{Accel, Board, Pattern, Vm};

use crate::floor::Floor;
use crate::guest::{Elwood, FIRST, Machine, Much, SERVE, WIRE_PORT, is_wired, other_end, serving};
use crate::host::{self, Host};
use crate::linux::Linux;
use crate::report::{self, About, Results};
use crate::rows::{self, Figure, Rows};
use crate::table::{self, Row};
use crate::{compile, share};

/// How long a machine may take to its prompt.
const BOOT: Duration = Duration::from_secs(60);

/// What is timed, and how.
#[derive(Args)]
pub struct Options {
    /// Only rows whose names contain one of these words
    #[arg(long, default_value = "")]
    rows: String,
    /// How often all take their turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Processors of the machines; refused if the host has fewer
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    smp: u32,
    /// q35, pc or microvm
    #[arg(long, default_value = "q35", value_parser = board)]
    machine: Board,
    /// tcg, kvm, or auto: KVM if it runs guests here
    #[arg(long, default_value = "tcg", value_parser = accel)]
    accel: Accel,
    /// Milliseconds of a repetition
    #[arg(long, default_value_t = 200)]
    ms: u32,
    /// How much of the host's processor others may have, in percent
    #[arg(long, default_value_t = 8.0)]
    quiet: f64,
    /// How often a boot that was disturbed is tried
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// For how many seconds quiet is waited for before a boot
    #[arg(long, default_value_t = 30)]
    wait: u64,
    /// The papers, into which a whole quiet table is written
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
    /// Where the figures of every run go
    #[arg(long, default_value = "build/bench")]
    out: PathBuf,
}

fn board(name: &str) -> Result<Board, String> {
    let boards = [Board::Q35, Board::Pc, Board::Microvm];
    boards.into_iter().find(|board| board.name() == name).ok_or_else(|| "q35, pc or microvm".into())
}

fn accel(name: &str) -> Result<Accel, String> {
    match name {
        "tcg" => Ok(Accel::Tcg),
        "kvm" => Ok(Accel::Kvm),
        "auto" => Ok(Accel::Auto),
        _ => Err("tcg, kvm or auto".into()),
    }
}

/// Times everything, tells it and writes it. True unless something was disturbed.
pub fn run(options: &Options, kernel: &Path) -> Result<bool> {
    let mut rows = table::chosen(&options.rows);
    rows.retain(|row| row.is_for(options.smp));
    ensure!(!rows.is_empty(), "no row has such a name: {}", options.rows);
    let kvm = match options.accel {
        Accel::Tcg => false,
        Accel::Kvm => {
            ensure!(vm::kvm_works(), "KVM runs no guests on this host");
            true
        }
        Accel::Auto => vm::kvm_works(),
    };
    let machine = Machine {
        board: options.machine,
        smp: options.smp,
        accel: if kvm { Accel::Kvm } else { Accel::Tcg },
    };
    let host = Host::new(options.smp)?;
    let folder = tempfile::Builder::new().prefix("bench").tempdir()?;
    let bench = Bench {
        elwood: Elwood { kernel: kernel.into(), archive: compile::elwood_archive(folder.path())? },
        linux: Linux::prepare(folder.path()).context("the Linux guest")?,
        floor: Floor::new(folder.path())?,
        share: share::whole()?,
        host,
        machine,
        options,
    };
    let mut results = Results { about: bench.about()?, ..Results::default() };
    for round in 1..=options.rounds {
        for set in table::sets(&rows) {
            let of: Vec<&Row> = rows.iter().copied().filter(|row| row.set() == set).collect();
            eprintln!("bench: round {round} of {}, {set}: {} rows", options.rounds, of.len());
            if set == "boot" { bench.boots(&of, &mut results)? } else { bench.set(set, &of, &mut results)? }
        }
        let floored = |row: &&Row| row.floor.is_some() && row.set() != "boot";
        let of: Vec<&Row> = rows.iter().copied().filter(floored).collect();
        if Floor::is_on(machine.board) && !of.is_empty() {
            bench.floor(&of, &mut results)?;
        }
    }
    report::publish(&results, &rows, &options.out, &options.docs)
}

/// All that takes turns.
struct Bench<'a> {
    elwood: Elwood,
    linux: Linux,
    floor: Floor,
    share: TempDir,
    host: Host,
    machine: Machine,
    options: &'a Options,
}

impl Bench<'_> {
    fn about(&self) -> Result<About> {
        let said = |program: &str, words: &[&str]| {
            let output = std::process::Command::new(program).args(words).output().ok();
            output.map_or(String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
        };
        Ok(About {
            processor: host::processor(),
            processors: self.host.processors,
            pinned: self.host.pinned,
            load: host::load(),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
            qemu: vm::qemu_version()?.to_string(),
            linux: self.linux.version.clone(),
            board: self.machine.board.name().into(),
            smp: self.machine.smp,
            accelerator: if self.machine.accel == Accel::Kvm { "kvm" } else { "tcg" }.into(),
            rounds: self.options.rounds,
            quiet: self.options.quiet,
        })
    }

    /// Does something that gives figures, again while it is disturbed, and adds what was quietest.
    fn take_turn(&self, what: &str, rows: &mut Rows, turn: impl Fn() -> Result<Vec<Figure>>) -> Result<()> {
        let (mut best, mut failed): (Option<(Vec<Figure>, f64)>, Option<Error>) = (None, None);
        for _ in 0..self.options.tries {
            self.host.wait_until_quiet(self.options.quiet, Duration::from_secs(self.options.wait))?;
            match self.host.watch(&turn) {
                Ok((figures, others)) => {
                    eprintln!("bench:   {what}: {} figures, others had {others:.0} %", figures.len());
                    if best.as_ref().is_none_or(|(_, least)| others < *least) {
                        best = Some((figures, others));
                    }
                    if others <= self.options.quiet {
                        break;
                    }
                }
                Err(error) => {
                    eprintln!("bench:   {what}: {error:#}");
                    failed = Some(error);
                }
            }
        }
        match (best, failed) {
            (Some((figures, others)), _) => rows::add(rows, figures, others),
            (None, Some(error)) => return Err(error.context(what.to_owned())),
            (None, None) => bail!("{what}: nothing was tried"),
        }
        Ok(())
    }

    /// A machine with devices, in a folder that is kept until it has ended.
    fn with_machine(
        &self,
        set: &str,
        serves: impl Fn(Vm) -> Vm,
        work: impl FnOnce(Vm, u16) -> Result<String>,
    ) -> Result<Vec<Figure>> {
        let ports = tempfile::Builder::new().prefix("bench").tempdir()?;
        let port = other_end(set)?;
        let answering = || serving(serves(self.machine.answering(ports.path())));
        let other = if is_wired(set) { Some(answering()?) } else { None };
        let vm = self.machine.with_devices(set, self.share.path(), ports.path())?;
        let said = work(vm, port)?;
        drop(other);
        Ok(rows::parse(&said))
    }

    /// Lets Linux and then Elwood do the rows of a set.
    fn set(&self, set: &str, of: &[&Row], results: &mut Results) -> Result<()> {
        let repetitions = if set == "cpu" { 5 } else { 3 };
        let ms = self.options.ms;
        let theirs: Vec<&str> = of.iter().filter_map(|row| row.linux).collect();
        if !theirs.is_empty() {
            let only = theirs.join(",");
            self.take_turn("Linux", &mut results.linux, || {
                let accel = self.machine.accel;
                let serves = |vm| self.linux.told(vm, accel, SERVE, "", WIRE_PORT);
                let words = format!("ms={ms} reps={repetitions} only={only}");
                let done =
                    self.with_machine(set, serves, |vm, port| self.linux.run(vm, accel, set, &words, port))?;
                complete(done, &theirs)
            })?;
        }
        let ours: Vec<&str> = of.iter().map(|row| row.name).collect();
        let only = ours.join(",");
        self.take_turn("Elwood", &mut results.elwood, || {
            let much = Much::Milliseconds(ms);
            let serves = |vm| self.elwood.told(vm, SERVE, "", WIRE_PORT);
            let done = self.with_machine(set, serves, |vm, port| {
                self.elwood.run(vm, set, &only, &much, repetitions, port)
            })?;
            complete(done, &ours)
        })
    }

    fn floor(&self, of: &[&Row], results: &mut Results) -> Result<()> {
        self.take_turn("floor", &mut results.floor, || {
            let ports = tempfile::Builder::new().prefix("bench").tempdir()?;
            let done = rows::parse(&self.floor.run(&self.machine, self.share.path(), ports.path())?);
            complete(done, &of.iter().filter_map(|row| row.floor).collect::<Vec<_>>())
        })
    }

    /// The times from QEMU's start.
    fn boots(&self, of: &[&Row], results: &mut Results) -> Result<()> {
        let elwood = || self.machine.bare().kernel(&self.elwood.kernel);
        for row in of {
            if row.linux.is_some() {
                let vm = self.linux.first(&self.machine);
                self.take_turn("Linux", &mut results.linux, || boot(&vm, row.name, FIRST))?;
                let vm = self.machine.bare().kernel(&self.floor.first);
                self.take_turn("floor", &mut results.floor, || boot(&vm, "floor.boot.first", FIRST))?;
                let vm = elwood().initrd(&self.elwood.archive).append("boot=/bin/first");
                self.take_turn("Elwood", &mut results.elwood, || boot(&vm, row.name, FIRST))?;
            } else {
                self.take_turn("Elwood", &mut results.elwood, || boot(&elwood(), row.name, "term% "))?;
            }
        }
        Ok(())
    }
}

/// Fails if one of the rows is not among a guest's figures: it has left it out, or has never heard of it.
fn complete(figures: Vec<Figure>, rows: &[&str]) -> Result<Vec<Figure>> {
    let is_there = |row: &&str| figures.iter().any(|figure| figure.name == *row);
    let missing: Vec<&str> = rows.iter().copied().filter(|row| !is_there(row)).collect();
    ensure!(missing.is_empty(), "the guest has not done {}", missing.join(", "));
    Ok(figures)
}

/// How long a machine takes until it prints something.
fn boot(vm: &Vm, name: &str, until: &str) -> Result<Vec<Figure>> {
    let found = vm.start()?.expect(Pattern::from(until), BOOT)?;
    Ok(vec![Figure { name: name.into(), value: found.since_start.as_secs_f64() * 1e3, unit: "ms" }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_left_out_is_no_result() {
        let figures = || vec![Figure { name: "cpu.x".into(), value: 1.0, unit: "ns" }];
        assert_eq!(complete(figures(), &["cpu.x"]).unwrap(), figures());
        let why = complete(figures(), &["cpu.x", "cpu.y"]).unwrap_err().to_string();
        assert!(why.contains("not done cpu.y"), "{why}");
    }

    #[test]
    fn words_for_machines() {
        assert_eq!(board("microvm"), Ok(Board::Microvm));
        assert!(board("virt").is_err() && accel("hvf").is_err());
        assert_eq!(accel("auto"), Ok(Accel::Auto));
    }
}
