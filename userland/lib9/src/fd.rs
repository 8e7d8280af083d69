//! Files by descriptor and by name: open(2), read(2), stat(2) and their family.
//!
//! A descriptor is a plain number, as the kernel has it; [`crate::File`] is one that closes itself.

use alloc::string::String;
use alloc::vec::Vec;

use abi::{Dir, OREAD};

use crate::{Error, Result, sys};

/// Size in bytes of the pieces that copying programs read and write.
pub const PIECE: usize = 128 * 1024;

/// Opens `name`; `mode` is `OREAD` and friends of [`abi::flags`].
///
/// # Errors
/// The kernel's, as for every call in this module.
pub fn open(name: &str, mode: u32) -> Result<i32> {
    sys::open(name, mode)
}

/// Creates `name` with `perm` and opens it; an existing file is truncated (unless `OEXCL`).
pub fn create(name: &str, mode: u32, perm: u32) -> Result<i32> {
    sys::create(name, mode, perm)
}

/// Closes a descriptor.
pub fn close(fd: i32) -> Result<()> {
    sys::close(fd)
}

/// Reads at the descriptor's offset; 0 means the end.
pub fn read(fd: i32, buf: &mut [u8]) -> Result<usize> {
    sys::pread(fd, buf, -1)
}

/// Reads at `offset`, leaving the descriptor's own alone.
pub fn pread(fd: i32, buf: &mut [u8], offset: u64) -> Result<usize> {
    sys::pread(fd, buf, offset as i64)
}

/// Writes at the descriptor's offset; says how much was taken.
pub fn write(fd: i32, buf: &[u8]) -> Result<usize> {
    sys::pwrite(fd, buf, -1)
}

/// Writes at `offset`, leaving the descriptor's own alone.
pub fn pwrite(fd: i32, buf: &[u8], offset: u64) -> Result<usize> {
    sys::pwrite(fd, buf, offset as i64)
}

/// Writes everything. A short write is an error in Plan 9, and no second try is made.
pub fn write_all(fd: i32, buf: &[u8]) -> Result<()> {
    match write(fd, buf)? {
        n if n == buf.len() => Ok(()),
        n => Err(crate::error!("short write: {n} of {} bytes", buf.len())),
    }
}

/// Reads until `buf` is full or the file ends.
pub fn readn(fd: i32, buf: &mut [u8]) -> Result<usize> {
    let mut have = 0;
    while have < buf.len() {
        match read(fd, &mut buf[have..])? {
            0 => break,
            n => have += n,
        }
    }
    Ok(have)
}

/// Reads what is left of a file.
pub fn read_all(fd: i32) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    read_into(fd, &mut out)?;
    Ok(out)
}

/// Puts what is left of a file behind what is in `out`. Memory is used as far as there is something to read.
pub fn read_into(fd: i32, out: &mut Vec<u8>) -> Result<()> {
    let mut piece = 8192;
    loop {
        let have = out.len();
        out.resize(have + piece, 0);
        let read = read(fd, &mut out[have..]);
        out.truncate(have + read.as_ref().map_or(0, |n| *n.min(&piece)));
        match read? {
            0 => return Ok(()),
            // There may be much more.
            n if n == piece => piece = (2 * piece).min(PIECE),
            _ => {}
        }
    }
}

/// Moves the offset: `whence` 0 from the beginning, 1 from here, 2 from the end. Returns the new one.
pub fn seek(fd: i32, offset: i64, whence: i32) -> Result<u64> {
    sys::seek(fd, offset, whence)
}

/// A second descriptor for `old`: `new`, or the lowest free one when `new` is -1.
pub fn dup(old: i32, new: i32) -> Result<i32> {
    sys::dup(old, new)
}

/// A pipe; both ends read and write.
pub fn pipe() -> Result<[i32; 2]> {
    sys::pipe()
}

/// What is known of the file `name`.
pub fn stat(name: &str) -> Result<Dir> {
    decode(|buf| sys::stat(name, buf))
}

/// What is known of an open file.
pub fn fstat(fd: i32) -> Result<Dir> {
    decode(|buf| sys::fstat(fd, buf))
}

/// Changes what `dir` does not leave untouched (see [`Dir::untouched`]).
pub fn wstat(name: &str, dir: &Dir) -> Result<()> {
    sys::wstat(name, &dir.to_bytes())
}

/// [`wstat`] for an open file.
pub fn fwstat(fd: i32, dir: &Dir) -> Result<()> {
    sys::fwstat(fd, &dir.to_bytes())
}

/// Hands on what is left to read in an open directory, one after the other, until `f` returns false: for who need not
/// have all of a large directory in memory.
///
/// # Errors
/// Those of reading, of malformed records, and of `f`.
pub fn each_dir(fd: i32, mut f: impl FnMut(Dir) -> Result<bool>) -> Result<()> {
    // One record may be as large as STATMAX; less than that is fewer pages to touch and nearly always enough.
    let mut buf = alloc::vec![0; abi::STATMAX + 2];
    loop {
        let n = read(fd, &mut buf)?;
        let mut rest = buf.get(..n).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let (dir, size) = Dir::parse(rest)?;
            if !f(dir)? {
                return Ok(());
            }
            rest = rest.get(size..).unwrap_or(&[]);
        }
    }
}

/// [`each_dir`] of the directory `name`.
///
/// # Errors
/// As there, and those of opening it.
pub fn each_in(name: &str, f: impl FnMut(Dir) -> Result<bool>) -> Result<()> {
    let fd = open(name, OREAD)?;
    let result = each_dir(fd, f);
    let _ = close(fd);
    result
}

/// Everything that is left to read in an open directory.
pub fn dirread(fd: i32) -> Result<Vec<Dir>> {
    let mut out = Vec::new();
    each_dir(fd, |dir| {
        out.push(dir);
        Ok(true)
    })?;
    Ok(out)
}

/// The contents of the directory `name`.
pub fn readdir(name: &str) -> Result<Vec<Dir>> {
    let fd = open(name, OREAD)?;
    let dirs = dirread(fd);
    let _ = close(fd);
    dirs
}

/// Removes a file or an empty directory.
pub fn remove(name: &str) -> Result<()> {
    sys::remove(name)
}

/// Changes the current directory.
pub fn chdir(name: &str) -> Result<()> {
    sys::chdir(name)
}

/// The name a descriptor was opened by.
pub fn fd2path(fd: i32) -> Result<String> {
    sys::fd2path(fd)
}

/// Whether a descriptor is of a console, this machine's or another's.
pub fn is_console(fd: i32) -> bool {
    fd2path(fd).is_ok_and(|name| name == "#c/cons" || name.ends_with("/dev/cons"))
}

/// Rows and columns of the window in which the console is seen (cons(3)), if somebody has told them.
pub fn window() -> Option<(usize, usize)> {
    parse_window(&crate::file::read_string("/dev/conssize").ok()?)
}

fn parse_window(text: &str) -> Option<(usize, usize)> {
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse::<usize>().ok().filter(|n| *n > 0));
    Some((numbers.next()??, numbers.next()??))
}

/// The name of the current directory.
pub fn getwd() -> Result<String> {
    let fd = open(".", OREAD)?;
    let name = fd2path(fd);
    let _ = close(fd);
    name
}

fn decode(call: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Dir> {
    let mut buf = alloc::vec![0; 512];
    for _ in 0..4 {
        let n = call(&mut buf)?;
        // A record that does not fit is only announced: its size, two bytes.
        if n > 2 {
            return Ok(Dir::parse(buf.get(..n).unwrap_or(&[]))?.0);
        }
        let announced = buf.first_chunk().map_or(0, |size| usize::from(u16::from_le_bytes(*size)));
        buf.resize(announced + 2 + 64, 0);
    }
    Err(Error::from(abi::error::ESHORTSTAT))
}

#[cfg(test)]
mod tests {
    use super::parse_window;

    #[test]
    fn a_window_that_nobody_has_told_is_none() {
        assert_eq!(parse_window("         24          80 "), Some((24, 80)));
        for text in ["          0           0 ", "24", "", "24 x", "0 80", "-1 80"] {
            assert_eq!(parse_window(text), None, "{text}");
        }
    }
}
