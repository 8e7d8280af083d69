//! The processes there are, from `/proc`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::{Result, error, fd, file};

use crate::status::Status;

/// Process ids in ascending order, with their status. A process that ends meanwhile is left out.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn all() -> Result<Vec<(u32, Status)>> {
    let dirs = fd::readdir("/proc").map_err(|e| error!("can't read /proc: {e}"))?;
    let mut pids: Vec<u32> = dirs.iter().filter_map(|d| d.name.parse().ok()).collect();
    pids.sort_unstable();
    let status = |pid: u32| Status::parse(&text(pid, "status")?);
    Ok(pids.into_iter().filter_map(|pid| Some((pid, status(pid)?))).collect())
}

/// A file of a process, if it can be read.
pub fn text(pid: u32, name: &str) -> Option<String> {
    file::read_string(&format!("/proc/{pid}/{name}")).ok()
}
