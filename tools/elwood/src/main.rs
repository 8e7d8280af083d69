#![forbid(unsafe_code)]
//! The host command. `elwood run` boots Elwood in QEMU with the terminal as its console; `elwood serve` is a 9P2000
//! server of a folder.

mod run;
mod serve;
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
    /// Serve a folder of this machine over 9P2000
    Serve(serve::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Serve(options) => serve::serve(&options).map(|()| 0),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("elwood: {error:#}");
            ExitCode::from(125)
        }
    }
}
