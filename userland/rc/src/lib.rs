//! Rc, the shell of Plan 9, as rc(1) describes it.
//!
//! `lex` and `parse` make a tree (`ast`) of each command line, `shell` and its parts run it on a system that is a trait
//! (`os`), `print` turns trees into text again. The program `rc` is the thin piece that gives them a real Plan 9
//! kernel; the tests give them one in memory, so every construct is tested with `cargo test`.
//!
//! One process runs one [`Shell`]; nothing is shared and there are no locks. A child is a copy of it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ast;
mod builtin;
mod env;
mod eval;
mod expand;
pub mod fdtable;
mod heredoc;
mod job;
pub mod lex;
pub mod os;
pub mod parse;
pub mod print;
mod redir;
pub mod shell;
pub mod start;
pub mod text;
pub mod token;
mod trap;
pub mod vars;

pub use os::Os;
pub use shell::Shell;
pub use start::main;
