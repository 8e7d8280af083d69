//! Watchpoints: accesses of a program that are told to it, or to its debugger, by a note (section 3, `proc`).
//!
//! `Proc::watched` has them. The processor's registers are the process's own thread's, so it loads them itself: who
//! changes the list says so in `Proc::ctl` and brings the process out of user mode.
//!
//! Locks: `Proc::watched` is a leaf.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;

use abi::layout::USTKTOP;
use machine::types::{Watch, WatchError, Watchpoint};

use crate::error::Result;
use crate::proc::process::Proc;

/// As many as a processor has.
pub(crate) const MOST: usize = 4;
/// Bytes of a line of `/proc/n/watchpt`.
pub(crate) const LINE: usize = 42;

/// The watchpoints of a process, in order, `None` behind them.
pub(crate) type Watched = [Option<Watchpoint>; MOST];

/// The lines of `/proc/n/watchpt`: type, address, length.
pub(crate) fn text(p: &Proc) -> String {
    let mut out = String::new();
    for point in p.watched.lock().iter().flatten() {
        let kind = match point.on {
            Watch::Access => "rw-",
            Watch::Write => "-w-",
            Watch::Execute => "--x",
        };
        // A String takes everything.
        let _ = writeln!(out, "{kind} {:#018x} {:#018x}", point.addr, point.len);
    }
    out
}

/// How many there are.
pub(crate) fn count(p: &Proc) -> usize {
    p.watched.lock().iter().flatten().count()
}

/// Lines that were written: they replace what is there, or are added. All of them, or none.
///
/// # Errors
/// What is wrong with a line.
pub(crate) fn write(p: &Proc, text: &str, add: bool) -> Result<()> {
    let mut list: Watched = if add { *p.watched.lock() } else { [None; MOST] };
    let mut at = list.iter().flatten().count();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        if words.is_empty() {
            continue;
        }
        let &[kind, addr, len] = words.as_slice() else { return Err("wrong number of fields".into()) };
        let point = Watchpoint {
            addr: number(addr, "invalid address")?,
            len: number(len, "invalid length")?,
            on: on(kind)?,
        };
        point.check().map_err(WatchError::text)?;
        if point.addr > USTKTOP - point.len {
            return Err(WatchError::Outside.text().into());
        }
        *list.get_mut(at).ok_or(WatchError::TooMany.text())? = Some(point);
        at += 1;
    }
    set(p, list);
    Ok(())
}

/// There are none any more.
pub(crate) fn clear(p: &Proc) {
    set(p, [None; MOST]);
}

fn set(p: &Proc, list: Watched) {
    *p.watched.lock() = list;
    p.ctl.lock().watch = true;
    if let Some(thread) = p.thread.get() {
        thread.kick();
    }
}

fn on(kind: &str) -> Result<Watch> {
    let mut letters = kind.chars().filter(|c| *c != '-').collect::<Vec<_>>();
    letters.sort_unstable();
    match letters.as_slice() {
        ['r', 'w'] => Ok(Watch::Access),
        ['w'] => Ok(Watch::Write),
        ['x'] => Ok(Watch::Execute),
        _ if letters.iter().all(|c| matches!(c, 'r' | 'w' | 'x'))
            && letters.windows(2).all(|w| w[0] != w[1]) =>
        {
            Err("type must be rw-, -w- or --x".into())
        }
        _ => Err("invalid type".into()),
    }
}

/// A number as C writes them: decimal, `0x` and hexadecimal, `0` and octal.
fn number(word: &str, wrong: &'static str) -> Result<u64> {
    let (digits, base) = match (word.strip_prefix("0x").or(word.strip_prefix("0X")), word.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (word, 10),
    };
    match digits.starts_with('+') {
        true => Err(wrong.into()),
        false => u64::from_str_radix(digits, base).map_err(|_| wrong.into()),
    }
}

/// On the way to user mode: the list has changed, and the processor is to know it.
pub(crate) fn load(up: &Proc) {
    up.ctl.lock().watch = false;
    let list = *up.watched.lock();
    let points: Vec<Watchpoint> = list.iter().flatten().copied().collect();
    // They were looked at when they were written.
    let _ = machine::user::watch(&points);
}

/// A new program has none.
pub(crate) fn exec_clears(up: &Arc<Proc>) {
    if count(up) > 0 {
        *up.watched.lock() = [None; MOST];
        load(up);
    }
}

/// What the note says of those that were met, by bits: their numbers, from 0.
pub(crate) fn note(met: u64) -> String {
    let numbers = (0..MOST).filter(|n| met >> n & 1 != 0);
    let numbers: Vec<String> = numbers.map(|n| format!("{n}")).collect();
    format!("sys: watchpoint {}", numbers.join(","))
}
