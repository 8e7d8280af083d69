//! The error texts that programs see and compare, as Plan 9 spells them.
//!
//! A failure while walking a path is reported with the name in front,
//! `'name' file does not exist`: programs check that the text *ends* with these.

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// Every text above, for tests.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

errors! {
    /// A union may not mix files and directories.
    EMOUNT = "inconsistent mount";
    /// `unmount` of something that is not mounted.
    EUNMOUNT = "not mounted";
    /// Remove or rename of a mount point.
    EISMTPT = "is a mount point";
    /// `unmount` of something else than what is mounted there.
    EUNION = "not in union";
    /// The server answered nonsense.
    EMOUNTRPC = "mount rpc error";
    /// The device is gone.
    ESHUTDOWN = "device shut down";
    /// No element of the union allows creation.
    ENOCREATE = "mounted directory forbids creation";
    /// No such file.
    ENONEXIST = "file does not exist";
    /// Exclusive creation of a file that is there.
    EEXIST = "file already exists";
    /// `#x` without such a device.
    EBADSHARP = "unknown device in # filename";
    /// A path goes through a plain file.
    ENOTDIR = "not a directory";
    /// Write to, or exec of, a directory.
    EISDIR = "file is a directory";
    /// A name holds a slash or a control character.
    EBADCHAR = "bad character in file name";
    /// A name is malformed.
    EFILENAME = "file name syntax";
    /// Permission.
    EPERM = "permission denied";
    /// Reading a descriptor that is open for writing, and the like.
    EBADUSEFD = "inappropriate use of fd";
    /// A system call argument is wrong.
    EBADARG = "bad arg in system call";
    /// A file of exclusive use is open already; programs look for these words.
    EEXCL = "exclusive use file already open";
    /// Exclusive use.
    EINUSE = "device or object already in use";
    /// The device failed.
    EIO = "i/o error";
    /// A partition that is none, or lies beyond the disk.
    ESECTORS = "no such sectors";
    /// A count over the limit.
    ETOOBIG = "read or write too large";
    /// A count under the minimum.
    ETOOSMALL = "read or write too small";
    /// The other end is gone.
    EHUNGUP = "i/o on hungup channel";
    /// A `ctl` message is wrong, or its process is.
    EBADCTL = "bad process or channel control request";
    /// Nothing free.
    ENODEV = "no free devices";
    /// The process is gone.
    EPROCDIED = "process exited";
    /// `await` without children.
    ENOCHILD = "no living children";
    /// Paging failed.
    EIOLOAD = "i/o error in demand load";
    /// No virtual memory left.
    ENOVMEM = "virtual memory allocation failed";
    /// A number that is no open descriptor.
    EBADFD = "fd out of range or not open";
    /// The descriptor table is full.
    ENOFD = "no free file descriptors";
    /// Seek on a pipe.
    EISSTREAM = "seek on a stream";
    /// Not an executable.
    EBADEXEC = "exec header invalid";
    /// A note came.
    EINTR = "interrupted";
    /// No kernel memory left.
    ENOMEM = "kernel allocate failed";
    /// Segments would overlap.
    ESOVERLAP = "segments overlap";
    /// A directory read with too small a buffer.
    ESHORT = "i/o count too small";
    /// `attach` does not know the name.
    EBADSPEC = "bad attach specifier";
    /// The process has no registers to show.
    ENOREG = "process has no saved registers";
    /// `RFNOMNT`.
    ENOATTACH = "mount/attach disallowed";
    /// `stat` with a buffer of less than two bytes.
    ESHORTSTAT = "stat buffer too small";
    /// A stat record that cannot be read.
    EBADSTAT = "malformed stat buffer";
    /// A seek before the beginning.
    ENEGOFF = "negative i/o offset";
    /// A control message with too few or too many words.
    ECMDARGS = "wrong #args in control message";
    /// A read of a directory at an offset it was not left at.
    EDIRSEEK = "seek in directory";
    /// A name over the limit.
    ETOOLONG = "name too long";
    /// A name of no bytes.
    ENONAME = "empty file name";
    /// `create` of `name/`.
    ENOTDMDIR = "create without DMDIR";
    /// `exec` of a directory.
    EEXECDIR = "cannot exec directory";
    /// The process table is full.
    ENOPROC = "no procs";
    /// Removal of a directory that holds files.
    ENOTEMPTY = "directory not empty";
    /// No room on the device.
    EFULL = "file system full";
    /// The obsolete wstat calls.
    EOLDWSTAT = "old wstat system call - recompile";
}
