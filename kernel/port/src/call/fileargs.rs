//! What the calls about names and files take from the program's memory and put into it: buffers, stat records new and
//! old, names of versions. What they do is in [`sysfile`].

use alloc::string::String;
use alloc::vec::Vec;

use abi::{DMDIR, error};
use machine::heap;

use crate::call::args::Args;
use crate::call::record::Record;
use crate::call::syscall::{int, nothing};
use crate::call::sysfile;
use crate::error::{Result, clip};
use crate::mem::iobuf::{Dst, Src};
use crate::name::walk::MAXELEMENT;
use crate::name::{fgrp, transfer};

/// `open`.
#[inline(never)]
pub(super) fn open(a: &Args<'_>) -> Result<u64> {
    a.with_string(0, |name| sysfile::open(a.up, name, a.uint(1))).map(int)
}

/// `create`.
#[inline(never)]
pub(super) fn create(a: &Args<'_>) -> Result<u64> {
    a.with_string(0, |name| sysfile::create(a.up, name, a.uint(1), a.uint(2))).map(int)
}

/// `close`.
#[inline(never)]
pub(super) fn close(a: &Args<'_>) -> Result<u64> {
    sysfile::close(a.up, a.int(0)).map(nothing)
}

/// `remove`.
#[inline(never)]
pub(super) fn remove(a: &Args<'_>) -> Result<u64> {
    a.with_string(0, |name| sysfile::remove(a.up, name)).map(nothing)
}

/// `stat`.
#[inline(never)]
pub(super) fn stat(a: &Args<'_>) -> Result<u64> {
    let mut record = Record::new();
    a.with_string(0, |name| sysfile::stat_to(a.up, name, &mut |dir| record.write(dir)))?;
    stat_out(a, record.bytes())
}

/// `fstat`.
#[inline(never)]
pub(super) fn fstat(a: &Args<'_>) -> Result<u64> {
    let mut record = Record::new();
    sysfile::fstat_to(a.up, a.int(0), &mut |dir| record.write(dir))?;
    stat_out(a, record.bytes())
}

/// `pread`, and `read` of old.
#[inline(never)]
pub(super) fn read(a: &Args<'_>, offset: i64) -> Result<u64> {
    // The descriptor is judged before the count, and its mode last.
    let c = a.up.fd(a.int(0))?;
    let len = a.count(2)?;
    a.up.mem.check(a.long(1), len, true)?;
    fgrp::check_transfer(&c, abi::OREAD)?;
    transfer::read(a.up, &c, &mut Dst::User(a.buf(1, len)), offset).map(|n| n as u64)
}

/// `pwrite`, and `write` of old.
#[inline(never)]
pub(super) fn write(a: &Args<'_>, offset: i64) -> Result<u64> {
    let c = a.up.fd(a.int(0))?;
    let len = a.count(2)?;
    a.up.mem.check(a.long(1), len, false)?;
    fgrp::check_transfer(&c, abi::OWRITE)?;
    transfer::write(a.up, &c, &Src::User(a.buf(1, len)), offset).map(|n| n as u64)
}

pub(super) fn seek(a: &Args<'_>) -> Result<u64> {
    let c = a.up.fd(a.int(1))?;
    a.up.mem.check(a.long(0), 8, true)?;
    let offset = sysfile::seek_chan(a.up, &c, a.long(2) as i64, a.int(3))?;
    a.up.mem.copy_out(a.long(0), &offset.to_le_bytes())?;
    Ok(0)
}

pub(super) fn pipe(a: &Args<'_>) -> Result<u64> {
    a.up.mem.pin(a.long(0), 8, true)?;
    let [r, w] = sysfile::pipe(a.up)?;
    let mut bytes = [0u8; 8];
    let (first, second) = bytes.split_at_mut(4);
    first.copy_from_slice(&r.to_le_bytes());
    second.copy_from_slice(&w.to_le_bytes());
    a.up.mem.copy_out(a.long(0), &bytes)?;
    Ok(0)
}

pub(super) fn fd2path(a: &Args<'_>) -> Result<u64> {
    let path = sysfile::fd2path(a.up, a.int(0))?;
    let len = a.uint(2) as usize;
    if len == 0 {
        return Err(error::EBADARG.into());
    }
    string_out(a, 1, clip(&path, len - 1))?;
    Ok(0)
}

/// The short-buffer rule of `stat`: too small for the record, it holds the record's size and the call gives 2.
pub(super) fn stat_out(a: &Args<'_>, record: &[u8]) -> Result<u64> {
    let len = a.uint(2) as usize;
    if len < 2 {
        return Err(error::ESHORTSTAT.into());
    }
    let out = if record.len() > len { record.get(..2).unwrap_or(&[]) } else { record };
    a.up.mem.copy_out(a.long(1), out)?;
    Ok(out.len() as u64)
}

/// The 116-byte record of the obsolete stat calls: fixed 28-byte names.
pub(super) fn old_stat(a: &Args<'_>, record: Vec<u8>) -> Result<u64> {
    if record.len() > abi::STATFIXLEN + 4 * MAXELEMENT {
        return Err(error::ETOOLONG.into());
    }
    let (dir, _) = abi::Dir::parse(&record)?;
    let mut out = Vec::with_capacity(116);
    for name in [&dir.name, &dir.uid, &dir.gid] {
        let mut field = [0u8; abi::KNAMELEN];
        for (to, from) in field.iter_mut().take(abi::KNAMELEN - 1).zip(name.bytes()) {
            *to = from;
        }
        out.extend(field);
    }
    let path = dir.qid.path as u32 & !DMDIR | if dir.is_dir() { DMDIR } else { 0 };
    for word in [path, dir.qid.vers, dir.mode, dir.atime, dir.mtime] {
        out.extend(word.to_le_bytes());
    }
    out.extend(dir.length.to_le_bytes());
    out.extend(dir.kind.to_le_bytes());
    out.extend((dir.dev as u16).to_le_bytes());
    a.up.mem.copy_out(a.long(1), &out)?;
    Ok(0)
}

/// The record that `wstat` and `fwstat` are given.
pub(super) fn wstat_in(a: &Args<'_>) -> Result<Vec<u8>> {
    let len = a.uint(2) as usize;
    if len > abi::STATMAX {
        return Err(error::EBADSTAT.into());
    }
    let mut bytes = heap::try_bytes(len)?;
    a.up.mem.copy_in(a.long(1), &mut bytes)?;
    Ok(bytes)
}

/// Puts a string with its zero byte where argument `i` says.
fn string_out(a: &Args<'_>, i: usize, text: &str) -> Result<()> {
    a.up.mem.copy_out(a.long(i), text.as_bytes())?;
    a.up.mem.copy_out(a.long(i).wrapping_add(text.len() as u64), &[0])
}

/// The three mount calls: the arguments from the old name on, `old` being its place, are the same in all.
pub(super) fn mount(a: &Args<'_>, afd: i32, old: usize, letter: char) -> Result<i32> {
    let spec = if a.long(old + 2) == 0 { String::new() } else { a.string(old + 2)? };
    sysfile::mount(a.up, a.int(0), afd, &a.string(old)?, a.uint(old + 1), &spec, letter)
}

pub(super) fn fversion(a: &Args<'_>) -> Result<u64> {
    let room = a.uint(3) as usize;
    let version = if a.long(2) == 0 { String::new() } else { a.string(2)? };
    let agreed = sysfile::fversion(a.up, a.int(0), a.uint(1), &version)?;
    if agreed.len() >= room {
        return Err(error::EBADARG.into());
    }
    string_out(a, 2, &agreed)?;
    Ok(agreed.len() as u64)
}
