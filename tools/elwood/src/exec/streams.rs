//! The program's standard files on the host's side: bytes between this process's descriptors and the sockets that
//! QEMU has as character devices.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use abi::job::{PIECE_MAX, piece};
use anyhow::Result;
use rustix::fs::fstat;
use rustix::io::{FdFlags, fcntl_setfd};

/// A pair of connected sockets: ours, and one that a child inherits.
pub fn pair() -> Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    inherit(theirs.as_fd())?;
    Ok((ours, theirs))
}

/// Has children inherit a descriptor.
pub fn inherit(fd: BorrowedFd<'_>) -> Result<()> {
    Ok(fcntl_setfd(fd, FdFlags::empty())?)
}

/// A file of its own for one of the standard descriptors: without the locks and buffers of `std::io`.
pub fn own(fd: BorrowedFd<'_>) -> Result<File> {
    Ok(File::from(fd.try_clone_to_owned()?))
}

/// Whether the two are one file, so that the order of what is written to them can be kept.
pub fn same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    match (fstat(a), fstat(b)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino, a.st_rdev) == (b.st_dev, b.st_ino, b.st_rdev),
        _ => false,
    }
}

/// Why [`show`] ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The machine has ended.
    Ended,
    /// Nobody reads what the program writes.
    NoReader,
}

/// Moves all that the machine writes to `to`.
pub fn show(from: &mut UnixStream, to: &mut impl Write) -> End {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return End::Ended,
            Ok(n) => {
                if to.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
                    // The guest's port hears of it.
                    let _ = from.shutdown(Shutdown::Both);
                    return End::NoReader;
                }
            }
        }
    }
}

/// Sends what `from` has to the machine, in pieces; the last of them says that it was.
pub fn feed(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = vec![0; PIECE_MAX];
    loop {
        let n = match from.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Ok(n) => n,
            // What cannot be read is at its end.
            Err(_) => 0,
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        let sent = to.write_all(&[&piece(bytes), bytes].concat());
        if n == 0 || sent.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_has_an_end() {
        let mut sent = Vec::new();
        feed(&mut &b"two words\xff"[..], &mut sent);
        assert_eq!(sent, b"\x0a\0two words\xff\0\0");
        let long = vec![7; PIECE_MAX + 1];
        let mut sent = Vec::new();
        feed(&mut &long[..], &mut sent);
        assert_eq!(sent.len(), long.len() + 3 * 2);
    }

    #[test]
    fn output_ends_when_nobody_reads() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"abc").unwrap();
        let mut full = &mut [0; 2][..];
        assert_eq!(show(&mut a, &mut full), End::NoReader);
        assert!(b.write_all(b"more").is_err());
        let (mut a, b) = UnixStream::pair().unwrap();
        drop(b);
        assert_eq!(show(&mut a, &mut Vec::new()), End::Ended);
    }
}
