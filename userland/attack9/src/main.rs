//! attack9: the guest's half of `tools/attack`. It is not in the root: the tool lays it over with `-initrd`.
//!
//! ```text
//! attack9 calls SEED SECONDS [-w]          random system calls
//! attack9 exhaust SECONDS KIND ...         takes all there is of one kind of thing, or of several at a time
//! attack9 kinds                            names those kinds
//! attack9 programs SEED SECONDS            executes broken executables
//! attack9 server DIALECT SEED SECONDS      mounts a 9P server that lies, and uses it
//! attack9 client FILE DIALECT SEED SECONDS the same with a server that has the other end of FILE
//! attack9 ping FILE                        says `ping` to FILE and waits for `pong`
//! attack9 soak SEED SECONDS FOLDER         honest work, the results of which are compared
//! attack9 clean                            ends all processes of an earlier one and removes its files
//! ```
//!
//! Each ends with a line `attack9: done` and what was done, or `attack9: WRONG` and what the kernel did that it must
//! not: a process that cannot be killed, for instance. What is done is done by children in groups of their own (see
//! [`watch`]), so that this process lives to say so.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

mod args;
mod calls;
mod client;
mod exhaust;
mod names;
mod programs;
mod server;
mod soak;
mod watch;

use alloc::string::String;

use lib9::{Args, Result, println, usage};
use ninep::Dialect;

lib9::program!(main);

const SYNOPSIS: &str = "calls|exhaust|kinds|programs|server|client|ping|soak|clean ...";

fn main(args: &Args) -> Result<()> {
    let words: alloc::vec::Vec<&str> = args.words().iter().map(String::as_str).collect();
    let said = match words.as_slice() {
        ["calls", seed, seconds, more @ ..] => {
            calls::run(number(seed)?, number(seconds)?, more.contains(&"-w"))
        }
        ["exhaust", seconds, kinds @ ..] => exhaust::run(number(seconds)?, kinds),
        ["kinds"] => {
            exhaust::KINDS.iter().for_each(|(name, _)| println!("{name}"));
            return Ok(());
        }
        ["programs", seed, seconds] => programs::run(number(seed)?, number(seconds)?),
        ["server", dialect, seed, seconds] => {
            server::run(dialect_of(dialect)?, number(seed)?, number(seconds)?)
        }
        ["client", file, dialect, seed, seconds] => {
            client::run(file, dialect_of(dialect)?, number(seed)?, number(seconds)?)
        }
        ["soak", seed, seconds, folder] => soak::run(number(seed)?, number(seconds)?, folder),
        ["ping", file] => client::ping(file),
        ["clean"] => watch::clean(),
        _ => usage(args, SYNOPSIS),
    };
    match said {
        Ok(done) => println!("attack9: done {} {done}", words.join(" ")),
        Err(why) => println!("attack9: WRONG {}: {why}", words.join(" ")),
    }
    Ok(())
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| lib9::error!("{text} is no number"))
}

fn dialect_of(text: &str) -> Result<Dialect> {
    Dialect::from_version(text.as_bytes()).ok_or_else(|| lib9::error!("{text} is no dialect"))
}
