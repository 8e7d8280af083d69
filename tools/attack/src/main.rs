#![forbid(unsafe_code)]
//! Does its worst to machines, one after the other, and looks after each round whether everything is as it was.
//!
//! A machine is made from a seed: its memory, its processors, what happens in it ([`plan`]). It is attacked from
//! inside by the program `attack9`, which is laid over its root, and from the host's end of its ports by servers that
//! lie ([`port`]). [`play`] boots it, types the rounds at its prompt, and judges: a panic, an end of QEMU that nobody
//! asked for, a console that does not answer, a process that cannot be killed, a rule of usertests(1) that does not
//! hold any more, or memory that is in use each time a little more is a failure. What failed is printed with the
//! command that repeats it, and the machine's transcript is kept.

mod count;
mod plan;
mod play;
mod port;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::plan::Plan;

/// Attack machines, and look whether they stand it.
#[derive(Parser, Debug)]
pub struct Options {
    /// For how many seconds machines are begun
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// The first machine's seed; the next machine has the next one
    #[arg(long)]
    seed: Option<u64>,
    /// How many machines at most
    #[arg(long)]
    machines: Option<u64>,
    /// Only rounds whose names contain one of these words, with commas between them
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// MiB of memory, instead of what the seed says
    #[arg(short, long)]
    memory: Option<u32>,
    /// Processors, instead of what the seed says
    #[arg(long)]
    smp: Option<u32>,
    /// Rounds in a machine
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a round
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Honest work on shares instead, in one machine for all of the time
    #[arg(long)]
    soak: bool,
    /// Spare nothing: calls may write to others' control files and switch the machine off
    #[arg(long)]
    spare_nothing: bool,
    /// The kernel
    #[arg(long, default_value = "build/kernel.elf")]
    kernel: PathBuf,
    /// The program that attacks from inside
    #[arg(long, default_value = "build/attack9")]
    program: PathBuf,
    /// Where transcripts of failures go
    #[arg(long, default_value = "build/attack")]
    logs: PathBuf,
    /// Show what the machines print
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when nothing failed.
fn run(options: &Options) -> Result<bool> {
    for file in [&options.kernel, &options.program] {
        ensure!(file.is_file(), "no {}; 'make attack' makes it", file.display());
    }
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("signals")?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            vm::kill_all();
            std::process::exit(128 + signal);
        }
    });
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = options.seed.unwrap_or(since_1970.as_secs() * 1000);
    println!("attack: QEMU {}, seeds from {first}", vm::qemu_version()?);
    let begun = Instant::now();
    let (mut machines, mut rounds, mut failed) = (0, 0, Vec::new());
    let most = if options.soak { 1 } else { options.machines.unwrap_or(u64::MAX) };
    while machines < most && (machines == 0 || begun.elapsed() < Duration::from_secs(options.time)) {
        let seed = first.wrapping_add(machines);
        machines += 1;
        let plan = Plan::new(seed, options);
        rounds += plan.rounds.len();
        let outcome = play::play(&plan, options);
        let Some(why) = outcome.failure else {
            println!("ok      {plan}  {:.1} s{}", outcome.took.as_secs_f64(), outcome.noted);
            continue;
        };
        let log = options.logs.join(format!("{seed}.log"));
        std::fs::create_dir_all(&options.logs)?;
        std::fs::write(&log, &outcome.transcript).context("the transcript")?;
        println!("FAILED  {plan}  {:.1} s\n{why}", outcome.took.as_secs_f64());
        println!("--- transcript: {}\n--- again: {}", log.display(), plan.again(options));
        failed.push(plan.to_string());
    }
    for plan in &failed {
        println!("FAILED  {plan}");
    }
    println!(
        "attack: {machines} machines, {rounds} rounds, {} failed, {} s",
        failed.len(),
        begun.elapsed().as_secs()
    );
    Ok(failed.is_empty())
}
