#![forbid(unsafe_code)]
//! fuzzer [--time SECONDS] [--jobs N] [TARGET...]: runs the targets with inputs made from their corpora, by seed.
//!
//! It takes the place of cargo-fuzz where that is not: it does not see what an input reaches, so it finds less. An
//! input that fails is kept in `fuzz/artifacts/TARGET`, and `fuzzer --input FILE TARGET` tries it again.

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use fuzzer::{TARGETS, Target, mutate};
use ninep::testserver::hostile::Random;

/// Try targets with inputs made from their corpora.
#[derive(Parser)]
struct Options {
    /// Only the targets whose names contain one of these
    names: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// So many inputs at a time: those of a server that is silent wait more than they work
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Where the inputs are made from
    #[arg(long)]
    seed: Option<u64>,
    /// The folder with corpora
    #[arg(long, default_value = "fuzz/corpus")]
    corpus: PathBuf,
    /// Where inputs that fail are kept
    #[arg(long, default_value = "fuzz/artifacts")]
    artifacts: PathBuf,
    /// Try this one alone
    #[arg(long)]
    input: Option<PathBuf>,
    /// An input that takes longer, in seconds, has failed
    #[arg(long, default_value_t = 30)]
    longest: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = options.seed.unwrap_or(since_1970.as_secs());
    let wanted =
        |name: &str| options.names.is_empty() || options.names.iter().any(|w| name.contains(w.as_str()));
    let mut failed = 0;
    let chosen: Vec<&Target> = TARGETS.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        eprintln!("fuzzer: no target has such a name");
        return ExitCode::FAILURE;
    }
    for target in chosen {
        let result = match &options.input {
            Some(file) => alone(target, file),
            None => fuzz(target, seed, &options),
        };
        match result {
            Ok(done) => println!("ok      {:16} {done}", target.0),
            Err(why) => {
                println!("FAILED  {:16} {why}", target.0);
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn alone(target: &Target, file: &Path) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    (target.1)(&bytes);
    Ok(file.display().to_string())
}

/// The inputs of a corpus.
fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = files.map(|file| file.path()).collect();
    names.sort();
    names.iter().filter_map(|name| fs::read(name).ok()).collect()
}

/// The inputs of a target, several at a time, each with its own seed: how many there were, and from what.
fn fuzz(target: &Target, seed: u64, options: &Options) -> Result<String, String> {
    let corpus = corpus(&options.corpus.join(target.0));
    let (runs, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let outcome = std::thread::scope(|scope| {
        let one = |job: u64| {
            let (corpus, runs, over) = (&corpus, &runs, &over);
            // The kept inputs are tried once.
            let tries = if job == 0 { corpus.clone() } else { Vec::new() };
            let seed = seed.wrapping_add(job << 32);
            scope.spawn(move || {
                let result = inputs(target, seed, options, corpus, tries, (runs, over));
                over.fetch_or(result.is_err(), Ordering::Relaxed);
                result
            })
        };
        let jobs: Vec<_> = (0..options.jobs.max(1)).map(one).collect();
        jobs.into_iter().try_for_each(|job| job.join().unwrap_or(Err("the fuzzer itself panics".into())))
    });
    let runs = runs.into_inner();
    outcome.map(|()| format!("{runs} runs from {} inputs, seed {seed}", corpus.len()))
}

fn inputs(
    (name, run): &Target,
    seed: u64,
    options: &Options,
    corpus: &[Vec<u8>],
    mut tries: Vec<Vec<u8>>,
    (all, over): (&AtomicU64, &AtomicBool),
) -> Result<(), String> {
    let mut random = Random(seed);
    let begun = Instant::now();
    let mut runs = 0u64;
    while !over.load(Ordering::Relaxed)
        && (begun.elapsed() < Duration::from_secs(options.time) || !tries.is_empty())
    {
        let input = tries.pop().unwrap_or_else(|| mutate::input(&mut random, corpus));
        let since = Instant::now();
        let ended = panic::catch_unwind(|| run(&input));
        runs += 1;
        all.fetch_add(1, Ordering::Relaxed);
        if ended.is_ok() && since.elapsed() < Duration::from_secs(options.longest) {
            continue;
        }
        let kept = options.artifacts.join(name).join(format!("{seed}-{runs}"));
        let stored = fs::create_dir_all(options.artifacts.join(name)).and_then(|()| fs::write(&kept, &input));
        let why = if ended.is_ok() { "takes too long" } else { "panics" };
        stored.map_err(|e| format!("{}: {e}", kept.display()))?;
        return Err(format!("{why}; again: make fuzz TARGETS={name} ARGS='--input {}'", kept.display()));
    }
    Ok(())
}
