//! `exec`: reads the header, builds the new segments beside the old ones, and only then exchanges them, so
//! that a failed exec leaves the process as it was.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::layout::{PAGE, USTKSIZE, USTKTOP};
use abi::ureg::Ureg;
use abi::{Dir, OREAD, error};
use machine::heap;
use machine::space::Prot;

use super::argv::Argv;
use super::header;
use super::script;
use super::stack::Stack;
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::mem::{Backing, ImageKey, ImageRef, Kind, Segment, Stretch};
use crate::name::chan::Chan;
use crate::name::namec::{self, Access};
use crate::proc::process::Proc;
use crate::proc::{notes, watch};

/// Segments that are made between looks at memory.
const BATCH: usize = 16;

/// The executable found for a name: its file, its image, and the arguments as `#!` changes them.
struct Program {
    chan: Arc<Chan>,
    image: ImageRef,
    args: Argv,
    name: String,
}

/// A file that has been opened to be executed, and what it is like.
struct Opened {
    chan: Arc<Chan>,
    dir: Dir,
}

/// Replaces the program of `up` by the file `name` with `args` (the first of which is by custom the name).
/// Gives the registers to start with.
///
/// # Errors
/// Those of opening the file for execution, `exec header invalid`, `cannot exec directory`, no memory.
pub fn exec(up: &Arc<Proc>, name: &str, args: Argv) -> Result<Ureg> {
    let program = find(up, name, args)?;
    let (image, layout) = (&program.image, program.image.layout());
    image.bring(up)?;
    // With the three at the end.
    let mut segments = heap::try_vec(layout.runs.len() + 3)?;
    for (n, run) in layout.runs.iter().enumerate() {
        // There may be as many as have room in the front of a file.
        if n % BATCH == BATCH - 1 && !heap::is_granted() {
            return Err(error::ENOMEM.into());
        }
        let kind = if run.write { Kind::Data } else { Kind::Text };
        let from = Stretch { offset: run.offset, len: run.len };
        let backing = Backing { image: image.clone(), from };
        let prot = Prot { write: run.write, exec: run.exec };
        segments.push(Segment::new(kind, run.base, run.top, prot, Some(backing)));
    }
    let (bss_base, bss_top) = layout.bss;
    let entry = layout.entry;
    let data = Prot { write: true, exec: false };
    segments.push(Segment::new(Kind::Bss, bss_base, bss_top, data, None));
    let stack = Segment::new(Kind::Stack, USTKTOP - USTKSIZE, USTKTOP, data, None);
    let first = Stack::new(&program.args, up.pid, machine::clock::cycle_hz());
    let sp = first.sp;
    fill(up, &stack, &first)?;
    segments.push(stack);

    // The point of no return.
    up.mem.replace(segments)?;
    up.fgrp().close_on_exec();
    up.private.store(false, core::sync::atomic::Ordering::Relaxed);
    up.noswap.store(false, core::sync::atomic::Ordering::Relaxed);
    notes::exec_clears(up);
    watch::exec_clears(up);
    up.errstr.lock().clear();
    *up.name.lock() = program.name;
    *up.args.lock() = args_text(&program.args);
    let old = up.text.lock().replace(program.chan);
    drop(old);
    let tos = abi::layout::TOS;
    // Until it traps, what it came from is the call.
    Ok(Ureg { ax: tos, pc: entry, sp, kind: abi::ureg::SYSCALL, ..Ureg::default() })
}

fn find(up: &Arc<Proc>, name: &str, args: Argv) -> Result<Program> {
    let file = Opened::open(up, name)?;
    let file_name = last_element(name);
    if let Some(image) = file.known(up) {
        return Ok(Program { chan: file.chan, image, args, name: file_name });
    }
    let mut head = heap::try_bytes(header::HEAD)?;
    file.read_front(up, &mut head)?;
    match script::parse(&head) {
        None => Ok(Program { image: file.image(up, &head)?, chan: file.chan, args, name: file_name }),
        Some(Err(())) => Err(error::EBADEXEC.into()),
        Some(Ok(words)) => {
            let Some((interpreter, more)) = words.split_first() else { return Err(error::EBADEXEC.into()) };
            let mut front = Argv::new();
            front.push(file_name.as_bytes())?;
            for word in more {
                front.push(word.as_bytes())?;
            }
            front.push(name.as_bytes())?;
            let args = args.behind(front)?;
            drop(file);
            let file = Opened::open(up, interpreter)?;
            let image = match file.known(up) {
                Some(image) => image,
                None => {
                    file.read_front(up, &mut head)?;
                    // One level only: an interpreter that is a script itself has no valid header.
                    file.image(up, &head)?
                }
            };
            Ok(Program { chan: file.chan, image, args, name: file_name })
        }
    }
}

impl Opened {
    fn open(up: &Arc<Proc>, name: &str) -> Result<Opened> {
        let chan = namec::open_exec(up, name)?;
        if chan.qid.is_dir() {
            return Err(error::EEXECDIR.into());
        }
        let dir = chan.dev.stat_opened(up, &chan)?;
        Ok(Opened { chan, dir })
    }

    /// Its image, if it was run before.
    fn known(&self, up: &Arc<Proc>) -> Option<ImageRef> {
        up.kernel.images.find(self.key(), &self.chan)
    }

    /// Its image, by what is at its front.
    fn image(&self, up: &Arc<Proc>, head: &[u8]) -> Result<ImageRef> {
        let layout = header::parse(head, self.dir.length)?;
        up.kernel.images.attach(self.key(), &self.chan, &layout)
    }

    fn key(&self) -> ImageKey {
        let chan = &self.chan;
        let (letter, devno, _) = chan.key();
        let file = (letter, devno, chan.dev.contents(chan));
        ImageKey { file, vers: chan.qid.vers, mtime: self.dir.mtime, length: self.dir.length }
    }

    /// Reads as much of its front as a header may be.
    fn read_front(&self, up: &Arc<Proc>, head: &mut Vec<u8>) -> Result<()> {
        head.clear();
        head.resize(header::HEAD, 0);
        // Where a length is told nobody has to be asked for the end.
        let all = match usize::try_from(self.dir.length) {
            Ok(0) | Err(_) => header::HEAD,
            Ok(length) => length.min(header::HEAD),
        };
        let mut got = 0;
        while got < all {
            let rest = head.get_mut(got..all).unwrap_or(&mut []);
            match self.chan.dev.read(up, &self.chan, &mut Dst::Kernel(rest), got as u64)? {
                0 => break,
                n => got += n,
            }
        }
        head.truncate(got);
        Ok(())
    }
}

/// Writes the first stack into its segment, which no address space maps yet.
fn fill(up: &Arc<Proc>, stack: &Segment, first: &Stack<'_>) -> Result<()> {
    let mut at = first.sp;
    let mut pins = Vec::with_capacity(1);
    first.write(|mut bytes| {
        while !bytes.is_empty() {
            // A page at a time, which the next bytes may go on with.
            if pins.is_empty() {
                stack.pin(up, at, (PAGE - at % PAGE) as usize, true, &mut pins)?;
            }
            let Some(pin) = pins.first() else { return Err(error::ENOVMEM.into()) };
            let skip = pin.len() - (PAGE - at % PAGE) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(pin.len() - skip));
            pin.write(skip, now);
            at += now.len() as u64;
            if at.is_multiple_of(PAGE) {
                pins.clear();
            }
            bytes = later;
        }
        Ok(())
    })
}

fn last_element(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    String::from(crate::error::clip(last, abi::KNAMELEN - 1))
}

/// What `/proc/n/args` shows: the quoted arguments, as many as fit into 128 bytes.
fn args_text(args: &Argv) -> String {
    let mut out = String::new();
    // An argument that is longer than that would not fit, whatever it is.
    for arg in args.iter().take(128).take_while(|arg| arg.len() < 128) {
        let word = abi::quote::quote(&String::from_utf8_lossy(arg));
        if out.len() + word.len() + 1 > 128 {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word);
    }
    out
}

/// Opens the console three times for the first process and runs `program` in it, with these arguments behind its name.
///
/// # Errors
/// As [`exec`].
pub fn first(up: &Arc<Proc>, console: &str, program: &str, args: &[String]) -> Result<Ureg> {
    for mode in [OREAD, abi::OWRITE, abi::OWRITE] {
        let chan = namec::namec(up, console, Access::Open(mode))?;
        up.fgrp().install(chan, false)?;
    }
    let mut argv = Argv::of(&[last_element(program)])?;
    for arg in args {
        argv.push(arg.as_bytes())?;
    }
    exec(up, program, argv)
}
