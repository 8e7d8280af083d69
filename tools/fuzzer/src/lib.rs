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
    (readers { $($reader:ident)* } others { $($other:ident)* }) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[
            $((stringify!($reader), |input| watched(stringify!($reader), input, targets::$reader::run)),)*
            $((stringify!($other), targets::$other::run),)*
        ];
    };
}

// What is no mere reader of bytes has a kernel, which watches each call by itself, threads, or a program's memory.
targets! {
    readers { command_line disk_tables firmware ninep_framer ninep_messages ninep_translate }
    others { headers lying_server names ninep_engine ninep_proxy ninep_server shell }
}

/// Bytes that a reader may have at a time for each byte of its input, beside what is granted to a call.
const PER_BYTE: usize = 64;

/// Gives an input to a reader of bytes, and sees to it that it makes no large thing of a small one.
fn watched(name: &'static str, input: &[u8], run: fn(&[u8])) {
    machine::host::heap::within(name, machine::heap::GRANT + PER_BYTE * input.len(), || run(input));
}
