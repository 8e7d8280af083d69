//! The host: on which processor the work is done, how much of it others have, and waiting until that is little.
//!
//! A machine with one processor is timed with all of QEMU's threads on one processor of the host: a request of 9P
//! crosses three threads, and waking an idle processor costs more than the request. With more, nothing is pinned, and
//! what others do anywhere counts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long one look at the others takes.
const LOOK: Duration = Duration::from_millis(500);
/// The kernel counts in such ticks a second, whatever its own clock is: USER_HZ.
const TICKS: f64 = 100.0;

/// The host, as far as this process may use it.
pub struct Host {
    /// The only processor that is used.
    pub pinned: Option<usize>,
    /// How many there are.
    pub processors: usize,
}

impl Host {
    /// For machines with `smp` processors. Pins this process and what it starts if that is one.
    ///
    /// # Errors
    /// The host has fewer processors than the machine: it would time how the host shares them out.
    pub fn new(smp: u32) -> Result<Host> {
        let all = sched_getaffinity(None).context("which processors there are")?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        enough(smp, usable.len())?;
        let pinned = usable.last().copied().filter(|_| smp == 1);
        if let Some(cpu) = pinned {
            let mut one = CpuSet::new();
            one.set(cpu);
            sched_setaffinity(None, &one).context("pinning")?;
        }
        Ok(Host { pinned, processors: usable.len() })
    }

    /// Waits until others have at most `most` percent, but no longer than `patience`. What they had at last.
    pub fn wait_until_quiet(&self, most: f64, patience: Duration) -> Result<f64> {
        let begun = Instant::now();
        loop {
            let ((), others) = self.watch(|| {
                std::thread::sleep(LOOK);
                Ok(())
            })?;
            if others <= most || begun.elapsed() >= patience {
                return Ok(others);
            }
        }
    }

    /// Does `work`, and says how much of the processors others had meanwhile, in percent of one.
    pub fn watch<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        let (begun, busy, own) = (Instant::now(), self.busy()?, own()?);
        let done = work()?;
        let (busy, own) = (self.busy()? - busy, self::own()? - own);
        Ok((done, (100.0 * (busy - own) / begun.elapsed().as_secs_f64()).max(0.0)))
    }

    /// Seconds that the processor, or all of them, has been busy or taken away.
    fn busy(&self) -> Result<f64> {
        let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
        busy(&stat, self.pinned)
    }
}

/// Fails if a machine wants more processors than there are.
fn enough(smp: u32, there: usize) -> Result<()> {
    ensure!(
        usize::try_from(smp)? <= there,
        "SMP={smp}: this host has {there} processors, and a machine with more cannot be timed on it"
    );
    Ok(())
}

/// From the text of /proc/stat.
fn busy(stat: &str, cpu: Option<usize>) -> Result<f64> {
    let name = cpu.map_or("cpu".to_owned(), |n| format!("cpu{n}"));
    let line = stat.lines().find(|line| line.split_whitespace().next() == Some(&name));
    let line = line.with_context(|| format!("/proc/stat has no {name}"))?;
    let numbers: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let [user, nice, system, _, _, irq, softirq, steal] = numbers[..] else { bail!("/proc/stat: {line}") };
    Ok((user + nice + system + irq + softirq + steal) / TICKS)
}

/// Seconds of this process and of its children that have ended.
fn own() -> Result<f64> {
    own_of(&std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?)
}

fn own_of(stat: &str) -> Result<f64> {
    // The name, in brackets, may be anything.
    let (_, behind) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let numbers = behind.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<f64>().ok());
    Ok(numbers.sum::<f64>() / TICKS)
}

/// The processor's name.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// The average number of threads that want to run, of the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// The clock's frequency in kHz, as Linux guesses it from its loop: half of bogomips.
pub fn clock_khz() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, mips) = text.lines().find(|line| line.starts_with("bogomips"))?.split_once(':')?;
    let khz = mips.trim().parse::<f64>().ok()? * 500.0;
    (khz > 0.0).then_some(khz as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  10 20 30 400 50 1 2 3 0 0\ncpu0 1 2 3 40 5 1 0 0 0 0\ncpu10 5 5 5 5 5 5 5 5 0 0\nintr 1\n";

    #[test]
    fn what_is_busy_and_what_is_ours() {
        assert_eq!(busy(STAT, None).unwrap(), 0.66);
        assert_eq!(busy(STAT, Some(0)).unwrap(), 0.07);
        assert_eq!(busy(STAT, Some(10)).unwrap(), 0.3);
        assert!(busy(STAT, Some(1)).is_err());
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 50 25 25 20 0";
        assert_eq!(own_of(stat).unwrap(), 2.0);
    }

    #[test]
    fn more_processors_than_there_are_are_refused() {
        assert!(enough(2, 2).is_ok());
        let why = enough(4, 2).unwrap_err().to_string();
        assert!(why.contains("SMP=4") && why.contains("2 processors"), "{why}");
        assert!(Host::new(1000).is_err());
    }

    #[test]
    fn one_who_spins_is_seen() {
        // A child that has not ended is nobody's yet: it counts as another.
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let host = Host { pinned: None, processors: 1 };
        let watched = host.watch(|| {
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(watched.unwrap().1 > 8.0);
    }
}
