//! Does everything that a test took come back? Processes, descriptors, pages.

use lib9::alloc::collections::BTreeMap;
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::{fd, file, proc};

/// What there was before a test.
pub struct State {
    procs: BTreeMap<u32, String>,
    fds: usize,
    pages: u64,
}

impl State {
    /// What there is now.
    pub fn now() -> Result<State, String> {
        Ok(State { procs: processes()?, fds: fd::readdir("/fd")?.len(), pages: pages()? })
    }
}

/// Names of the processes by number.
fn processes() -> Result<BTreeMap<u32, String>, String> {
    let pids = fd::readdir("/proc")?;
    let name = |pid: u32| file::read_string(&format!("/proc/{pid}/status")).unwrap_or_default();
    let first = |s: String| String::from(s.get(..27).unwrap_or("").trim_end());
    Ok(pids.iter().filter_map(|d| d.name.parse().ok()).map(|pid| (pid, first(name(pid)))).collect())
}

/// Pages in use.
fn pages() -> Result<u64, String> {
    let text = file::read_string("/dev/swap")?;
    let line = text.lines().find(|l| l.ends_with(" user")).unwrap_or("");
    line.split('/').next().and_then(|n| n.parse().ok()).ok_or(String::from("/dev/swap has no user pages"))
}

/// Waits until what was taken since `before` has come back; gives the pages that have not. Processes end in their own
/// time after their parent was told, so this may take a moment.
///
/// # Errors
/// Processes or descriptors that stay.
pub fn settled(before: &State) -> Result<u64, String> {
    let mut left = Vec::new();
    let mut grown = 0;
    for round in 0..200 {
        let now = State::now()?;
        if now.fds != before.fds {
            return Err(format!("{} descriptors before, {} afterwards", before.fds, now.fds));
        }
        // A server that was there may have made helpers of its own.
        let known = |name: &String| name != "usertests" && before.procs.values().any(|n| n == name);
        left = now
            .procs
            .into_iter()
            .filter(|(pid, name)| !before.procs.contains_key(pid) && !known(name))
            .collect();
        grown = now.pages.saturating_sub(before.pages);
        if left.is_empty() && (grown == 0 || round > 20) {
            return Ok(grown);
        }
        proc::sleep(if round < 5 { 1 } else { 5 })?;
    }
    for (pid, _) in &left {
        crate::testkit::release(*pid as i32);
    }
    if left.is_empty() { Ok(grown) } else { Err(format!("these processes stay: {left:?}")) }
}
