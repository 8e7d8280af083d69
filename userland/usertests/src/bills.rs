//! Who pays for memory: while the user none takes all that it can of something, the machine's owner goes on working and
//! kills it, and then all bills are as they were.

use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::sys::probe::{self, PAGE_SIZE};
use lib9::{Error, File, Rfork, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    once("bill.pages", || beside(pages)),
    once("bill.segments", || beside(segments)),
    once("bill.pipes", || beside(pipes)),
    once("bill.descriptors", || beside(descriptors)),
    once("bill.environment", || beside(environment)),
    once("bill.files", || beside(files)),
    once("bill.posted", || beside(posted)),
    once("bill.notes", || beside(noted)),
    once("bill.mounts", || beside(mounts)),
    once("bill.processes", || beside(processes)),
    once("bill.dead", || beside(dead)),
    test("bill.shown", shown),
];

/// How long none takes things, in ns, and how often the owner does something meanwhile and afterwards.
const TAKE_NS: i64 = 1_500_000_000;
const LOOKS: u32 = 20;
const LOOK_MS: u32 = 100;
/// Bytes that may stay for a while, for each processor: the page tables that it loaded last and the stack of who ended
/// there last; and a node of a table that all share is on the bill of whoever needed it first.
const SHARED: u64 = 64 << 10;
/// What all that none makes is called, so that it can be taken away again.
const NAME: &str = "usertests.bill";

/// The same for all processors.
fn shared() -> Result<u64, String> {
    Ok(file::read_string("#c/sysstat")?.lines().count() as u64 * SHARED)
}

/// Bytes on the bill of all who are not the owner.
fn others() -> Result<u64, String> {
    let text = file::read_string("#c/swap")?;
    let line = text.lines().find(|l| l.ends_with(" bill others")).ok_or("no bill of others")?;
    line.split(' ').next().and_then(|n| n.parse().ok()).ok_or(String::from("no number"))
}

/// None takes things by `take`, which is told how many it has, until it is refused or time is up.
fn beside(take: fn(u64) -> Result<(), Error>) -> Outcome {
    let before = others()?;
    let flags = Rfork::FDG | Rfork::NAMEG | Rfork::ENVG | Rfork::NOTEG;
    let [ours, its] = fd::pipe()?;
    let pid = start_with(flags, || {
        quiet()?;
        file::control("#c/user", "none")?;
        // It may be dead of it before anybody has looked, so there is a look at the first.
        let mut more = take(0).is_ok();
        fd::write_all(its, b"x")?;
        fd::read(its, &mut [0])?;
        let end = proc::nsec() + TAKE_NS;
        let mut n = 1;
        while more && proc::nsec() < end {
            more = take(n).is_ok();
            n += 1;
        }
        proc::sleep(600_000)?;
        Ok(())
    })?;
    fd::close(its)?;
    check(fd::read(ours, &mut [0])? == 1, "nothing could be taken")?;
    let mut most = before.max(others()?);
    fd::write_all(ours, b"x")?;
    fd::close(ours)?;
    for _ in 0..LOOKS {
        child(|| check(fd::readdir("/proc")?.len() > 1, "/proc is empty"))?;
        proc_file(pid, "status")
            .or_else(|e| if e.is(abi::error::ENONEXIST) { Ok(String::new()) } else { Err(e) })?;
        most = most.max(others()?);
        proc::sleep(LOOK_MS)?;
    }
    // Its children are in its group.
    let _ = file::control(&format!("/proc/{pid}/notepg"), "kill");
    release(pid);
    wait(pid)?;
    clean()?;
    check(most > before, "nothing was on the bill")?;
    let (mut now, may_stay) = (most, shared()?);
    for _ in 0..500 {
        now = others()?;
        if now <= before + may_stay {
            return Ok(());
        }
        child(|| Ok(()))?;
        proc::sleep(10)?;
    }
    Err(format!("{before} bytes were on the bill, then {most}, and {now} stay"))
}

/// Takes away what outlives none.
fn clean() -> Outcome {
    for folder in ["/srv", "/tmp"] {
        for dir in fd::readdir(folder)?.iter().filter(|d| d.name.starts_with(NAME)) {
            fd::remove(&format!("{folder}/{}", dir.name))?;
        }
    }
    Ok(())
}

fn pages(n: u64) -> Result<(), Error> {
    const PIECE: u64 = 256 * PAGE_SIZE;
    if n.is_multiple_of(256) {
        attach(0, "memory", 0x10_0000_0000 + n / 256 * 2 * PIECE, PIECE)?;
    }
    probe::poke(0x10_0000_0000 + n / 256 * 2 * PIECE + n % 256 * PAGE_SIZE, b"x");
    Ok(())
}

fn segments(n: u64) -> Result<(), Error> {
    let at = attach(0, "shared", 0x10_0000_0000 + n * 16 * PAGE_SIZE, PAGE_SIZE)?;
    probe::poke(at, b"x");
    Ok(())
}

fn pipes(_: u64) -> Result<(), Error> {
    let [_, w] = fd::pipe()?;
    fd::write_all(w, &[7; 16 << 10])
}

fn descriptors(_: u64) -> Result<(), Error> {
    fd::open("/dev/null", abi::OREAD).map(drop)
}

fn environment(n: u64) -> Result<(), Error> {
    File::create(&format!("#e/{NAME}.{n}"), abi::OWRITE, 0o666)?.write_all(&[b'x'; 2000])
}

fn files(n: u64) -> Result<(), Error> {
    File::create(&format!("/tmp/{NAME}.{n}"), abi::OWRITE, 0o666)?.write_all(&[b'x'; 20_000])
}

fn posted(n: u64) -> Result<(), Error> {
    let [r, w] = fd::pipe()?;
    fd::write_all(w, &[7; 1000])?;
    let post = File::create(&format!("/srv/{NAME}.{n}"), abi::OWRITE, 0o666)?;
    post.write_all(format!("{r}").as_bytes())?;
    fd::close(r)?;
    fd::close(w)
}

/// Notes that nobody takes: the child sleeps in the kernel, stopped.
fn noted(_: u64) -> Result<(), Error> {
    let child = start_with(Rfork::FDG | Rfork::NOWAIT, || Ok(proc::sleep(600_000)?))?;
    ctl(child, "stop")?;
    (0..100).for_each(|_| {
        drop(proc::postnote(child, "a note that is not short, and that nobody will ever take"))
    });
    Ok(())
}

fn mounts(n: u64) -> Result<(), Error> {
    let flag = if n.is_multiple_of(2) { abi::MAFTER } else { abi::MBEFORE };
    lib9::ns::bind("/bin", "/tmp", flag).map(drop)
}

fn processes(_: u64) -> Result<(), Error> {
    start_with(Rfork::NOWAIT, || Ok(proc::sleep(600_000)?)).map(drop)
}

/// Records of children that nobody asks for.
fn dead(_: u64) -> Result<(), Error> {
    start_with(Rfork::FDG, || {
        Err(String::from("a status that is as long as its kind is allowed to be, or nearly so"))
    })
    .map(drop)
}

/// What a process takes is in its status, and comes back.
fn shown() -> Outcome {
    let kilobytes = || -> Result<u64, String> {
        let text = proc_file(proc::getpid(), "status")?;
        let column = text.get(68 + 6 * 12..68 + 7 * 12).ok_or("a short status")?;
        column.trim().parse().map_err(|_| String::from("no number"))
    };
    let before = kilobytes()?;
    let [r, w] = fd::pipe()?;
    (0..4).try_for_each(|_| fd::write_all(w, &[7; 16 << 10]))?;
    let full = kilobytes()?;
    check(full >= before + 60, &format!("{before} KB, {full} with a full pipe"))?;
    fd::close(r)?;
    fd::close(w)?;
    let after = kilobytes()?;
    check(after + 50 < full, &format!("{full} KB with a full pipe, {after} without"))?;
    call(no::BRK, &[0]).map(drop)?;
    Ok(())
}
