//! The program: the shell of the library on a Plan 9 kernel, through lib9. On the build host it does nothing.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod plan9;

#[cfg(target_os = "none")]
lib9::program!(plan9::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("rc: this program runs on Elwood; see boot/kcargo");
}
