//! Does everything that a test took come back? Processes, descriptors, pages, and whatever else the kernel counts.

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
    /// Of what `/dev/pools` tells, what is no cache.
    pools: BTreeMap<String, u64>,
}

/// What the kernel keeps for the next who wants it.
const CACHES: &[&str] = &[
    "frame",
    "frame.kernel",
    "frame.heap",
    "frame.map",
    "frame.table",
    "frame.stack",
    "frame.aside",
    "image",
    "image.page",
    "9p.slot",
    "9p.request",
];

impl State {
    /// What there is now.
    pub fn now() -> Result<State, String> {
        Ok(State { procs: processes()?, fds: fd::readdir("/fd")?.len(), pages: pages()?, pools: pools()? })
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

/// What the kernel counts, by name.
fn pools() -> Result<BTreeMap<String, u64>, String> {
    let text = file::read_string("/dev/pools")?;
    let line = |l: &str| {
        let (n, name) = l.trim_start().split_once(' ')?;
        Some((String::from(name), n.parse().ok()?))
    };
    let all: Option<BTreeMap<_, _>> = text.lines().map(line).collect();
    let mut all = all.ok_or(String::from("/dev/pools has a line that is none"))?;
    all.retain(|name, _| !CACHES.contains(&name.as_str()));
    Ok(all)
}

/// What there is more of than before, `helpers` of servers aside.
fn more(before: &State, now: BTreeMap<String, u64>, helpers: u64) -> Vec<String> {
    let grew = now.into_iter().filter_map(|(name, n)| {
        let was = before.pools.get(&name).copied().unwrap_or(0);
        // A helper is a process, and has a stack.
        let may_be_more = if matches!(name.as_str(), "process" | "segment") { helpers } else { 0 };
        (n > was + may_be_more).then(|| format!("{name} {was} to {n}"))
    });
    grew.collect()
}

/// What has not come back.
pub struct Grown {
    /// Pages.
    pub pages: u64,
    /// What else there is more of, and how much.
    pub pools: Vec<String>,
}

impl Grown {
    /// Everything has.
    pub fn is_nothing(&self) -> bool {
        self.pages == 0 && self.pools.is_empty()
    }
}

/// Waits until what was taken since `before` has come back; gives what has not. Processes end in their own time after
/// their parent was told, so this may take a moment.
///
/// # Errors
/// Processes or descriptors that stay.
pub fn settled(before: &State) -> Result<Grown, String> {
    let mut left = Vec::new();
    let mut grown = Grown { pages: 0, pools: Vec::new() };
    for round in 0..200 {
        let now = State::now()?;
        if now.fds != before.fds {
            return Err(format!("{} descriptors before, {} afterwards", before.fds, now.fds));
        }
        // A server that was there may have made helpers of its own.
        let known = |name: &String| name != "usertests" && before.procs.values().any(|n| n == name);
        let new = now.procs.into_iter().filter(|(pid, _)| !before.procs.contains_key(pid));
        let (helpers, others): (Vec<_>, Vec<_>) = new.partition(|(_, name)| known(name));
        left = others;
        let pools = more(before, now.pools, helpers.len() as u64);
        grown = Grown { pages: now.pages.saturating_sub(before.pages), pools };
        if left.is_empty() && (grown.is_nothing() || round > 20 && grown.pools.is_empty()) {
            return Ok(grown);
        }
        proc::sleep(if round < 5 { 1 } else { 5 })?;
    }
    for (pid, _) in &left {
        crate::testkit::release(*pid as i32);
    }
    if left.is_empty() { Ok(grown) } else { Err(format!("these processes stay: {left:?}")) }
}
