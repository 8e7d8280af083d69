//! Addresses that are none: each call with each of its pointers, wherever a pointer can be wrong.

use abi::syscall as no;
use lib9::Error;
use lib9::alloc::format;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("pointers.read", read_by_the_kernel),
    test("pointers.written", written_by_the_kernel),
    test("pointers.strings", strings),
    test("pointers.read-only", read_only),
    test("pointers.sizes", sizes),
    test("pointers.partly", partly),
    test("pointers.argv", argv),
    test("pointers.unaligned", unaligned),
    test("pointers.suicide", suicide),
];

/// Stands for the pointer that is wrong.
const P: u64 = 0xbad0_bad0_bad0_bad0;

/// Addresses without memory: low, in a gap, not canonical, the kernel's, at the very end.
const WRONG: &[u64] = &[
    8,
    0x1f_fff8,
    NOWHERE - PAGE_SIZE,
    NOWHERE + 64 * PAGE_SIZE,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0xffff_7fff_ffff_fff8,
    0xffff_8000_0000_0000,
    0xffff_ffff_8000_0000,
    u64::MAX - 7,
    u64::MAX - 15,
];

/// A call with a wrong pointer in each of its places, and what it is when that place is 0.
struct Case {
    number: u64,
    args: [u64; 5],
    nil_is_wrong: bool,
}

const fn case(number: u64, args: [u64; 5]) -> Case {
    Case { number, args, nil_is_wrong: true }
}

const fn nil(number: u64, args: [u64; 5]) -> Case {
    Case { number, args, nil_is_wrong: false }
}

/// Where the name of a file is.
const NAME: u64 = NOWHERE;
/// Where there is room.
const ROOM: u64 = NOWHERE + PAGE_SIZE;
const ZERO: u64 = 10;
const NULL: u64 = 11;

fn setup() -> Outcome {
    arena()?;
    put(NAME, "/dev/null");
    for (name, mode, to) in [("/dev/zero", abi::OREAD, ZERO), ("/dev/null", abi::OWRITE, NULL)] {
        let fd = lib9::fd::open(name, mode)?;
        lib9::fd::dup(fd, to as i32)?;
        lib9::fd::close(fd)?;
    }
    notes::on(Then::Noted(abi::NCONT))?;
    Ok(())
}

/// The call fails as it should, and the note says so.
fn wrong(number: u64, args: &[u64]) -> Outcome {
    let before = notes::count();
    let what = format!("{} {args:x?}", no::name(number).unwrap_or("?"));
    fails(call(number, args), abi::error::EBADARG, &what)?;
    same(notes::count(), before + 1, &format!("notes after {what}"))?;
    let (text, ureg) = notes::last();
    same(text, format!("sys: bad address in syscall pc={:#x}", ureg.pc), &what)
}

fn each(cases: &[Case], more: &[u64]) -> Outcome {
    setup()?;
    for c in cases {
        let nil = if c.nil_is_wrong { &[0][..] } else { &[] };
        for &p in WRONG.iter().chain(nil).chain(more) {
            let args = c.args.map(|a| if a == P { p } else { a });
            wrong(c.number, &args)?;
        }
    }
    Ok(())
}

fn read_by_the_kernel() -> Outcome {
    each(
        &[
            case(no::PWRITE, [NULL, P, 16, u64::MAX, 0]),
            case(no::PWRITE, [NULL, P, 16, 0, 0]),
            case(no::WRITE_OLD, [NULL, P, 16, 0, 0]),
            case(no::WSTAT, [NAME, P, 60, 0, 0]),
            case(no::FWSTAT, [NULL, P, 60, 0, 0]),
            nil(no::NOTIFY, [P, 0, 0, 0, 0]),
        ],
        &[],
    )
}

fn written_by_the_kernel() -> Outcome {
    let text = probe::constant();
    each(
        &[
            case(no::PREAD, [ZERO, P, 16, u64::MAX, 0]),
            case(no::PREAD, [ZERO, P, 16, 0, 0]),
            case(no::READ_OLD, [ZERO, P, 16, 0, 0]),
            case(no::STAT, [NAME, P, 200, 0, 0]),
            case(no::STAT, [NAME, P, 2, 0, 0]),
            case(no::FSTAT, [ZERO, P, 200, 0, 0]),
            case(no::STAT_OLD, [NAME, P, 0, 0, 0]),
            case(no::FSTAT_OLD, [ZERO, P, 0, 0, 0]),
            case(no::FD2PATH, [ZERO, P, 100, 0, 0]),
            case(no::ERRSTR, [P, 100, 0, 0, 0]),
            case(no::ERRSTR_OLD, [P, 0, 0, 0, 0]),
            case(no::FSESSION, [ZERO, P, 100, 0, 0]),
            case(no::PIPE, [P, 0, 0, 0, 0]),
            case(no::AWAIT, [P, 100, 0, 0, 0]),
            nil(no::WAIT_OLD, [P, 0, 0, 0, 0]),
            case(no::SEEK, [P, ZERO, 0, 0, 0]),
            case(no::SEMACQUIRE, [P, 0, 0, 0, 0]),
            case(no::TSEMACQUIRE, [P, 1, 0, 0, 0]),
            case(no::SEMRELEASE, [P, 1, 0, 0, 0]),
        ],
        &[text & !7],
    )
}

fn strings() -> Outcome {
    // A string without an end: at the end of memory.
    let end = NOWHERE + 4 * PAGE_SIZE - 4;
    setup()?;
    probe::poke(end, b"abcd");
    each_string(end)
}

fn each_string(end: u64) -> Outcome {
    let cases = [
        case(no::OPEN, [P, 0, 0, 0, 0]),
        case(no::CREATE, [P, 1, 0o666, 0, 0]),
        case(no::REMOVE, [P, 0, 0, 0, 0]),
        case(no::CHDIR, [P, 0, 0, 0, 0]),
        case(no::STAT, [P, ROOM, 200, 0, 0]),
        case(no::STAT_OLD, [P, ROOM, 0, 0, 0]),
        case(no::WSTAT, [P, ROOM, 60, 0, 0]),
        case(no::BIND, [P, NAME, 0, 0, 0]),
        case(no::BIND, [NAME, P, 0, 0, 0]),
        nil(no::UNMOUNT, [P, NAME, 0, 0, 0]),
        case(no::UNMOUNT, [NAME, P, 0, 0, 0]),
        case(no::MOUNT, [ZERO, u64::MAX, P, 0, NAME]),
        nil(no::MOUNT, [ZERO, u64::MAX, NAME, 0, P]),
        case(no::MOUNT_OLD, [ZERO, P, 0, NAME, 0]),
        nil(no::FVERSION, [ZERO, 8192, P, 20, 0]),
        case(no::FAUTH, [ZERO, P, 0, 0, 0]),
        case(no::SEGATTACH, [0, P, 0, 4096, 0]),
        case(no::EXEC, [P, ROOM, 0, 0, 0]),
        case(no::EXEC, [NAME, P, 0, 0, 0]),
    ];
    for c in &cases {
        let nil = if c.nil_is_wrong { &[0][..] } else { &[] };
        for &p in WRONG.iter().chain(nil).chain(&[end]) {
            let args = c.args.map(|a| if a == P { p } else { a });
            wrong(c.number, &args)?;
        }
    }
    Ok(())
}

/// Constants and a read-only segment are not written for anybody; but strings may be there.
fn read_only() -> Outcome {
    setup()?;
    let ro = attach(abi::SG_RONLY, "memory", NOWHERE + 16 * PAGE_SIZE, PAGE_SIZE)?;
    for at in [probe::constant(), ro] {
        wrong(no::PREAD, &[ZERO, at, 8, u64::MAX])?;
        wrong(no::FSTAT, &[ZERO, at, 200])?;
        wrong(no::PIPE, &[at & !7])?;
    }
    fails(
        call(no::OPEN, &[probe::constant(), 0]),
        "'/proc/nosuchfile' file does not exist",
        "a constant name",
    )?;
    same(int(no::PWRITE, &[NULL, ro, 100, u64::MAX])?, 100, "writing out of it")
}

/// Sizes that are negative, that wrap, that nobody has.
fn sizes() -> Outcome {
    setup()?;
    let minus = u64::from(u32::MAX);
    fails(call(no::PREAD, &[ZERO, ROOM, minus, 0]), abi::error::EBADARG, "read -1")?;
    fails(call(no::PWRITE, &[NULL, ROOM, minus, 0]), abi::error::EBADARG, "write -1")?;
    wrong(no::PREAD, &[ZERO, ROOM, 0x7fff_ffff, 0])?;
    wrong(no::PWRITE, &[NULL, ROOM, 0x7fff_ffff, 0])?;
    // Large room is no harm where little is written.
    check(int(no::FSTAT, &[ZERO, ROOM, minus])? > 49, "fstat with much room")?;
    same(int(no::FD2PATH, &[ZERO, ROOM, minus])?, 0, "fd2path with much room")?;
    fails(call(no::FD2PATH, &[ZERO, ROOM, 0]), abi::error::EBADARG, "fd2path without room")?;
    fails(call(no::WSTAT, &[NAME, ROOM, minus]), abi::error::EBADSTAT, "wstat of 4 GiB")?;
    fails(call(no::WSTAT, &[NAME, ROOM, 0]), abi::error::EBADSTAT, "wstat of nothing")?;
    // Nothing is read or written, so there is no address to be wrong.
    same(int(no::PREAD, &[ZERO, 8, 0, 0])?, 0, "reading nothing")?;
    same(int(no::PWRITE, &[NULL, 8, 0, 0])?, 0, "writing nothing")?;
    fails(call(no::PREAD, &[ZERO, ROOM, 8, u64::MAX - 1]), abi::error::ENEGOFF, "reading at -2")?;
    fails(call(no::PWRITE, &[NULL, ROOM, 8, 1 << 63]), abi::error::ENEGOFF, "writing far below 0")
}

/// A buffer that ends in a gap: nothing is half done that can be seen.
fn partly() -> Outcome {
    setup()?;
    let end = NOWHERE + 4 * PAGE_SIZE;
    probe::poke(end - 8, b"untouch.");
    wrong(no::PREAD, &[ZERO, end - 8, 16, 0])?;
    same(probe::peek(end - 8, 8), b"untouch.".to_vec(), "what was there before the gap")?;
    wrong(no::FSTAT, &[ZERO, end - 20, 200])?;
    wrong(no::PIPE, &[end - 4])?;
    let fds = lib9::fd::readdir("/fd")?.len();
    wrong(no::PIPE, &[8])?;
    same(lib9::fd::readdir("/fd")?.len(), fds, "descriptors after a pipe that failed")?;
    // A file is not moved by a seek that cannot say where to.
    let folder = Folder::new()?;
    let name = folder.file("f", 0o666, b"0123456789")?;
    let f = lib9::File::open(&name, abi::OREAD)?;
    wrong(no::SEEK, &[8, f.fd() as u64, 5, 0])?;
    let mut byte = [0];
    f.read(&mut byte)?;
    same(byte, *b"0", "the first byte")
}

/// The list of arguments, and each of them.
fn argv() -> Outcome {
    setup()?;
    put(NAME, "/bin/echo");
    let list = |pointers: &[u64]| -> u64 {
        for (i, p) in pointers.iter().enumerate() {
            probe::poke(ROOM + 8 * i as u64, &p.to_le_bytes());
        }
        ROOM
    };
    for &p in WRONG {
        wrong(no::EXEC, &[NAME, list(&[p, 0])])?;
        wrong(no::EXEC, &[NAME, list(&[NAME, p, 0])])?;
    }
    fails(call(no::EXEC, &[NAME, list(&[0])]), abi::error::EBADARG, "no arguments at all")?;
    // A list without an end.
    let end = NOWHERE + 4 * PAGE_SIZE - 8;
    probe::poke(end, &NAME.to_le_bytes());
    wrong(no::EXEC, &[NAME, end])
}

/// Nothing has to be aligned but semaphores.
fn unaligned() -> Outcome {
    setup()?;
    same(int(no::PIPE, &[ROOM + 1])?, 0, "pipe")?;
    same(int(no::SEEK, &[ROOM + 3, ZERO, 77, 0])?, 0, "seek")?;
    same(word(ROOM + 3), 77, "its result")?;
    // Across the border of two pages.
    same(int(no::SEEK, &[ROOM + PAGE_SIZE - 3, ZERO, 0x0102_0304_0506, 0])?, 0, "seek")?;
    same(word(ROOM + PAGE_SIZE - 3), 0x0102_0304_0506, "its result")?;
    let name = put(ROOM + PAGE_SIZE - 4, "/dev/zero");
    check(int(no::OPEN, &[name, 0])? > 2, "a name in two pages")?;
    probe::poke(ROOM, &1u64.to_le_bytes());
    fails(call(no::SEMACQUIRE, &[ROOM + 1, 0]), abi::error::EBADARG, "semacquire")
}

/// Without a handler a wrong address ends the process, and it says so.
fn suicide() -> Outcome {
    let [r, w] = lib9::fd::pipe()?;
    let pid = start(|| {
        lib9::fd::dup(w, 2)?;
        lib9::fd::close(r)?;
        lib9::fd::close(w)?;
        probe::call(no::CHDIR, &[8]);
        Err("it lives".into())
    })?;
    lib9::fd::close(w)?;
    let said = wait(pid)?;
    check(said.starts_with("sys: bad address in syscall pc=0x"), &said)?;
    let line = lib9::fd::read_all(r).map_err(|e: Error| format!("the pipe: {e}"))?;
    release(pid);
    same(
        lib9::alloc::string::String::from_utf8_lossy(&line).into_owned(),
        format!("usertests {pid}: suicide: {said}\n"),
        "the line",
    )
}
