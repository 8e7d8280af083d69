//! System call numbers. The number is in RBP, argument `i` at `RSP + 8 + 8*i`, the result in RAX.

macro_rules! calls {
    ($($name:ident = $number:literal;)*) => {
        $(#[doc = concat!("Number of `", stringify!($name), "`.")] pub const $name: u64 = $number;)*
        /// Name of a system call, for `/proc/n/status` and traces.
        pub fn name(number: u64) -> Option<&'static str> {
            match number { $($number => Some(stringify!($name)),)* _ => None }
        }
    };
}

/// Whether a system call has arguments: for the few that have none, and are made often, nobody looks for them.
#[inline]
pub const fn has_arguments(number: u64) -> bool {
    !matches!(number, SYSR1 | NSEC)
}

calls! {
    SYSR1 = 0; ERRSTR_OLD = 1; BIND = 2; CHDIR = 3; CLOSE = 4; DUP = 5; ALARM = 6; EXEC = 7;
    EXITS = 8; FSESSION = 9; FAUTH = 10; FSTAT_OLD = 11; SEGBRK = 12; MOUNT_OLD = 13; OPEN = 14;
    READ_OLD = 15; OSEEK = 16; SLEEP = 17; STAT_OLD = 18; RFORK = 19; WRITE_OLD = 20; PIPE = 21;
    CREATE = 22; FD2PATH = 23; BRK = 24; REMOVE = 25; WSTAT_OLD = 26; FWSTAT_OLD = 27; NOTIFY = 28;
    NOTED = 29; SEGATTACH = 30; SEGDETACH = 31; SEGFREE = 32; SEGFLUSH = 33; RENDEZVOUS = 34;
    UNMOUNT = 35; WAIT_OLD = 36; SEMACQUIRE = 37; SEMRELEASE = 38; SEEK = 39; FVERSION = 40;
    ERRSTR = 41; STAT = 42; FSTAT = 43; WSTAT = 44; FWSTAT = 45; MOUNT = 46; AWAIT = 47;
    PREAD = 50; PWRITE = 51; TSEMACQUIRE = 52; NSEC = 53;
    // Harvey's addition, kept: mount with a sixth argument, the letter of the mount device (a rune).
    MOUNTDEV = 54;
}
