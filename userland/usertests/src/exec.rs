//! exec: what a file has to be like, what goes and what stays.

use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{NOWHERE, PAGE_SIZE};
use lib9::{File, Result, Rfork, env, fd, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    once("exec.aout", aout_runs),
    once("exec.aout-bss", aout_bss),
    once("exec.elf", elf_runs),
    test("exec.bad-headers", bad_headers),
    test("exec.what-is-no-program", no_program),
    test("exec.args", args),
    test("exec.too-many-args", too_many),
    test("exec.script", script),
    test("exec.bad-scripts", bad_scripts),
    test("exec.close-on-exec", close_on_exec),
    test("exec.keeps", keeps),
    test("exec.forgets", forgets),
    test("exec.segments", segments),
    test("exec.fails-harmlessly", harmless),
    once("exec.name", name),
];

/// Where initialised data is in the programs made here.
const DATA: u64 = 0x40_0000;

/// Instructions that do `exits` with the string at this address.
fn exits_with(at: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0xb8]; // mov rax, at
    code.extend(at.to_le_bytes());
    code.extend([0x48, 0x83, 0xec, 0x20]); // sub rsp, 32
    code.extend([0x48, 0x89, 0x44, 0x24, 0x08]); // mov [rsp+8], rax
    code.extend([0xbd, 8, 0, 0, 0]); // mov ebp, 8
    code.extend([0x0f, 0x05]); // syscall
    code
}

/// A Plan 9 executable.
fn aout(code: &[u8], data: &[u8], bss: u32) -> Vec<u8> {
    let words: [u32; 8] = [0x8a97, code.len() as u32, data.len() as u32, bss, 0, 0x20_0028, 0, 0];
    let mut out: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
    out.extend(0x20_0028u64.to_be_bytes());
    out.extend(code);
    out.extend(data);
    out
}

/// Runs a file and gives its status.
fn run(file: &str) -> Result<String, String> {
    death(|| {
        proc::exec(file, &["it"])?;
        Ok(())
    })
}

/// Text, data that begin at no page of the file, and the entry.
fn aout_runs() -> Outcome {
    let f = Folder::new()?;
    for pad in [0usize, 1, 5000] {
        let mut code = exits_with(DATA + 3);
        code.resize(code.len() + pad, 0x90);
        let file = f.file("prog", 0o777, &aout(&code, b"xyzso it goes\0", 0))?;
        same(run(&file)?, "so it goes", &format!("with {pad} bytes more"))?;
        fd::remove(&file)?;
    }
    Ok(())
}

/// What is behind the data in their last page is zero, and so are the pages of the bss.
fn aout_bss() -> Outcome {
    let f = Folder::new()?;
    // The file goes on with symbols: they must not be seen.
    let mut bytes = aout(&exits_with(DATA + 1), b"x", 10_000);
    bytes.extend([b'S'; 500]);
    let file = f.file("prog", 0o777, &bytes)?;
    same(run(&file)?, "", "the string behind the data")?;
    let file = f.file("prog2", 0o777, &aout(&exits_with(DATA + 10_000), b"x", 10_000))?;
    same(run(&file)?, "", "the string in the bss")?;
    // Not a byte more than the last page.
    let file = f.file("prog3", 0o777, &aout(&exits_with(DATA + 0x3000), b"x", 10_000))?;
    same(run(&file)?, "invalid exit string", "the string behind the bss")
}

/// An ELF with one segment.
fn elf(flags: u32, code: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut b = vec![0u8; 64];
    b[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    b[16] = 2;
    b[18] = 62;
    b[24..32].copy_from_slice(&0x20_0078u64.to_le_bytes());
    b[32] = 64;
    b[54] = 56;
    b[56] = 1;
    let len = 120 + code.len() as u64;
    b.extend(1u32.to_le_bytes());
    b.extend(flags.to_le_bytes());
    for v in [0, 0x20_0000, 0x20_0000, len, len, 4096] {
        b.extend(v.to_le_bytes());
    }
    b.extend(code);
    edit(&mut b);
    b
}

fn elf_code() -> Vec<u8> {
    let mut code = exits_with(0x20_0000 + 120 + 26);
    code.resize(26, 0x90);
    code.extend(b"elf\0");
    code
}

fn elf_runs() -> Outcome {
    let f = Folder::new()?;
    let file = f.file("prog", 0o777, &elf(5, &elf_code(), |_| {}))?;
    same(run(&file)?, "elf", "its status")
}

/// Everything that a header can have wrong.
fn bad_headers() -> Outcome {
    let f = Folder::new()?;
    let good = aout(&exits_with(DATA), b"x\0", 0);
    let word = |at: usize, value: u32| {
        let mut b = good.clone();
        b[at..at + 4].copy_from_slice(&value.to_be_bytes());
        b
    };
    let e = |edit: fn(&mut Vec<u8>)| elf(5, &elf_code(), edit);
    let bad: &[(&str, Vec<u8>)] = &[
        ("empty", vec![]),
        ("one byte", vec![0]),
        ("text", b"hello, world\n".repeat(10)),
        ("386", word(0, 0x1eb)),
        ("arm64", word(0, 0x8000 | (4 * 28 * 28 + 7))),
        ("truncated header", good[..39].to_vec()),
        ("truncated text", good[..50].to_vec()),
        ("truncated data", good[..good.len() - 1].to_vec()),
        ("huge text", word(4, u32::MAX)),
        ("huge data", word(8, u32::MAX)),
        ("entry below the text", word(36, 0x20_0027)),
        ("entry behind the text", word(36, 0x20_0100)),
        ("entry far away", word(32, 1)),
        ("ELF of 32 bits", e(|b| b[4] = 1)),
        ("ELF for arm64", e(|b| b[18] = 183)),
        ("ELF to be relocated", e(|b| b[16] = 3)),
        ("ELF without parts", e(|b| b[56] = 0)),
        ("ELF with an interpreter", e(|b| b[64] = 3)),
        ("ELF truncated", e(|b| b.truncate(110))),
        ("ELF at 0", e(|b| b[80..96].fill(0))),
        ("ELF in the kernel", e(|b| b[87] = 0xff)),
        ("ELF to be written and executed", elf(7, &elf_code(), |_| {})),
    ];
    for (what, bytes) in bad {
        let file = f.file("bad", 0o777, bytes)?;
        fails(proc::exec(&file, &["bad"]), abi::error::EBADEXEC, what)?;
        fd::remove(&file)?;
    }
    Ok(())
}

/// Files that are not there, may not be executed, are directories, are devices.
fn no_program() -> Outcome {
    let f = Folder::new()?;
    let plain = f.file("plain", 0o666, &aout(&exits_with(DATA), b"x\0", 0))?;
    fails(proc::exec(&plain, &["x"]), abi::error::EPERM, "without permission")?;
    fails(proc::exec("/bin/nosuch", &["x"]), "'/bin/nosuch' file does not exist", "that is not there")?;
    fails(proc::exec("/bin", &["x"]), abi::error::EEXECDIR, "a directory")?;
    fails(proc::exec("/", &["x"]), abi::error::EEXECDIR, "the root")?;
    fails(proc::exec("/bin/echo/x", &["x"]), abi::error::ENOTDIR, "below a file")?;
    fails(proc::exec("", &["x"]), abi::error::ENONAME, "no name")?;
    fails(proc::exec("/dev/null", &["x"]), abi::error::EPERM, "a device")?;
    Ok(())
}

fn args() -> Outcome {
    let words = ["args", "", "a b", "it's", "é", "\n"];
    same(run_helper(&words)?, "\na b\nit's\né\n\n\n", "the arguments")?;
    let long = "x".repeat(100_000);
    same(run_helper(&["args", &long])?.len(), 100_001, "a long one")?;
    let mut many = vec!["args"];
    many.extend(core::iter::repeat_n("12345", 5000));
    same(run_helper(&many)?.len(), 6 * 5000, "5000 of them")
}

fn too_many() -> Outcome {
    let long = "x".repeat(900_000);
    let mut words = vec!["usertests", "-x", "args"];
    words.extend(core::iter::repeat_n(long.as_str(), 20));
    fails(proc::exec("/bin/usertests", &words), abi::error::EBADARG, "18 MB")
}

/// `#!`: the interpreter gets the script's name and what was said behind it.
fn script() -> Outcome {
    let f = Folder::new()?;
    let file = f.file("script", 0o777, b"#!/bin/usertests -x args 'a b'\nnothing\n")?;
    let (text, status) = output(|| {
        proc::exec(&file, &["other", "one", "two"])?;
        Ok(())
    })?;
    same(
        (text.as_str(), status.as_str()),
        (format!("a b\n{file}\none\ntwo\n").as_str(), ""),
        "what it was given",
    )?;
    // Blanks behind #!, a relative name.
    let (text, _) = output(|| {
        fd::chdir(&f.0)?;
        f.file("rel", 0o777, b"#! /bin/usertests -x args\n")?;
        proc::exec("rel", &["rel"])?;
        Ok(())
    })?;
    same(text, "rel\n", "a relative name")
}

fn bad_scripts() -> Outcome {
    let f = Folder::new()?;
    let long = format!("#!/bin/echo {}\n", "x".repeat(300));
    let inner = f.file("inner", 0o777, b"#!/bin/echo\n")?;
    let nested = format!("#!{inner}\n");
    let bad: [(&str, &[u8], &str); 5] = [
        ("without a newline", b"#!/bin/echo", abi::error::EBADEXEC),
        ("without a name", b"#!\n", abi::error::EBADEXEC),
        ("with a long line", long.as_bytes(), abi::error::EBADEXEC),
        ("for a script", nested.as_bytes(), abi::error::EBADEXEC),
        ("for what is not there", b"#!/bin/nosuch\n", abi::error::ENONEXIST),
    ];
    for (what, bytes, text) in bad {
        let file = f.file("bad", 0o777, bytes)?;
        fails(proc::exec(&file, &["bad"]), text, what)?;
        fd::remove(&file)?;
    }
    Ok(())
}

fn close_on_exec() -> Outcome {
    let (text, _) = output(|| {
        for n in 3..20 {
            let _ = fd::close(n);
        }
        let stays = fd::open("/dev/null", abi::OREAD)?;
        let goes = fd::open("/dev/null", abi::OREAD | abi::OCEXEC)?;
        let again = fd::dup(goes, -1)?;
        let created = fd::create("/env/usertests", abi::OWRITE | abi::OCEXEC, 0o666)?;
        same([stays, goes, again, created], [3, 4, 5, 6], "descriptors")?;
        exec_again(&["fds"])
    })?;
    // The last is the directory that is being read.
    same(text, "0 1 2 3 4 5 ", "those that are left")
}

/// What a process keeps: number, directory, environment, children, name space.
fn keeps() -> Outcome {
    env::putenv("kept", &["value"])?;
    same(run_helper(&["env", "kept"])?, "value", "the environment")?;
    fd::chdir("/lib")?;
    same(run_helper(&["wd"])?, "/lib", "the directory")?;
    let (text, _) = output(|| {
        let me = proc::getpid();
        check(me > 0, "no number")?;
        let f = File::open("/dev/null", abi::OREAD)?;
        drop(f);
        lib9::file::write("/env/me", format!("{me}").as_bytes())?;
        exec_again(&["pid"])
    })?;
    same(text, env::get("me").unwrap_or_default(), "the number")?;
    // A record that nobody has asked for is still there.
    let (text, status) = output(|| {
        let pid = start(|| Ok(()))?;
        lib9::file::write("/env/child", format!("{pid}").as_bytes())?;
        exec_again(&["await"])
    })?;
    same((text, status.as_str()), (env::get("child").unwrap_or_default(), ""), "its child")?;
    lib9::ns::bind("/lib", "/mnt", abi::MREPL)?;
    child(|| {
        fd::chdir("/mnt")?;
        same(run_helper(&["wd"])?, "/mnt", "a directory in its name space")
    })
}

/// What goes: the error string, the note handler.
fn forgets() -> Outcome {
    let (text, _) = output(|| {
        let _ = fd::close(99);
        exec_again(&["error"])
    })?;
    same(text, "", "the error string")?;
    let pid = start(|| {
        notes::on(Then::Noted(abi::NCONT))?;
        exec_again(&["sleep"])
    })?;
    until_name(pid)?;
    proc::postnote(pid, "usertests says so")?;
    same(wait(pid)?, "usertests says so", "what it died of")
}

/// Waits until the process sleeps in its new program.
fn until_name(pid: i32) -> Outcome {
    for _ in 0..2000 {
        if proc_file(pid, "args").is_ok_and(|a| a.contains("-x sleep")) {
            return until_state(pid, "Sleep");
        }
        proc::sleep(2)?;
    }
    Err("it does not execute".into())
}

/// Attached segments survive unless they were told not to.
fn segments() -> Outcome {
    let (text, _) = output(|| {
        attach(0, "shared", NOWHERE, PAGE_SIZE)?;
        attach(abi::SG_CEXEC, "shared", NOWHERE + 0x10_0000, PAGE_SIZE)?;
        exec_again(&["segment"])
    })?;
    check(text.contains(&format!("{NOWHERE:x} ")), "the segment has gone")?;
    check(!text.contains(&format!("{:x} ", NOWHERE + 0x10_0000)), "the other is still there")
}

/// An exec that fails leaves all as it was.
fn harmless() -> Outcome {
    let at = arena()?;
    put(at, "still here");
    let before = proc_file(proc::getpid(), "segment")?;
    let f = Folder::new()?;
    let cexec = fd::open("/dev/null", abi::OREAD | abi::OCEXEC)?;
    for bytes in [&b"junk"[..], &aout(&exits_with(DATA), b"x\0", 0)[..41]] {
        let file = f.file("bad", 0o777, bytes)?;
        fails(proc::exec(&file, &["bad"]), abi::error::EBADEXEC, "junk")?;
        fd::remove(&file)?;
    }
    same(proc_file(proc::getpid(), "segment")?, before, "segments")?;
    same(lib9::sys::probe::peek(at, 10), b"still here".to_vec(), "memory")?;
    fd::fstat(cexec)?;
    // A shared segment in the way of the new program's data.
    child_with(Rfork::FDG, || {
        let file = f.file("big", 0o777, &aout(&exits_with(DATA), b"x\0", 0x7fff_0000))?;
        attach(0, "shared", 0x5000_0000, PAGE_SIZE)?;
        fails(proc::exec(&file, &["big"]), abi::error::ESOVERLAP, "a segment in the way")
    })
}

/// What the process is called afterwards, and which file it is said to be.
fn name() -> Outcome {
    let f = Folder::new()?;
    let code = [0xeb, 0xfe]; // jmp .
    let file = f.file("spinning", 0o777, &aout(&code, b"", 0))?;
    let pid = start(|| {
        proc::exec(&file, &["other", "it's"])?;
        Ok(())
    })?;
    for _ in 0..2000 {
        if proc_file(pid, "status").is_ok_and(|s| s.starts_with("spinning ")) {
            break;
        }
        proc::sleep(1)?;
    }
    let status = proc_file(pid, "status")?;
    let args = proc_file(pid, "args")?;
    let text = File::open(&format!("/proc/{pid}/text"), abi::OREAD)?;
    let path = fd::fd2path(text.fd())?;
    let first: Vec<u8> = text.read_all()?.into_iter().take(4).collect();
    ctl(pid, "kill")?;
    let said = wait(pid)?;
    check(status.starts_with("spinning "), &status)?;
    same(args, "other 'it''s'", "args")?;
    same(path, file, "the name behind text")?;
    same(first, vec![0, 0, 0x8a, 0x97], "the program")?;
    same(said, "sys: killed", "its status")
}
