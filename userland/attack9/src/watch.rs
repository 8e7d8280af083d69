//! Children that do their worst, watched from here: what they made is found and ended when their time is over.
//!
//! A process belongs to the attack if it was not there when the attack began and nobody with its name was, apart from
//! this program's. So servers that the machine runs for others are let be.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::proc::{self, Fork};
use lib9::{Rfork, fd, file};

/// What an attack says in the end: what was done, or what the kernel did wrong.
pub type Said = Result<String, String>;

/// Where attacks make their files.
pub const FOLDER: &str = "/tmp/attack";

/// How long it may take until one more of the processes that were killed has gone, in ms, on a busy host with a busy
/// guest.
const KILL_MAX: u64 = 15_000;
/// And how long all of them.
const END_MAX: u64 = 60_000;

/// The processes that there were when the attack began.
pub struct Before(BTreeMap<u32, String>);

impl Before {
    /// Those there are now, and the attack's folder. Without knowing them nothing is begun: who takes the machine's own
    /// processes for the attack's ends the machine.
    pub fn now() -> Result<Before, String> {
        let _ = fd::create(FOLDER, abi::OREAD, abi::DMDIR | 0o777).map(fd::close);
        processes().map(Before).map_err(|e| format!("/proc: {e}"))
    }

    /// The processes that the attack has made; none when that cannot be said.
    fn made(&self) -> Option<Vec<(u32, String)>> {
        let known = |name: &String| name != "attack9" && self.0.values().any(|n| n == name);
        let all = processes().ok()?;
        Some(all.into_iter().filter(|(pid, name)| !self.0.contains_key(pid) && !known(name)).collect())
    }

    /// Whether the attack has processes, as far as can be said.
    pub fn running(&self) -> bool {
        self.made().is_none_or(|made| !made.is_empty())
    }

    /// Kills whatever the attack has made, and waits until it is gone.
    pub fn end(&self) -> Result<(), String> {
        let begun = now_ms();
        // When each was told; who makes others may be quicker than we are. And when last one had gone.
        let mut told = BTreeMap::new();
        let mut last_gone = begun;
        loop {
            let made = self.made();
            if made.as_ref().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            let now = now_ms();
            let known = told.len();
            if let Some(made) = &made {
                told.retain(|pid, _| made.iter().any(|(there, _)| there == pid));
            }
            if told.len() < known {
                last_gone = now;
            }
            for (pid, _) in made.iter().flatten() {
                told.entry(*pid).or_insert(now);
                // It may have gone meanwhile.
                let _ = file::control(&format!("/proc/{pid}/ctl"), "kill");
            }
            let stays = |pid: &u32| told.get(pid).is_some_and(|then| now - (*then).max(last_gone) > KILL_MAX);
            let stuck: Vec<u32> = made.iter().flatten().map(|(pid, _)| *pid).filter(stays).collect();
            if !stuck.is_empty() {
                let states = stuck.iter().take(5).map(|pid| {
                    file::read_string(&format!("/proc/{pid}/status"))
                        .unwrap_or_else(|e| format!("{pid}: {e}"))
                });
                let states: Vec<String> = states.collect();
                return Err(format!("{} processes cannot be killed: {}", stuck.len(), states.join("; ")));
            }
            if now - begun > END_MAX {
                return Err(match made {
                    Some(made) => format!("there are always more processes, {} now", made.len()),
                    None => String::from("/proc cannot be read"),
                });
            }
            let _ = proc::sleep(20);
        }
    }

    /// [`Before::end`], and removes the attack's files.
    pub fn clean(&self) -> Result<(), String> {
        let ended = self.end();
        remove_below(FOLDER);
        let _ = fd::remove(FOLDER);
        remove_posts();
        ended
    }
}

/// Ends what an earlier attack has left, whose own process was killed.
pub fn clean() -> Said {
    let mut others = processes().map_err(|e| format!("/proc: {e}"))?;
    let me = proc::getpid() as u32;
    others.retain(|pid, name| name != "attack9" || *pid == me);
    Before(others).clean()?;
    Ok(String::new())
}

/// Starts `f` in a process with groups of its own, without a console. False, after a moment, when there is no memory
/// for one: to be refused is right, and what has taken the memory, another process of the attack perhaps, is still to
/// be ended.
pub fn start(f: impl FnOnce()) -> bool {
    let flags =
        Rfork::PROC | Rfork::FDG | Rfork::NAMEG | Rfork::ENVG | Rfork::NOTEG | Rfork::REND | Rfork::NOWAIT;
    match proc::rfork(flags) {
        Ok(Fork::Parent(_)) => true,
        Err(_) => {
            let _ = proc::sleep(20);
            false
        }
        Ok(Fork::Child) => {
            let _ = fd::chdir(FOLDER);
            for (name, mode, to) in [("/dev/null", abi::OREAD, 0), ("/dev/null", abi::OWRITE, 1)] {
                if let Ok(null) = fd::open(name, mode) {
                    let _ = fd::dup(null, to);
                    let _ = fd::close(null);
                }
            }
            let _ = fd::dup(1, 2);
            f();
            proc::exits_now("")
        }
    }
}

/// Waits until the attack has no processes, or `ms` have passed; then [`Before::end`].
pub fn finish(before: &Before, ms: u64) -> Result<(), String> {
    let until = now_ms() + ms;
    while now_ms() < until && before.running() {
        let _ = proc::sleep(50);
    }
    before.end()
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    (proc::nsec() / 1_000_000) as u64
}

/// Names of the processes by number. One that cannot be looked at for lack of memory is an error; it may have gone
/// meanwhile.
fn processes() -> lib9::Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for dir in fd::readdir("/proc")? {
        let Ok(pid) = dir.name.parse() else { continue };
        match file::read_string(&format!("/proc/{pid}/status")) {
            Ok(status) => {
                drop(found.insert(pid, String::from(status.get(..27).unwrap_or_default().trim_end())))
            }
            Err(e) if e.is(abi::error::ENOMEM) || e.is(abi::error::ENOVMEM) => return Err(e),
            Err(_) => {}
        }
    }
    Ok(found)
}

/// Removes what the attack has posted. There may be thousands, and no memory for all their names.
fn remove_posts() {
    loop {
        let mut piece = Vec::new();
        let _ = fd::each_in("/srv", |dir| {
            if dir.name.starts_with("attack") {
                piece.push(dir.name);
            }
            Ok(piece.len() < 200)
        });
        let removed = piece.iter().filter(|name| fd::remove(&format!("/srv/{name}")).is_ok()).count();
        if removed == 0 {
            return;
        }
    }
}

/// Removes all that is in a folder. Folders may be deep and large: this does not call itself, and has a piece of one
/// folder's names at a time.
pub fn remove_below(name: &str) {
    let mut at = String::from(name);
    // Each round removes something or goes a folder down or up; who finds nothing that it can remove gives up.
    for _ in 0..100_000 {
        let mut piece = Vec::new();
        let _ = fd::each_in(&at, |dir| {
            piece.push((dir.is_dir(), dir.name));
            Ok(piece.len() < 200)
        });
        let mut full = None;
        let mut removed = false;
        for (is_dir, file) in piece {
            if fd::remove(&format!("{at}/{file}")).is_ok() {
                removed = true;
            } else if is_dir {
                full = Some(file);
            }
        }
        match full {
            _ if removed => {}
            Some(file) => at = format!("{at}/{file}"),
            None if at == name => return,
            None => {
                if fd::remove(&at).is_err() {
                    return;
                }
                at.truncate(at.rfind('/').unwrap_or(0));
            }
        }
    }
}
