#![forbid(unsafe_code)]
//! The host command. `elwood run` boots Elwood in QEMU with the terminal as its console; `elwood exec` runs one
//! program in a machine of its own; `elwood serve` is a 9P2000 server of a folder, `elwood mount-test` a client of
//! any 9P2000 server; `elwood completions` is for the user's shell.

mod archive;
mod certs;
mod completions;
mod exec;
mod kernel;
mod machine;
mod mount_test;
mod net;
mod root;
mod run;
mod serve;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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
    /// Run one plan9/amd64 program in a machine of its own, as if it were a program of this one
    Exec(exec::Options),
    /// Look at what a 9P2000 server serves, as a guest's exportfs
    MountTest(mount_test::Options),
    /// Serve a folder of this machine over 9P2000
    Serve(serve::Options),
    /// Print what makes a shell complete this command's options, as the shell wants it
    Completions(completions::Options),
    /// Become a program that dies with the process PARENT
    #[command(hide = true)]
    Bound(exec::bound::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse_from(exec::words::two_dashes(std::env::args_os())).command {
        Command::Run(options) => run::run(&options),
        Command::Exec(options) => exec::exec(&options),
        Command::MountTest(options) => mount_test::mount_test(&options).map(|()| 0),
        Command::Bound(options) => exec::bound::become_it(&options),
        Command::Completions(options) => {
            completions::completions(&options, &Cli::command());
            Ok(0)
        }
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
