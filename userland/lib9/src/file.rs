//! A descriptor that closes itself, and whole files in one call.
//!
//! It is none of the first three: in a program that was started without one of these (`>[2=]`), a file must not become
//! what messages or output go to.

use alloc::string::String;
use alloc::vec::Vec;

use abi::{Dir, OREAD, OTRUNC, OWRITE};

use crate::{Result, fd};

/// An open file; closed when dropped.
#[derive(Debug)]
pub struct File(i32);

impl File {
    /// Opens `name`.
    ///
    /// # Errors
    /// The kernel's, as for every call here.
    pub fn open(name: &str, mode: u32) -> Result<File> {
        fd::open(name, mode).and_then(above_standard).map(File)
    }

    /// Creates `name`, or truncates it if it is there.
    pub fn create(name: &str, mode: u32, perm: u32) -> Result<File> {
        fd::create(name, mode, perm).and_then(above_standard).map(File)
    }

    /// Takes over an open descriptor.
    pub fn from_fd(fd: i32) -> File {
        File(fd)
    }

    /// The descriptor, still owned by the file.
    pub fn fd(&self) -> i32 {
        self.0
    }

    /// Gives the descriptor away, open.
    pub fn into_fd(self) -> i32 {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }

    /// Reads at the file's offset; 0 means the end.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        fd::read(self.0, buf)
    }

    /// Reads at `offset`.
    pub fn pread(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        fd::pread(self.0, buf, offset)
    }

    /// Writes everything or fails.
    pub fn write_all(&self, buf: &[u8]) -> Result<()> {
        fd::write_all(self.0, buf)
    }

    /// Writes at `offset`.
    pub fn pwrite(&self, buf: &[u8], offset: u64) -> Result<usize> {
        fd::pwrite(self.0, buf, offset)
    }

    /// Reads what is left.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        fd::read_all(self.0)
    }

    /// What is known of the file.
    pub fn stat(&self) -> Result<Dir> {
        fd::fstat(self.0)
    }

    /// The contents of a directory.
    pub fn dirread(&self) -> Result<Vec<Dir>> {
        fd::dirread(self.0)
    }

    /// Moves the offset, as [`fd::seek`].
    pub fn seek(&self, offset: i64, whence: i32) -> Result<u64> {
        fd::seek(self.0, offset, whence)
    }
}

/// Another number for a descriptor that has got one of 0, 1 and 2.
fn above_standard(fd: i32) -> Result<i32> {
    if fd > 2 {
        return Ok(fd);
    }
    let higher = fd::dup(fd, -1).and_then(above_standard);
    let _ = fd::close(fd);
    higher
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fd::close(self.0);
    }
}

/// The contents of the file `name`.
pub fn read(name: &str) -> Result<Vec<u8>> {
    File::open(name, OREAD)?.read_all()
}

/// The contents of the file `name` as text; what is not UTF-8 is replaced.
pub fn read_string(name: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&read(name)?).into_owned())
}

/// Creates or truncates `name` (0666) and writes `bytes` to it.
pub fn write(name: &str, bytes: &[u8]) -> Result<()> {
    File::create(name, OWRITE | OTRUNC, 0o666)?.write_all(bytes)
}

/// Writes a control message to a file that is there.
pub fn control(name: &str, message: &str) -> Result<()> {
    File::open(name, OWRITE)?.write_all(message.as_bytes())
}
