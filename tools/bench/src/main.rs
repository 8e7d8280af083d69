#![forbid(unsafe_code)]
//! Times and counts work in Elwood: beside the same work in a Linux guest, and beside QEMU alone.
//!
//! `bench time` lets Elwood, Linux and the floor (a machine without an operating system) take turns, on a host that is
//! quiet, and writes medians, ratios and plots ([`time`], [`report`]). `bench insn` counts the guest's instructions,
//! which no load of the host changes, and compares them with those that are kept ([`insn`]). `bench profile ROW` says
//! in which functions of the kernel they are ([`profile`]). What the guests do is in `guest/`, in C; [`table`] says
//! which rows there are, with what they are compared, and what they should become.

mod compile;
mod far_end;
mod floor;
mod guest;
mod host;
mod insn;
mod linux;
mod plot;
mod profile;
mod report;
mod rows;
mod share;
mod table;
mod time;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Time and count work in Elwood
#[derive(Parser)]
struct Options {
    /// The kernel
    #[arg(long, default_value = "build/kernel.elf", global = true)]
    kernel: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Time it beside Linux and beside QEMU alone
    Time(time::Options),
    /// Count instructions, and compare them with those that are kept
    Insn(insn::Options),
    /// Instructions of a row by functions of the kernel
    Profile(profile::Options),
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// False when it was done and something is not as it should be.
fn run(options: &Options) -> Result<bool> {
    ensure!(options.kernel.is_file(), "no {}; 'make' makes it", options.kernel.display());
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("signals")?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            vm::kill_all();
            share::remove_all();
            std::process::exit(128 + signal);
        }
    });
    match &options.what {
        What::Time(time) => time::run(time, &options.kernel),
        What::Insn(insn) => insn::run(insn, &options.kernel),
        What::Profile(profile) => profile::run(profile, &options.kernel),
    }
}
