//! `/proc`: formats and control messages.

use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};
use lib9::{Dir, File, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("proc.status", status),
    test("proc.fd", fd_file),
    test("proc.args", args),
    test("proc.numbers", numbers),
    test("proc.ctl-wrong", ctl_wrong),
    test("proc.ctl-close", ctl_close),
    test("proc.stop", stop),
    test("proc.regs", regs),
    test("proc.startstop", startstop),
    test("proc.startsyscall", startsyscall),
    test("proc.mem", mem),
    test("proc.note", note),
    test("proc.wait", wait_file),
    test("proc.noteid", noteid),
    test("proc.gone", gone),
    test("proc.names", names),
    test("proc.states", states),
];

fn sleeper() -> Result<i32, String> {
    let pid = start(|| proc::sleep(60_000).map_err(Into::into))?;
    until_state(pid, "Sleep")?;
    Ok(pid)
}

/// Ends a process, whatever was found out.
fn end(pid: i32, outcome: Outcome) -> Outcome {
    ctl(pid, "kill")?;
    wait(pid)?;
    outcome
}

/// 176 bytes: 27, 27 and 11 with a blank behind, nine numbers of 11.
fn status() -> Outcome {
    let pid = sleeper()?;
    let text = proc_file(pid, "status")?;
    end(pid, Ok(()))?;
    same(text.len(), 176, "bytes")?;
    let field = |from: usize, to: usize| text.get(from..to).unwrap_or("");
    same(field(0, 28), format!("{:27} ", "usertests"), "the name")?;
    same(field(28, 56), format!("{:27} ", file::read_string("/dev/user")?), "the user")?;
    same(field(56, 68), format!("{:11} ", "Sleep"), "the state")?;
    for n in 0..9 {
        let number = field(68 + 12 * n, 80 + 12 * n);
        check(number.trim().parse::<u64>().is_ok() && number.len() == 12, number)?;
    }
    // In pieces.
    let f = File::open(&format!("/proc/{}/status", proc::getpid()), abi::OREAD)?;
    let mut byte = [0; 1];
    same((f.pread(&mut byte, 0)?, byte), (1, *b"u"), "the first byte")?;
    same(f.pread(&mut byte, 176)?, 0, "behind the last")
}

/// The directory, then the descriptors.
fn fd_file() -> Outcome {
    fd::chdir("/lib")?;
    let f = File::open("/lib/namespace", abi::OREAD)?;
    fd::readn(f.fd(), &mut [0; 5])?;
    let d = f.stat()?;
    let text = proc_file(proc::getpid(), "fd")?;
    check(text.starts_with("/lib\n"), &text)?;
    let front = format!("{:3} r  ", f.fd());
    let line = text.lines().find(|l| l.starts_with(&front)).ok_or("its line")?;
    check(line.ends_with("        5 /lib/namespace"), line)?;
    check(line.contains(&format!("({:016x} {} {:02x})", d.qid.path, d.qid.vers, d.qid.kind)), line)
}

fn args() -> Outcome {
    let pid = proc::getpid();
    let name = format!("/proc/{pid}/args");
    file::control(&name, "what it does")?;
    same(file::read_string(&name)?, "usertests [what it does]", "after writing it")
}

fn numbers() -> Outcome {
    let pid = proc::getpid();
    let id = proc_file(pid, "noteid")?;
    check(id.len() == 12 && id.ends_with(' ') && id.trim().parse::<u32>().is_ok(), &id)?;
    same(proc_file(pid, "ppid")?, file::read_string("#c/ppid")?, "ppid")?;
    same(proc_file(pid, "ctl")?.trim(), format!("{pid}"), "ctl")
}

fn ctl_wrong() -> Outcome {
    let pid = sleeper()?;
    let outcome = (|| {
        for bad in ["", "nonsense", "close", "close x", "pri", "pri x", "start", "startstop", "startsyscall"]
        {
            fails(ctl(pid, bad), abi::error::EBADCTL, bad)?;
        }
        fails(ctl(pid, "close 99"), abi::error::EBADFD, "close 99")?;
        fails(ctl(pid, &"x".repeat(1000)), abi::error::ETOOBIG, "a long one")
            .or_else(|_| check(ctl(pid, &"x".repeat(1000)).is_err(), "a long one"))?;
        for good in ["hang", "nohang", "pri 8", "fixedpri 10", "noswap", "profile", "wired 0"] {
            ctl(pid, good).map_err(|e| format!("{good}: {e}"))?;
        }
        Ok(())
    })();
    end(pid, outcome)
}

fn ctl_close() -> Outcome {
    let [r, w] = fd::pipe()?;
    let pid = start(|| {
        fd::close(r)?;
        proc::sleep(60_000).map_err(Into::into)
    })?;
    until_state(pid, "Sleep")?;
    fd::close(w)?;
    ctl(pid, &format!("close {w}"))?;
    same(fd::read(r, &mut [0])?, 0, "the pipe whose only writer was closed")?;
    ctl(pid, "closefiles")?;
    let lines = proc_file(pid, "fd")?.lines().count();
    end(pid, same(lines, 1, "lines of its fd file"))
}

/// A process that spins, stopped.
fn stopped() -> Result<i32, String> {
    let pid = start(|| {
        loop {
            core::hint::spin_loop();
        }
    })?;
    proc::sleep(2)?;
    ctl(pid, "stop")?;
    same(state(pid), "Stopped", "its state")?;
    Ok(pid)
}

fn stop() -> Outcome {
    let pid = stopped()?;
    let times = |text: &str| -> u64 { text.get(68..80).and_then(|n| n.trim().parse().ok()).unwrap_or(0) };
    let one = times(&proc_file(pid, "status")?);
    proc::sleep(20)?;
    let two = times(&proc_file(pid, "status")?);
    ctl(pid, "start")?;
    proc::sleep(60)?;
    let three = times(&proc_file(pid, "status")?);
    end(pid, Ok(()))?;
    same(one, two, "its time while it was stopped")?;
    check(three > two, "it did not go on")
}

pub fn ureg(bytes: &[u8]) -> Result<abi::ureg::Ureg, String> {
    let bytes: &[u8; 184] = bytes.try_into().map_err(|_| format!("{} bytes of registers", bytes.len()))?;
    Ok(abi::ureg::Ureg::from_bytes(bytes))
}

/// Those of a stopped process, read and changed.
fn regs() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let pid = start(|| {
        let mut f = Frame::default();
        f.regs[reg::DI] = at;
        f.regs[0] = 0x1122_3344;
        f.regs[1] = 0x5566;
        probe::poke(at + 8, &1u64.to_le_bytes());
        probe::run(Op::Spin, &mut f);
        Err(format!("{:x} {:x}", f.regs[0], f.regs[1]))
    })?;
    while word(at + 8) == 0 {
        proc::sleep(1)?;
    }
    // It makes no calls, and yet what it has is seen.
    let name = format!("/proc/{pid}/regs");
    let u = ureg(&file::read(&name)?)?;
    same((u.ax, u.bx, u.di), (0x1122_3344, 0x5566, at), "registers while it runs")?;
    ctl(pid, "stop")?;
    let u = ureg(&file::read(&name)?)?;
    same((u.ax, u.bx, u.di), (0x1122_3344, 0x5566, at), "registers")?;
    let f = File::open(&name, abi::OWRITE)?;
    f.pwrite(&0x77u64.to_le_bytes(), 8)?;
    fails(f.pwrite(&[0; 16], 180), abi::error::EBADARG, "beyond the end")?;
    same(ureg(&file::read(&name)?)?.bx, 0x77, "after writing BX")?;
    probe::poke(at, &1u64.to_le_bytes());
    ctl(pid, "start")?;
    same(wait(pid)?, "11223344 77", "what it found in its registers")
}

/// To the next note.
fn startstop() -> Outcome {
    let pid = stopped()?;
    let helper = start(|| {
        proc::sleep(10)?;
        proc::postnote(pid, "here").map_err(Into::into)
    })?;
    ctl(pid, "startstop")?;
    same(state(pid), "Stopped", "after a note")?;
    wait(helper)?;
    same(file::read_string(&format!("/proc/{pid}/note"))?, "here", "the note that waits")?;
    end(pid, Ok(()))
}

/// To the next call.
fn startsyscall() -> Outcome {
    let pid = start(|| {
        loop {
            let _ = fd::fstat(0);
        }
    })?;
    proc::sleep(2)?;
    ctl(pid, "stop")?;
    ctl(pid, "startsyscall")?;
    let u = ureg(&file::read(&format!("/proc/{pid}/regs"))?)?;
    end(pid, same(u.bp, abi::syscall::FSTAT, "the call it is about to make"))
}

/// Memory by address, of a process that is alive.
fn mem() -> Outcome {
    let at = arena()?;
    put(at, "parent");
    let pid = start(|| {
        put(at, "child ");
        proc::sleep(60_000).map_err(Into::into)
    })?;
    until_state(pid, "Sleep")?;
    let f = File::open(&format!("/proc/{pid}/mem"), abi::ORDWR)?;
    let mut bytes = [0; 6];
    let outcome = (|| {
        same((f.pread(&mut bytes, at)?, bytes), (6, *b"child "), "what is there")?;
        f.pwrite(b"debug", at)?;
        same((f.pread(&mut bytes, at)?, bytes), (6, *b"debug "), "after writing it")?;
        same(probe::peek(at, 6), b"parent".to_vec(), "one's own")?;
        same(f.pread(&mut bytes, at + 4 * PAGE_SIZE - 3)?, 3, "at the end of a segment")?;
        fails(f.pread(&mut bytes, 8), abi::error::EBADARG, "where nothing is")?;
        fails(f.pread(&mut bytes, 0xffff_8000_0000_0000), abi::error::EBADARG, "in the kernel").or_else(
            |_| fails(f.pread(&mut bytes, 0xffff_8000_0000_0000), abi::error::ENEGOFF, "in the kernel"),
        )?;
        f.pread(&mut bytes, 0x20_0000)?;
        fails(
            f.pwrite(b"x", 0x20_0000),
            abi::error::EBADCTL,
            "writing the text of a process that is not stopped",
        )
    })();
    end(pid, outcome)
}

/// Reading takes the oldest that waits.
fn note() -> Outcome {
    let pid = stopped()?;
    let name = format!("/proc/{pid}/note");
    proc::postnote(pid, "one")?;
    proc::postnote(pid, "two")?;
    let read = [file::read_string(&name)?, String::new()];
    end(pid, check(read[0].starts_with("one"), &read[0]))
}

fn wait_file() -> Outcome {
    let pid = start(|| {
        let child = start(|| Err("gone".into()))?;
        proc::sleep(60_000)?;
        wait(child).map(drop)
    })?;
    until_state(pid, "Sleep")?;
    proc::sleep(5)?;
    let f = File::open(&format!("/proc/{pid}/wait"), abi::OREAD)?;
    let mut buf = [0; 256];
    let n = f.read(&mut buf)?;
    let text = String::from_utf8_lossy(&buf[..n]).into_owned();
    let nothing = f.read(&mut buf).map(drop);
    end(pid, Ok(()))?;
    check(text.ends_with(": gone'"), &text)?;
    fails(nothing, abi::error::ENOCHILD, "a second record")
}

/// One joins a group of one's own processes, or begins one.
fn noteid() -> Outcome {
    let pid = sleeper()?;
    let outcome = (|| {
        let name = format!("/proc/{pid}/noteid");
        fails(file::control(&name, "999999999"), abi::error::EBADARG, "a group that is none")?;
        fails(file::control(&name, "x"), abi::error::EBADARG, "no number")?;
        let mine = proc_file(proc::getpid(), "noteid")?;
        file::control(&name, &format!("{pid}"))?;
        same(proc_file(pid, "noteid")?.trim(), format!("{pid}"), "a group of its own")?;
        file::control(&name, mine.trim())?;
        same(proc_file(pid, "noteid")?, mine, "mine")
    })();
    end(pid, outcome)
}

/// A process that has gone.
fn gone() -> Outcome {
    let pid = sleeper()?;
    let open: Vec<File> = ["status", "ctl", "note", "mem"]
        .iter()
        .filter_map(|n| {
            File::open(&format!("/proc/{pid}/{n}"), if *n == "status" { abi::OREAD } else { abi::ORDWR }).ok()
        })
        .collect();
    same(open.len(), 4, "files")?;
    end(pid, Ok(()))?;
    for f in &open {
        fails(f.pread(&mut [0; 10], 0), abi::error::EPROCDIED, "reading")?;
        check(f.pwrite(b"kill", 0).is_err(), "writing")?;
    }
    fails(fd::stat(&format!("/proc/{pid}")), abi::error::ENONEXIST, "its directory")?;
    fails(proc::postnote(pid, "x"), abi::error::ENONEXIST, "a note")
}

fn names() -> Outcome {
    let pid = proc::getpid();
    for bad in [
        format!("/proc/0{pid}"),
        format!("/proc/+{pid}"),
        format!("/proc/{pid}x"),
        "/proc/0".into(),
        "/proc/4294967296".into(),
        "/proc/x".into(),
    ] {
        fails(fd::stat(&bad), abi::error::ENONEXIST, &bad)?;
    }
    fails(fd::stat(&format!("/proc/{pid}/nosuch")), abi::error::ENONEXIST, "a file that is none")?;
    fails(fd::stat(&format!("/proc/{pid}/status/x")), abi::error::ENOTDIR, "below a file")?;
    check(
        fd::readdir("/proc")?.iter().any(|d: &Dir| d.name == format!("{pid}") && d.is_dir()),
        "its directory in /proc",
    )?;
    fails(File::create("/proc/new", abi::OREAD, 0o666), abi::error::EPERM, "creating")
        .or_else(|_| check(File::create("/proc/new", abi::OREAD, 0o666).is_err(), "creating"))?;
    check(fd::remove(&format!("/proc/{pid}/status")).is_err(), "removing")
}

/// What a process is said to do.
fn states() -> Outcome {
    same(state(proc::getpid()), "Running", "oneself")?;
    let [r, _w] = fd::pipe()?;
    let pid = start(|| fd::read(r, &mut [0]).map(drop).map_err(Into::into))?;
    until_state(pid, "Pread")?;
    end(pid, Ok(()))?;
    let pid = start(|| {
        let child = start(|| proc::sleep(100).map_err(Into::into))?;
        wait(child).map(drop)
    })?;
    until_state(pid, "Await")?;
    same(wait(pid)?, "", "it")
}
