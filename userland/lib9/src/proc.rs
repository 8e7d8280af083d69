//! Processes: fork(2), exec(2), exits(2), wait(2), notify(2), sleep(2), semacquire(2), rendezvous(2).

use alloc::boxed::Box;
use alloc::string::String;
use core::sync::atomic::AtomicI32;

use abi::Rfork;

use crate::{Result, out, sys};

pub use sys::note::{Noted, notify};

/// Which of the two processes returned from [`rfork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process; also a caller that made none (no `Rfork::PROC`) and only changed its own groups.
    Child,
    /// The old one, with the process id of the child.
    Parent(i32),
}

/// What [`await_`] says of a child that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waitmsg {
    /// Process id.
    pub pid: i32,
    /// Milliseconds in user mode, children included.
    pub user_ms: u64,
    /// Milliseconds in the kernel, children included.
    pub sys_ms: u64,
    /// Milliseconds from start to end.
    pub real_ms: u64,
    /// Empty for success, else `NAME PID: STATUS`.
    pub msg: String,
}

impl Waitmsg {
    /// Reads the kernel's five words.
    pub fn parse(text: &str) -> Option<Waitmsg> {
        let words = abi::quote::tokenize(text);
        let [pid, user, sys, real, msg] = words.as_slice() else { return None };
        Some(Waitmsg {
            pid: pid.parse().ok()?,
            user_ms: user.parse().ok()?,
            sys_ms: sys.parse().ok()?,
            real_ms: real.parse().ok()?,
            msg: msg.clone(),
        })
    }
}

/// Ends the process; the empty string means success. Buffered output is written first.
pub fn exits(status: &str) -> ! {
    let _ = out::flush();
    sys::exits(status)
}

/// Ends the process without writing what standard output has collected: for a child whose exec failed.
pub fn exits_now(status: &str) -> ! {
    sys::exits(status)
}

/// Makes a process, or changes the groups of this one. Buffered output is written first, so that it is not doubled.
///
/// # Errors
/// `bad arg in system call` for `Rfork::MEM`: two processes that return from here with one heap and two stacks would
/// both own what lies on the stack. [`spawn`] is the safe way to share memory. Else the kernel's.
pub fn rfork(flags: Rfork) -> Result<Fork> {
    if flags.contains(Rfork::MEM) {
        return Err(abi::error::EBADARG.into());
    }
    Ok(match out::while_flushed(|| sys::rfork(flags))? {
        0 => Fork::Child,
        pid => Fork::Parent(pid),
    })
}

/// Runs `f` in a process that shares this one's memory, and descriptors too unless `flags` say otherwise
/// (`PROC` and `MEM` are implied). It exits with what `f` returns.
///
/// # Errors
/// The kernel's.
pub fn spawn(flags: Rfork, f: impl FnOnce() -> Result<()> + Send + 'static) -> Result<i32> {
    let _ = out::flush();
    sys::spawn(flags, Box::new(f))
}

/// Becomes the program in the file `path`. `argv[0]` is the name it is called by; an argument may be any bytes but
/// zero.
///
/// # Errors
/// Returns only on failure, with the kernel's reason.
pub fn exec<W: AsRef<[u8]>>(path: &str, argv: &[W]) -> Result<core::convert::Infallible> {
    let _ = out::flush();
    sys::exec(path, argv)
}

/// Waits for a child to end.
///
/// # Errors
/// `no living children`, `interrupted`.
pub fn await_() -> Result<Waitmsg> {
    Waitmsg::parse(&sys::await_()?).ok_or_else(|| "bad wait message".into())
}

/// Sleeps at least `ms` milliseconds; 0 gives the processor away.
///
/// # Errors
/// `interrupted` when a note came.
pub fn sleep(ms: u32) -> Result<()> {
    sys::sleep(ms.min(i32::MAX as u32))
}

/// Has the note `alarm` sent in `ms` milliseconds; 0 cancels. Returns what was left of the previous one.
pub fn alarm(ms: u32) -> u32 {
    sys::alarm(ms)
}

/// Meets another process of the group at `tag` and swaps values with it.
///
/// # Errors
/// `interrupted`.
pub fn rendezvous(tag: u64, value: u64) -> Result<u64> {
    sys::rendezvous(tag, value)
}

/// Takes one unit; waits for it if `block`. False when there was none.
///
/// # Errors
/// `interrupted`.
pub fn semacquire(sem: &AtomicI32, block: bool) -> Result<bool> {
    sys::semacquire(sem, block)
}

/// [`semacquire`] that gives up after `ms` milliseconds: false then.
///
/// # Errors
/// `interrupted`.
pub fn tsemacquire(sem: &AtomicI32, ms: u32) -> Result<bool> {
    sys::tsemacquire(sem, ms)
}

/// Adds `count` units; returns the new value.
///
/// # Errors
/// `bad arg in system call` for a negative count.
pub fn semrelease(sem: &AtomicI32, count: i32) -> Result<i32> {
    sys::semrelease(sem, count)
}

/// Process id of the caller.
pub fn getpid() -> i32 {
    sys::getpid()
}

/// The name of the file that the calling process executes, as its server has it, whatever name it was called by; none
/// when it cannot be told, or its record does not fit into `record`. Done at the start of every command of a program
/// that has many, so without anything that brings in pages which are not needed for something else.
pub fn file_name(record: &mut [u8; 256]) -> Option<&str> {
    let fd = ["#p", "/proc"].into_iter().find_map(|place| {
        let mut path = [0; 32];
        let path = text_path(&mut path, place, sys::getpid() as u32)?;
        sys::open(path, abi::OREAD).ok()
    })?;
    let told = sys::fstat(fd, record);
    let _ = sys::close(fd);
    // A record that does not fit is only announced.
    let bytes = record.get(..told.ok().filter(|n| *n > 2)?)?;
    let (head, name) = bytes.split_at_checked(abi::dir::STATHEADLEN + 2)?;
    let len = u16::from_le_bytes(*head.last_chunk()?);
    core::str::from_utf8(name.get(..len.into())?).ok()
}

/// The name of a process's text below `place`, in `path`.
fn text_path<'a>(path: &'a mut [u8; 32], place: &str, mut pid: u32) -> Option<&'a str> {
    // From the end: the number's digits come that way.
    let mut at = path.len();
    let mut put = |bytes: &[u8]| {
        at = at.checked_sub(bytes.len())?;
        path.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        Some(at)
    };
    put(b"/text")?;
    loop {
        put(&[b'0' + (pid % 10) as u8])?;
        pid /= 10;
        if pid == 0 {
            break;
        }
    }
    put(b"/")?;
    let at = put(place.as_bytes())?;
    core::str::from_utf8(path.get(at..)?).ok()
}

/// Nanoseconds since 1970.
pub fn nsec() -> i64 {
    sys::nsec()
}

/// Seconds since 1970.
pub fn seconds() -> i64 {
    sys::nsec().div_euclid(1_000_000_000)
}

/// Sends a note to a process.
///
/// # Errors
/// The kernel's: `permission denied`, `process exited`, or that there is no such file.
pub fn postnote(pid: i32, note: &str) -> Result<()> {
    crate::file::control(&alloc::format!("/proc/{pid}/note"), note)
}

/// Bytes that the program may still use, about: most of what is free in the machine beside what the kernel keeps for
/// calls, and a part of what is free in its own heap, which may be in pieces. Memory is only given when it is touched,
/// and who touches what is not there ends; so who wants much asks before.
pub fn room() -> u64 {
    let swap = crate::file::read_string("#c/swap").unwrap_or_default();
    let free = room_of(&swap).map_or(u64::MAX / 2, |pages| pages.saturating_mul(abi::layout::PAGE));
    free + sys::heap_free() as u64 / 4
}

/// Three quarters of what `used/all user` in the text of `#c/swap` leaves behind a quarter, or 1024 pages: as many
/// may be set aside.
fn room_of(swap: &str) -> Option<u64> {
    let line = swap.lines().find_map(|line| line.strip_suffix(" user"))?;
    let (used, all) = line.trim().split_once('/')?;
    let all = all.parse::<u64>().ok()?;
    let free = all.checked_sub(used.parse().ok()?)?.saturating_sub((all / 4).min(1024));
    Some(free / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_left() {
        let swap =
            |user: &str| room_of(&alloc::format!("9240576 memory\n4096 pagesize\n{user} user\n0/0 swap\n"));
        assert_eq!([swap("600/1600"), swap("1500/1600"), swap("9/1")], [Some(450), Some(0), None]);
        assert_eq!(swap("1000/100000"), Some((100_000 - 1000 - 1024) / 4 * 3));
        assert_eq!(room_of(""), None);
    }

    #[test]
    fn names_of_texts() {
        for (pid, path) in [(0, "#p/0/text"), (7, "#p/7/text"), (u32::MAX, "#p/4294967295/text")] {
            assert_eq!(text_path(&mut [0; 32], "#p", pid), Some(path));
        }
        assert_eq!(text_path(&mut [0; 32], "/a/place/with/a/long/name", 4_294_967_295), None);
    }

    #[test]
    fn wait_messages() {
        let w = Waitmsg::parse("1234 10 20 345 'cat 1234: it''s bad'").unwrap();
        assert_eq!((w.pid, w.user_ms, w.sys_ms, w.real_ms), (1234, 10, 20, 345));
        assert_eq!(w.msg, "cat 1234: it's bad");
        assert_eq!(Waitmsg::parse("7 0 0 1 ''").unwrap().msg, "");
        assert_eq!(Waitmsg::parse("7 0 0"), None);
    }
}
