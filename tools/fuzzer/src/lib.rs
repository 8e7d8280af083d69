#![forbid(unsafe_code)]
//! What is fuzzed, as functions of bytes: the [`targets`], for `fuzz/` with cargo-fuzz and for the runner of this
//! crate.
//!
//! A corpus is a folder of inputs, `fuzz/corpus/TARGET`: beginnings from which a fuzzer goes on, and inputs that once
//! failed. The tests of this crate try all of them.

pub mod mutate;
pub mod targets;

/// A target: its name and its function.
pub type Target = (&'static str, fn(&[u8]));

macro_rules! targets {
    ($($name:ident)*) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$((stringify!($name), targets::$name::run)),*];
    };
}

targets! {
    command_line disk_tables firmware headers lying_server names ninep_engine ninep_framer ninep_messages ninep_proxy
    ninep_server ninep_translate shell
}
