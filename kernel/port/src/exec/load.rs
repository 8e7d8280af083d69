//! `exec`: reads the header, builds the new segments beside the old ones, and only then exchanges them, so
//! that a failed exec leaves the process as it was.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use abi::layout::{USTKSIZE, USTKTOP};
use abi::ureg::Ureg;
use abi::{OREAD, error};
use machine::space::Prot;

use super::header::{self, Layout};
use super::{script, stack};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::mem::{Backing, ImageKey, Kind, Segment, Stretch};
use crate::name::chan::Chan;
use crate::name::namec::{self, Access};
use crate::proc::notes;
use crate::proc::process::Proc;

/// The executable found for a name: its file, its front, its layout, and the arguments as `#!` changes them.
struct Program {
    chan: Arc<Chan>,
    layout: Layout,
    args: Vec<Vec<u8>>,
    name: String,
}

/// Replaces the program of `up` by the file `name` with `args` (the first of which is by custom the name).
/// Gives the registers to start with.
///
/// # Errors
/// Those of opening the file for execution, `exec header invalid`, `cannot exec directory`, no memory.
pub fn exec(up: &Arc<Proc>, name: &str, args: Vec<Vec<u8>>) -> Result<Ureg> {
    let program = find(up, name, args)?;
    let key = image_key(up, &program.chan)?;
    let image = up.kernel.images.attach(key, &program.chan);
    let mut segments = Vec::new();
    for run in &program.layout.runs {
        let kind = if run.write { Kind::Data } else { Kind::Text };
        let from = Stretch { offset: run.offset, len: run.len };
        let backing = Backing { image: image.clone(), from };
        let prot = Prot { write: run.write, exec: run.exec };
        segments.push(Segment::new(kind, run.base, run.top, prot, Some(backing)));
    }
    let (bss_base, bss_top) = program.layout.bss;
    let data = Prot { write: true, exec: false };
    segments.push(Segment::new(Kind::Bss, bss_base, bss_top, data, None));
    let stack = Segment::new(Kind::Stack, USTKTOP - USTKSIZE, USTKTOP, data, None);
    let (sp, bytes) = stack::build(&program.args, up.pid, machine::clock::cycle_hz())?;
    fill(up, &stack, sp, &bytes)?;
    segments.push(stack);

    // The point of no return.
    up.mem.replace(segments)?;
    up.fgrp().close_on_exec();
    up.private.store(false, core::sync::atomic::Ordering::Relaxed);
    notes::exec_clears(up);
    up.errstr.lock().clear();
    *up.name.lock() = program.name;
    *up.args.lock() = args_text(&program.args);
    let old = up.text.lock().replace(program.chan);
    drop(old);
    let tos = abi::layout::TOS;
    Ok(Ureg { ax: tos, pc: program.layout.entry, sp, ..Ureg::default() })
}

fn find(up: &Arc<Proc>, name: &str, mut args: Vec<Vec<u8>>) -> Result<Program> {
    let chan = open(up, name)?;
    let file_name = last_element(name);
    let mut head = vec![0; header::HEAD];
    let n = read_full(up, &chan, &mut head)?;
    head.truncate(n);
    match script::parse(&head) {
        None => {
            let layout = header::parse(&head, length(up, &chan)?)?;
            Ok(Program { chan, layout, args, name: file_name })
        }
        Some(Err(())) => Err(error::EBADEXEC.into()),
        Some(Ok(words)) => {
            let Some((interpreter, more)) = words.split_first() else { return Err(error::EBADEXEC.into()) };
            let mut new: Vec<Vec<u8>> = vec![file_name.clone().into_bytes()];
            new.extend(more.iter().map(|w| w.clone().into_bytes()));
            new.push(Vec::from(name));
            new.extend(args.drain(1.min(args.len())..));
            drop(chan);
            let chan = open(up, interpreter)?;
            let n = read_full(up, &chan, head_room(&mut head))?;
            head.truncate(n);
            // One level only: an interpreter that is a script itself has no valid header.
            let layout = header::parse(&head, length(up, &chan)?)?;
            Ok(Program { chan, layout, args: new, name: file_name })
        }
    }
}

fn head_room(head: &mut Vec<u8>) -> &mut [u8] {
    head.clear();
    head.resize(header::HEAD, 0);
    head
}

fn open(up: &Arc<Proc>, name: &str) -> Result<Arc<Chan>> {
    let chan = namec::open_exec(up, name)?;
    if chan.qid.is_dir() {
        return Err(error::EEXECDIR.into());
    }
    Ok(chan)
}

/// Reads up to the whole buffer from the front of the file.
fn read_full(up: &Arc<Proc>, chan: &Arc<Chan>, buf: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        let rest = buf.get_mut(got..).unwrap_or(&mut []);
        match chan.dev.read(up, chan, &mut Dst::Kernel(rest), got as u64)? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

fn length(up: &Arc<Proc>, chan: &Arc<Chan>) -> Result<u64> {
    Ok(chan.dev.stat(up, chan)?.length)
}

fn image_key(up: &Arc<Proc>, chan: &Arc<Chan>) -> Result<ImageKey> {
    let dir = chan.dev.stat(up, chan)?;
    Ok(ImageKey { file: chan.key(), vers: chan.qid.vers, mtime: dir.mtime, length: dir.length })
}

/// Writes the first stack into its segment, which no address space maps yet.
fn fill(up: &Arc<Proc>, stack: &Segment, sp: u64, bytes: &[u8]) -> Result<()> {
    let mut pins = Vec::new();
    stack.pin(up, sp, bytes.len(), true, &mut pins)?;
    let mut rest = bytes;
    for pin in pins {
        let (now, later) = rest.split_at(pin.len());
        pin.write(0, now);
        rest = later;
    }
    Ok(())
}

fn last_element(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    String::from(crate::error::clip(last, abi::KNAMELEN - 1))
}

/// What `/proc/n/args` shows: the quoted arguments, as many as fit into 128 bytes.
fn args_text(args: &[Vec<u8>]) -> String {
    let mut out = String::new();
    for arg in args {
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

/// Opens the console three times for the first process and runs `program` in it.
///
/// # Errors
/// As [`exec`].
pub fn first(up: &Arc<Proc>, console: &str, program: &str) -> Result<Ureg> {
    for mode in [OREAD, abi::OWRITE, abi::OWRITE] {
        let chan = namec::namec(up, console, Access::Open(mode))?;
        up.fgrp().install(chan, false)?;
    }
    exec(up, program, vec![Vec::from(last_element(program))])
}
