//! The texts of `#c`'s informative files. Functions of what they are told and of the machine's counters.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write;

use abi::error;
use abi::quote::quote;
use machine::cpu::CpuStat;
use machine::heap::{self, Text};
use machine::{clock, mem};

use super::driver_line;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::bill;
use crate::proc::process::Proc;

/// A number as kernel files have it: eleven columns and a blank.
pub(crate) fn number(n: u64) -> String {
    format!("{n:>11} ")
}

/// A number in 22 bytes, for what needs 64 bits.
fn long(n: u64) -> String {
    format!("{n:>21} ")
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}

/// `conssize`: rows and columns.
pub(crate) fn size((rows, columns): (u16, u16)) -> String {
    number(u64::from(rows)) + &number(u64::from(columns))
}

/// A write to it.
pub(crate) fn size_in(text: &str) -> Option<(u16, u16)> {
    let mut words = text.split(|c: char| c.is_whitespace() || c == '\0').filter(|word| !word.is_empty());
    let size = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(size)
}

/// `cputime`: user, system and real time in ms, and the same for children that were waited for.
pub(crate) fn cputime(up: &Arc<Proc>) -> String {
    let times = up.thread.get().map(|t| t.times()).unwrap_or_default();
    let children = up.children.lock().times_ms;
    let real = clock::now_ns().saturating_sub(up.start_ns);
    let mut out = String::new();
    for n in [ms(times.user_ns), ms(times.sys_ns), ms(real)].iter().chain(&children) {
        out.push_str(&number(*n));
    }
    out
}

/// `time`: seconds and ns since 1970, ticks, ticks a second, ns since the start.
pub(crate) fn time() -> String {
    let wall = u64::try_from(clock::wall_ns()).unwrap_or(0);
    let rest = [wall, clock::cycles(), clock::wall_hz(), clock::now_ns()].map(long).concat();
    number(wall / 1_000_000_000) + &rest
}

/// `bintime`: ns since 1970, ticks, ticks a second of the time of day, ns since the start, 8 bytes each, most
/// significant first.
pub(crate) fn bintime(wanted: usize) -> [u8; 32] {
    let mut out = [0; 32];
    let numbers = [|| clock::wall_ns() as u64, clock::cycles, clock::wall_hz, clock::now_ns];
    for (place, n) in out.chunks_exact_mut(8).zip(numbers).take(wanted / 8) {
        place.copy_from_slice(&n().to_be_bytes());
    }
    out
}

/// A write to `bintime`: `n` and 8 bytes set the time; `d`, 8 bytes and 4 move it by so many ns within so many seconds;
/// `f` and 8 bytes are the ticks in one of its seconds.
///
/// # Errors
/// `bad arg in system call`; no clock is so wrong that it has half or twice as many ticks as were measured.
pub(crate) fn set_bintime(bytes: &[u8]) -> Result<()> {
    let bad = error::EBADARG;
    let (kind, rest) = bytes.split_first().ok_or(bad)?;
    let (number, rest) = rest.split_first_chunk::<8>().ok_or(bad)?;
    let number = i64::from_be_bytes(*number);
    match (kind, rest) {
        (b'n', []) => clock::set_wall_ns(number),
        (b'd', &[a, b, c, d]) => clock::adjust_wall(number, u32::from_be_bytes([a, b, c, d])),
        (b'f', []) if u64::try_from(number).is_ok_and(clock::set_wall_hz) => {}
        _ => return Err(bad.into()),
    }
    Ok(())
}

/// `swap`: bytes of memory, of a page, pages of the kernel, pages of programs in use and in all; no swap; what 9front
/// tells besides, pages that can be given up and bytes of the kernel's; then the [bills](bill::text).
pub(crate) fn swap(kernel: &Kernel) -> String {
    let page = abi::layout::PAGE;
    let (total, own, free) = (mem::total_bytes(), mem::kernel_bytes(), mem::free_bytes());
    let user = total.saturating_sub(own) / page;
    let used = user.saturating_sub(free / page);
    let kept = kernel.images.unused() + kernel.contents.counts().1;
    let pages =
        format!("{total} memory\n{page} pagesize\n{} kernel\n{used}/{user} user\n0/0 swap\n", own / page);
    let more = format!("{kept}/{user} reclaim\n{own}/{own}/{total} kernel malloc\n");
    pages + &more + "0/0/0 kernel draw\n0/0/0 kernel secret\n" + &bill::text(kernel)
}

/// `sysstat`: a line for each processor: number, context switches, interrupts, system calls, faults, TLB faults,
/// TLB purges, load (in thousandths), idle and interrupt time in percent; all since a processor's counters were what
/// `since` says.
///
/// # Errors
/// No memory: there may be many.
pub(crate) fn sysstat(now: &[CpuStat], since: impl Fn(u32) -> CpuStat) -> Result<String> {
    let mut out = Text::new();
    for cpu in now {
        let was = since(cpu.id);
        let total = cpu.total_ns.saturating_sub(was.total_ns).max(1);
        let share = |now: u64, was: u64, of: u64| {
            u64::try_from(u128::from(now.saturating_sub(was)) * u128::from(of) / u128::from(total))
                .unwrap_or(of)
        };
        let idle = share(cpu.idle_ns, was.idle_ns, 1000).min(1000);
        let numbers = [
            u64::from(cpu.id),
            cpu.switches.saturating_sub(was.switches),
            cpu.interrupts.saturating_sub(was.interrupts),
            cpu.syscalls.saturating_sub(was.syscalls),
            cpu.faults.saturating_sub(was.faults),
            cpu.tlb_faults.saturating_sub(was.tlb_faults),
            cpu.tlb_purges.saturating_sub(was.tlb_purges),
            1000 - idle,
            idle / 10,
            share(cpu.intr_ns, was.intr_ns, 100).min(100),
        ];
        // What is left out for want of memory is told at the end.
        for n in numbers {
            let _ = write!(out, "{n:>11} ");
        }
        let _ = writeln!(out);
    }
    Ok(out.finish()?)
}

/// `config`: the words of the command line.
///
/// # Errors
/// No memory: a command line may be long.
pub(crate) fn config(kernel: &Kernel) -> Result<String> {
    let mut out = Text::new();
    for (name, value) in &kernel.config {
        let _ = writeln!(out, "{name}={}", quote(value));
    }
    Ok(out.finish()?)
}

/// `drivers`: the devices.
pub(crate) fn drivers(kernel: &Kernel) -> String {
    kernel.devs().iter().map(|d| driver_line(&**d)).collect()
}

/// `kmesg`: what the kernel has printed.
///
/// # Errors
/// No memory.
pub(crate) fn kmesg(kernel: &Kernel) -> Result<String> {
    Ok(heap::try_lossy(&kernel.kmesg.text()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysstat_has_ten_columns_of_twelve() {
        let was = CpuStat { id: 1, switches: 5, total_ns: 1000, idle_ns: 500, ..CpuStat::default() };
        let now = CpuStat {
            id: 1,
            switches: 12,
            interrupts: 3,
            idle_ns: 1250,
            intr_ns: 100,
            total_ns: 2000,
            ..CpuStat::default()
        };
        let line = sysstat(&[now], |_| was).unwrap();
        assert_eq!(
            line,
            concat!(
                "          1           7           3           0           0",
                "           0           0         250          75          10 \n",
            )
        );
        assert_eq!(line.len(), 10 * 12 + 1);
    }

    #[test]

    fn sysstat_of_many_processors_is_asked_for() {
        let stats = [CpuStat { id: 1, ..CpuStat::default() }; 200];
        let text =
            machine::host::heap::within("sysstat", heap::GRANT, || sysstat(&stats, |_| stats[0])).unwrap();
        assert_eq!(text.lines().count(), 200);
    }

    #[test]
    fn a_window_has_rows_and_columns() {
        assert_eq!(size((24, 80)), "         24          80 ");
        assert_eq!(size_in(&size((24, 80))), Some((24, 80)));
        assert_eq!(size_in("50 132\n"), Some((50, 132)));
        assert_eq!(
            [size_in(""), size_in("1"), size_in("1 2 3"), size_in("1 65536"), size_in("a b")],
            [None; 5]
        );
    }

    #[test]
    fn time_has_seconds_and_four_long_numbers() {
        let t = time();
        assert_eq!(t.len(), 12 + 4 * 22);
        assert!(t.split_whitespace().all(|n| n.parse::<u64>().is_ok()));
        assert!(bintime(32)[16..24] != [0; 8] && bintime(23)[16..] == [0; 16]);
        assert!(set_bintime(b"n1234567").is_err());
        assert!(set_bintime(b"").is_err());
        assert!(set_bintime(b"x12345678").is_err());
    }

    #[test]
    fn the_time_of_day_is_set_and_moved_and_paced() {
        machine::host::new_machine();
        let message = |kind: u8, n: i64, rest: &[u8]| [&[kind], &n.to_be_bytes()[..], rest].concat();
        let wall = || i64::from_be_bytes(*bintime(8).first_chunk().unwrap());
        let hz = || u64::from_be_bytes(*bintime(24)[16..].first_chunk().unwrap());
        let (second, day) = (1_000_000_000, 86_400_000_000_000);
        set_bintime(&message(b'n', day, &[])).unwrap();
        assert!((day..2 * day).contains(&wall()));
        set_bintime(&message(b'd', second, &86_400u32.to_be_bytes())).unwrap();
        assert!((day..day + second / 2).contains(&wall()));
        set_bintime(&message(b'd', -second, &[0; 4])).unwrap();
        let before = wall();
        assert!(wall() >= before);
        let measured = hz();
        set_bintime(&message(b'f', measured as i64 + 1000, &[])).unwrap();
        assert_eq!(hz(), measured + 1000);
        for bad in [0, -1, 1, measured as i64 * 3, i64::MAX, i64::MIN] {
            assert!(set_bintime(&message(b'f', bad, &[])).is_err(), "{bad}");
        }
        assert_eq!(hz(), measured + 1000);
        for bad in [message(b'f', 1, &[0]), message(b'd', 1, &[0; 3]), message(b'n', 1, &[0; 4])] {
            assert!(set_bintime(&bad).is_err());
        }
    }
}
