//! Names: walking, mount points, unions, `..`, and what the failures say.

mod bind;
mod create;
mod list;
mod long;
mod space;
mod walk;

use std::sync::Arc;

use abi::{DMDIR, MCREATE, MREPL, OREAD};
use port::call::sysfile;
use port::testkit::{Hosted, Ram};

/// A kernel whose `/n` has the memory file system `#R`.
fn with_ram() -> (Hosted, Arc<Ram>) {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram.clone()], vec![], &[]);
    sysfile::bind(&t.up, "#R", "/n", MREPL | MCREATE).unwrap();
    (t, ram)
}

fn mkdir(t: &Hosted, name: &str) {
    let fd = sysfile::create(&t.up, name, OREAD, DMDIR | 0o755).unwrap();
    sysfile::close(&t.up, fd).unwrap();
}

/// The text with which opening `name` fails.
fn open_err(t: &Hosted, name: &str, mode: u32) -> String {
    sysfile::open(&t.up, name, mode).unwrap_err().text().to_string()
}

fn path_of(t: &Hosted, name: &str) -> String {
    let fd = sysfile::open(&t.up, name, OREAD).unwrap();
    let path = sysfile::fd2path(&t.up, fd).unwrap();
    sysfile::close(&t.up, fd).unwrap();
    path
}
