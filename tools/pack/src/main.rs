//! pack IN.tar OUT NAME ...: packs a tar archive for the kernel's image. What is called NAME, or is in a folder of that
//! name, stays as it is; everything else is compressed. OUT is touched only when it changes.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [archive, out, plain @ ..] = args.as_slice() else {
        eprintln!("usage: pack IN.tar OUT NAME ...");
        return ExitCode::FAILURE;
    };
    match pack(archive, out, plain) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("pack: {e}");
            ExitCode::FAILURE
        }
    }
}

fn pack(archive: &str, out: &str, plain: &[String]) -> Result<(), String> {
    let bytes = fs::read(archive).map_err(|e| format!("{archive}: {e}"))?;
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let packed = pack::pack(&bytes, &plain).map_err(|e| format!("{archive}: {e}"))?;
    if fs::read(out).is_ok_and(|there| there == packed) {
        return Ok(());
    }
    fs::write(out, packed).map_err(|e| format!("{out}: {e}"))
}
