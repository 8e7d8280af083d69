//! The two programs that talk TLS, `tlsclient` and `tlssrv`, in one file that does what the name says that it is called
//! by: what they share is the larger part by far.
//!
//! * [`client`]: calls a server. See tlsclient(8).
//! * [`server`]: answers a call. See tlssrv(8).
//! * [`talk`]: what both do then.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

mod client;
mod server;
mod talk;

use abi::OREAD;
use lib9::{Args, File, Result, error, fd, file, proc};
use rustls::crypto::GetRandomFailed;
use tls::config::Identity;

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    match args.name() {
        "tlssrv" => server::main(args),
        _ => client::main(args),
    }
}

/// Who we are, by two files in PEM, which may be the same.
fn identity(certificate: &str, key: &str) -> Result<Identity> {
    let read = |name: &str| file::read(name).map_err(|e| error!("{name}: {e}"));
    Identity::new(random, &read(certificate)?, &read(key)?)
        .map_err(|wrong| error!("{}", wrong.of_files(certificate, key)))
}

fn random(bytes: &mut [u8]) -> core::result::Result<(), GetRandomFailed> {
    let random = File::open("/dev/random", OREAD).map_err(|_| GetRandomFailed)?;
    match fd::readn(random.fd(), bytes) {
        Ok(n) if n == bytes.len() => Ok(()),
        _ => Err(GetRandomFailed),
    }
}

fn now() -> Option<u64> {
    // Before 1970 nobody knows what time it is.
    u64::try_from(proc::seconds()).ok().filter(|seconds| *seconds > 0)
}
