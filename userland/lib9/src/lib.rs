//! What an Elwood program links: the system calls, arguments, printing, directories, dates.
//!
//! A program is one file:
//!
//! ```ignore
//! #![no_std]
//! #![cfg_attr(not(test), no_main)]
//! #![forbid(unsafe_code)]
//! use lib9::{Args, Error, println};
//!
//! lib9::program!(main);
//!
//! fn main(args: &Args) -> Result<(), Error> {
//!     println!("hello from {}", args.name());
//!     Ok(())
//! }
//! ```
//!
//! An error that `main` returns is printed as `NAME: ERROR` on descriptor 2 and is the exit status.
//!
//! All unsafe code is in [`sys`]. The modules above it are the safe face that programs use, named after the calls of
//! section 2 of the manual. Text is UTF-8 and `str`; contents of files are bytes. On the build host (`cargo test`,
//! `cargo clippy`) everything compiles and the pure parts run, but every system call fails: there is no kernel.
#![no_std]
#![deny(unsafe_code)]

#[doc(hidden)]
pub extern crate alloc;
// On the host a program file still needs a panic handler and an allocator: std has them.
#[cfg(not(target_os = "none"))]
extern crate std;

pub mod args;
pub mod date;
pub mod env;
pub mod error;
pub mod fd;
pub mod file;
pub mod list;
pub mod net;
pub mod ns;
pub mod out;
pub mod proc;
pub mod reader;
pub mod serve;
pub mod sys;

pub use abi;
pub use abi::quote::{quote, tokenize};
pub use abi::{Dir, Qid, Rfork};
pub use args::{Args, Flags, usage};
pub use error::Error;
pub use file::File;
pub use out::Out;
pub use proc::{Fork, Waitmsg, exits};
pub use reader::Reader;

/// Result of everything that can fail here.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Makes a function `fn(&Args) -> Result<(), Error>` the program that runs when the file is executed.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        const _: () = {
            #[cfg(target_os = "none")]
            #[unsafe(no_mangle)]
            fn lib9_main(args: &$crate::Args) -> $crate::Result<()> {
                $main(args)
            }
            #[cfg(not(target_os = "none"))]
            #[allow(dead_code)]
            const MAIN: fn(&$crate::Args) -> $crate::Result<()> = $main;
        };
    };
}
