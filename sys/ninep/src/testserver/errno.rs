//! Linux's error numbers, what its C library calls them, and what a Plan 9 file server says instead.
#![allow(missing_docs)]

macro_rules! errors {
    ($($name:ident = $number:literal $text:literal $plan9:ident;)*) => {
        $(pub const $name: u32 = $number;)*
        pub(super) fn strerror(number: u32) -> &'static str {
            match number { $($number => $text,)* _ => "Unknown error" }
        }
        pub(super) fn plan9(number: u32) -> &'static str {
            match number { $($number => abi::error::$plan9,)* _ => abi::error::EIO }
        }
    };
}
errors! {
    EPERM = 1 "Operation not permitted" EPERM;
    ENOENT = 2 "No such file or directory" ENONEXIST;
    EIO = 5 "Input/output error" EIO;
    ENXIO = 6 "No such device or address" EIO;
    EBADF = 9 "Bad file descriptor" EBADUSEFD;
    EBUSY = 16 "Device or resource busy" EINUSE;
    EEXIST = 17 "File exists" EEXIST;
    ENOTDIR = 20 "Not a directory" ENOTDIR;
    EISDIR = 21 "Is a directory" EISDIR;
    EINVAL = 22 "Invalid argument" EBADARG;
    EROFS = 30 "Read-only file system" EPERM;
    ENAMETOOLONG = 36 "File name too long" ETOOLONG;
    ENOTEMPTY = 39 "Directory not empty" ENOTEMPTY;
    ELOOP = 40 "Too many levels of symbolic links" EPERM;
    EMSGSIZE = 90 "Message too long" ETOOSMALL;
    EOPNOTSUPP = 95 "Operation not supported" EPERM;
}
