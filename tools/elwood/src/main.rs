#![forbid(unsafe_code)]
//! The host command. `elwood run` boots Elwood in QEMU with the terminal as its console.

mod run;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "A Plan 9 kernel for QEMU, and the folders of this machine in it")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot a machine; this terminal is its console.
    Run(run::Options),
}

fn main() -> ExitCode {
    let Command::Run(options) = Cli::parse().command;
    match run::run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("elwood: {error:#}");
            ExitCode::from(125)
        }
    }
}
