//! System calls as `/proc/n/syscall` tells them, for who steps a process from one to the next with `startsyscall`.
//!
//! The process stops before the call, which is told with its arguments, and behind it, when that is wanted as well,
//! where the result is told. It stands in [`procctl`] meanwhile. The text is of the process's own thread, on its bill,
//! and at most [`LONGEST`] bytes long; `Proc::call_text` has the last one.
//!
//! Locks: `call_text` is a leaf. The program's memory is read with none in hand, since a page of it may have to come
//! from a silent server.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write};

use abi::syscall as call;
use machine::heap::{self, Call};
use machine::user::UserContext;

use crate::call::args;
use crate::error::{Result, clip};
use crate::proc::notify::After;
use crate::proc::procctl;
use crate::proc::process::Proc;

/// Bytes of a text: what those who look have room for.
const LONGEST: usize = 8191;
/// Bytes of a string of the program's that are shown.
const STRING: usize = 1024;
/// Bytes of what is read and written that are shown.
const DATA: usize = 64;

/// A call that has been told before it began.
pub(super) struct Seen {
    number: u64,
    args: [u64; 6],
    /// Nanoseconds since 1970.
    begun: i64,
}

/// What an argument is shown as. Each is a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// A signed number of 32 bits.
    Int,
    /// An unsigned one.
    Uint,
    /// Bits of a mode, 32 of them.
    Bits,
    /// A signed number of 64 bits: an offset.
    Long,
    /// An address, as it is.
    At,
    /// A string, with its address.
    Text,
    /// Strings whose addresses are there, until a null.
    Texts,
    /// Bytes that are written: as many as the next argument says.
    Bytes,
}

/// The arguments of a call, as 9front's kernel shows them. None: it has none, or nobody knows it.
fn shown(number: u64) -> &'static [Show] {
    use Show::{At, Bits, Bytes, Int, Long, Text, Texts, Uint};
    match number {
        call::SYSR1 | call::PIPE | call::BRK | call::NOTIFY | call::SEGDETACH | call::WAIT_OLD => &[At],
        call::ERRSTR_OLD | call::CHDIR | call::EXITS | call::REMOVE => &[Text],
        call::BIND => &[Text, Text, Bits],
        call::CLOSE | call::NOTED | call::SLEEP => &[Int],
        call::DUP => &[Int, Int],
        call::ALARM => &[Uint],
        call::EXEC => &[Text, Texts],
        call::FSESSION | call::FSTAT_OLD | call::FWSTAT_OLD => &[Int, At],
        call::FAUTH => &[Int, Text],
        call::SEGBRK | call::RENDEZVOUS => &[At, At],
        call::MOUNT_OLD => &[Int, Text, Bits, Text],
        call::OPEN => &[Text, Bits],
        call::OSEEK => &[Int, Int, Int],
        call::STAT_OLD | call::WSTAT_OLD => &[Text, At],
        call::RFORK => &[Bits],
        call::CREATE => &[Text, Bits, Bits],
        call::FD2PATH | call::FSTAT | call::FWSTAT => &[Int, At, Uint],
        call::SEGATTACH => &[Int, Text, At, Uint],
        call::SEGFREE | call::SEGFLUSH => &[At, Uint],
        call::UNMOUNT => &[Text, Text],
        call::SEMACQUIRE | call::SEMRELEASE | call::TSEMACQUIRE => &[At, Int],
        call::SEEK => &[At, Int, Long, Int],
        call::FVERSION => &[Int, Int, Text, Uint],
        call::STAT | call::WSTAT => &[Text, At, Uint],
        call::ERRSTR | call::AWAIT => &[At, Uint],
        call::MOUNT => &[Int, Int, Text, Bits, Text],
        call::MOUNTDEV => &[Int, Int, Text, Bits, Text, Uint],
        call::READ_OLD => &[Int, At, Int],
        call::PREAD => &[Int, At, Int, Long],
        call::WRITE_OLD => &[Int, Bytes, Int],
        call::PWRITE => &[Int, Bytes, Int, Long],
        _ => &[],
    }
}

/// A text that ends where there is no room.
struct Line {
    text: heap::Text,
    room: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let part = clip(text, self.room);
        self.room = if part.len() < text.len() { 0 } else { self.room - part.len() };
        self.text.write_str(part)
    }
}

impl Line {
    fn new() -> Line {
        Line { text: heap::Text::new(), room: LONGEST }
    }

    /// Bytes, between quotes; what could be taken for something else is a dot.
    fn quoted(&mut self, bytes: &[u8]) -> fmt::Result {
        self.write_char('"')?;
        for &b in bytes {
            self.write_char(if b.is_ascii_graphic() { char::from(b) } else { '.' })?;
        }
        self.write_char('"')
    }

    /// Bytes of the program's memory; of what is not there, the address.
    fn bytes(&mut self, up: &Proc, at: u64, len: usize) -> fmt::Result {
        let mut bytes = [0; DATA];
        let bytes = bytes.get_mut(..len.min(DATA)).unwrap_or_default();
        write!(self, "{at:#x}/")?;
        let there = up.mem.copy_in(at, bytes).is_ok();
        self.quoted(if there { bytes } else { &[] })
    }

    /// A string of the program's, as far as it is shown.
    fn string(&mut self, up: &Proc, at: u64) -> fmt::Result {
        let mut bytes = alloc::vec::Vec::new();
        write!(self, "{at:#x}/\"")?;
        if at != 0 {
            // What is too long, or ends where memory does, has begun.
            let _ = up.mem.append_string(at, STRING, &mut bytes);
        }
        for part in bytes.utf8_chunks() {
            for c in part.valid().chars() {
                self.write_char(if c.is_control() { '.' } else { c })?;
            }
            if !part.invalid().is_empty() {
                self.write_char('\u{fffd}')?;
            }
        }
        self.write_char('"')
    }

    fn strings(&mut self, up: &Proc, mut at: u64) -> fmt::Result {
        let mut between = "";
        while self.room > 0 {
            let mut word = [0; 8];
            if up.mem.copy_in(at, &mut word).is_err() || word == [0; 8] {
                break;
            }
            self.write_str(between)?;
            self.string(up, u64::from_le_bytes(word))?;
            between = " ";
            at = at.wrapping_add(8);
        }
        Ok(())
    }

    fn name(&mut self, number: u64) -> fmt::Result {
        let Some(name) = call::name(number) else { return write!(self, " {number}") };
        let (front, name, end) = match (name.strip_suffix("_OLD"), number) {
            (Some(old), _) => ("_", old, ""),
            (_, call::FSESSION | call::NSEC) => ("_", name, ""),
            (_, call::BRK) => ("", name, "_"),
            _ => ("", name, ""),
        };
        self.write_str(front)?;
        for (i, c) in name.chars().enumerate() {
            let first = i == 0 && front.is_empty();
            self.write_char(if first { c } else { c.to_ascii_lowercase() })?;
        }
        self.write_str(end)
    }
}

/// What is told before a call: `PID PROGRAM Call PC ARGUMENT ...`, without a newline.
fn before_text(up: &Proc, pc: u64, seen: &Seen) -> Result<String> {
    let mut line = Line::new();
    let program = up.name.lock().clone();
    let mut tell = || {
        write!(line, "{} {program} ", up.pid)?;
        line.name(seen.number)?;
        write!(line, " {pc:x}")?;
        let mut words = seen.args.iter().copied().chain([0]).peekable();
        for show in shown(seen.number) {
            let (Some(word), next) = (words.next(), words.peek().copied()) else { break };
            line.write_char(' ')?;
            match show {
                Show::Int => write!(line, "{}", word as i32)?,
                Show::Uint => write!(line, "{}", word as u32)?,
                Show::Bits => write!(line, "{:#x}", word as u32)?,
                Show::Long => write!(line, "{}", word as i64)?,
                Show::At => write!(line, "{word:#x}")?,
                Show::Text => line.string(up, word)?,
                Show::Texts => line.strings(up, word)?,
                Show::Bytes => {
                    let len = next.and_then(|n| usize::try_from(n as i32).ok());
                    line.bytes(up, word, len.unwrap_or(0))?;
                }
            }
        }
        fmt::Result::Ok(())
    };
    // Only memory can be missing, and `finish` says so.
    let _ = tell();
    Ok(line.text.finish()?)
}

/// What is told behind it: what was read, if anything, then ` = RESULT "ERROR" BEGUN ENDED` and a newline; the times
/// are ns since 1970.
fn after_text(up: &Proc, result: u64, seen: &Seen) -> Result<String> {
    let mut line = Line::new();
    let failed = result == u64::MAX;
    let why = if failed { up.errstr.lock().clone() } else { String::from("\"\"") };
    let [first, at, len, offset, ..] = seen.args;
    let mut tell = || {
        let some = usize::try_from(result as i64).unwrap_or(0);
        match seen.number {
            call::PREAD | call::READ_OLD => {
                if some > 0 {
                    line.write_char(' ')?;
                    line.bytes(up, at, some)?;
                } else {
                    line.write_str("/\"\"")?;
                }
                write!(line, " {}", len as i32)?;
                if seen.number == call::PREAD {
                    write!(line, " {}", offset as i64)?;
                }
            }
            call::AWAIT | call::ERRSTR | call::FD2PATH if !failed => {
                let (at, len) = if seen.number == call::FD2PATH { (at, len) } else { (first, at) };
                line.write_char(' ')?;
                // A wait record has a length and no end.
                if seen.number == call::AWAIT {
                    line.bytes(up, at, some)?
                } else {
                    line.string(up, at)?
                }
                write!(line, " {}", len as u32)?;
            }
            _ => {}
        }
        match seen.number {
            call::EXEC | call::SEGBRK | call::SEGATTACH | call::RENDEZVOUS => write!(line, " = {result:#x}")?,
            call::NSEC | call::SEEK => write!(line, " = {}", result as i64)?,
            _ => write!(line, " = {}", result as i32)?,
        }
        writeln!(line, " {why} {} {}", seen.begun, machine::clock::wall_ns())
    };
    // Only memory can be missing, and `finish` says so.
    let _ = tell();
    Ok(line.text.finish()?)
}

/// Keeps a text, if there was memory for it.
fn keep(up: &Proc, text: Result<String>) {
    let text = text.ok().map(Arc::new);
    let old = core::mem::replace(&mut *up.call_text.lock(), text);
    drop(old);
}

/// Before a system call: tells of it and stops, if somebody wants to see it.
#[cold]
pub(super) fn before(up: &Arc<Proc>, ctx: &mut UserContext) -> Option<Box<Seen>> {
    if !procctl::stops_at_call(up) {
        return None;
    }
    let _call = Call::enter("a system call is told");
    // A stack that is not there has no arguments; the call itself will say so.
    let args = args::fetch(up, ctx.regs.sp()).unwrap_or_default();
    let mut seen = Seen { number: ctx.regs.bp(), args, begun: 0 };
    keep(up, before_text(up, ctx.regs.pc(), &seen));
    procctl::hold(up, ctx);
    seen.begun = machine::clock::wall_ns();
    Some(Box::new(seen))
}

/// Behind a call that was told: tells of its result and stops, if that is wanted, too.
#[cold]
pub(super) fn behind(up: &Arc<Proc>, ctx: &mut UserContext, seen: Seen, end: After) -> After {
    if matches!(end, After::Continue) && procctl::stops_at_call(up) {
        let _call = Call::enter("a system call's result is told");
        // What noted leaves in the registers is what the note had interrupted.
        let result = if seen.number == call::NOTED { 0 } else { ctx.regs.ax() };
        keep(up, after_text(up, result, &seen));
        procctl::hold(up, ctx);
    }
    end
}
