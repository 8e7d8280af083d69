//! What the checksum commands share.

use alloc::string::String;
use alloc::vec;
use core::fmt::Write;

use md5::Digest;

use lib9::{Args, File, Result, eprintln, error, exits, fd, println};

/// Prints the checksum and the name of each file named, or the checksum of standard input.
///
/// # Errors
/// When standard input cannot be read.
pub fn run<D: Digest>(args: &Args, names: &[String]) -> Result<()> {
    let mut buf = vec![0; fd::PIECE];
    let mut sum = |f: i32| -> Result<String> {
        let mut state = D::new();
        loop {
            match fd::read(f, &mut buf)? {
                0 => return Ok(hex(&state.finalize())),
                n => state.update(buf.get(..n).unwrap_or(&[])),
            }
        }
    };
    if names.is_empty() {
        println!("{}", sum(0)?);
        return Ok(());
    }
    let mut failed = false;
    for name in names {
        let opened = File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"));
        match opened.and_then(|f| sum(f.fd()).map_err(|e| error!("reading {name}: {e}"))) {
            Ok(sum) => println!("{sum}\t{name}"),
            Err(e) => {
                eprintln!("{}: {e}", args.name());
                failed = true;
            }
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for b in bytes {
        let _ = write!(out, "{b:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits() {
        assert_eq!(super::hex(&[0, 0xab, 7]), "00ab07");
    }
}
