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
    (
        readers { $($reader:ident)* }
        keepers { $($keeper:ident)* }
        others { $($other:ident)* }
    ) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[
            $((stringify!($reader), |input| watched(stringify!($reader), 0, input, targets::$reader::run)),)*
            $((stringify!($keeper), |input| watched(stringify!($keeper), KEPT, input, targets::$keeper::run)),)*
            $((stringify!($other), targets::$other::run),)*
        ];
    };
}

// A keeper has files in memory, which it is allowed so many bytes of. The others have a kernel, which watches each call
// by itself, threads, or a program's memory.
targets! {
    readers {
        command_line disk_tables dns_replies firmware frames ninep_framer ninep_messages ninep_proxy ninep_server
        ninep_translate shell
    }
    keepers { ninep_engine }
    others { headers ip_stack lying_proxy lying_server lying_together names }
}

/// Bytes that a target may have at a time for each byte of its input, beside what is granted to a call.
const PER_BYTE: usize = 64;
/// Bytes that a keeper may have besides.
const KEPT: usize = 128 << 10;

/// Gives an input to a target, and sees to it that it makes no large thing of a small one.
fn watched(name: &'static str, keeps: usize, input: &[u8], run: fn(&[u8])) {
    let most = machine::heap::GRANT + keeps + PER_BYTE * input.len();
    machine::host::heap::within(name, most, || run(input));
}
