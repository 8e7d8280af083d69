//! What `^T` prints: how busy the machine is, and what runs at the console.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use machine::cpu;

use crate::dev::proc::state_of;
use crate::kernel::Kernel;
use crate::proc::exit;
use crate::proc::process::Proc;

/// Where the processors' clocks stood: nanoseconds without work, and of all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    idle: u64,
    total: u64,
}

impl Clocks {
    fn now() -> Clocks {
        cpu::stats().iter().fold(Clocks::default(), |sum, cpu| Clocks {
            idle: sum.idle.saturating_add(cpu.idle_ns),
            total: sum.total.saturating_add(cpu.total_ns),
        })
    }

    /// Percent of work since `was`, of all processors together.
    fn load(self, was: Clocks) -> u64 {
        let total = self.total.saturating_sub(was.total).max(1);
        let idle = self.idle.saturating_sub(was.idle).min(total);
        u64::try_from(u128::from(total - idle) * 100 / u128::from(total)).unwrap_or(100)
    }
}

/// The line, without a newline: the load since the last one, and the youngest process of the note group that uses the
/// console, with its state, times in seconds and memory.
pub(super) fn line(kernel: &Kernel, noteid: u32, since: &mut Clocks) -> String {
    let now = Clocks::now();
    let load = now.load(*since);
    *since = now;
    match youngest(kernel, noteid) {
        None => format!("load {load}%: nobody reads the console"),
        Some((p, others)) => {
            let [user, sys, real] = exit::times_ms(&p).map(seconds);
            let name = p.name.lock().clone();
            let kib = p.bill().div_ceil(1024);
            let more = if others == 0 { String::new() } else { format!(", {others} more") };
            format!("load {load}%: {name} {} {}, {user}u {sys}s {real}r {kib}K{more}", p.pid, state_of(0, &p))
        }
    }
}

/// The process of a note group that was made last, and how many others it has. There may be any number, so no list is
/// made.
fn youngest(kernel: &Kernel, noteid: u32) -> Option<(Arc<Proc>, usize)> {
    let procs = kernel.procs.lock();
    let mut group = procs.values().filter(|p| noteid != 0 && p.noteid() == noteid);
    let last = group.next_back()?.clone();
    Some((last, group.count()))
}

/// Milliseconds as seconds with two digits behind the point.
fn seconds(ms: u64) -> String {
    format!("{}.{:02}", ms / 1000, ms % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_and_times() {
        let was = Clocks { idle: 100, total: 1000 };
        assert_eq!(Clocks { idle: 350, total: 2000 }.load(was), 75);
        assert_eq!(Clocks { idle: 100, total: 1000 }.load(was), 100);
        assert_eq!(Clocks { idle: 0, total: 0 }.load(was), 100);
        assert_eq!(seconds(61_239), "61.23");
    }
}
