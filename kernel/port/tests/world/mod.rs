//! A kernel with programs: code given as closures, started from real executables of a memory file system.
//!
//! With `CHAOS=seed` in the environment threads lose the processor at inconvenient moments, to shake out races.
//!
//! `/n` is `#R`, with the executable `/n/prog`; `/dev`, `/proc`, `/fd` and `/env` are what one expects. A program's
//! failed assertions count as panics of the machine, which [`World::run`] looks at.
#![allow(dead_code, missing_docs, reason = "each test program uses its part of it")]

pub mod notes;
pub mod procfs;

use std::sync::{Arc, Mutex};

use abi::syscall as call;
use abi::{MCREATE, MREPL, OREAD, OWRITE, Rfork};
use machine::host::{Cpu, program_at};
use port::Proc;
use port::call::sysfile;
use port::dev::Dev;
use port::exec;
use port::exec::argv::Argv;
use port::proc::exit::{self, WaitMsg};
use port::testkit::{Hosted, Ram};

/// Where `/n/prog` begins.
pub const ENTRY: u64 = 0x20_0100;
/// A place in its text for a note handler.
pub const HANDLER: u64 = 0x20_1000;
/// Its initialised data, `DATA_LEN` bytes, byte `i` being `i`.
pub const DATA: u64 = 0x40_0000;
pub const DATA_LEN: u64 = 0x1800;
/// Its zeroed memory, from the page behind the data.
pub const BSS: u64 = 0x40_2000;
pub const BSS_LEN: u64 = 0x10_0000;
/// No flags: a child that shares and copies as a fork does.
pub const NONE: Rfork = Rfork::empty();
/// What a failed call gives.
pub const FAILED: u64 = u64::MAX;

/// An executable of Plan 9: text of 12 KiB that begins at `entry`, these data, so many zeros.
pub fn aout(entry: u64, data: &[u8], bss: u32) -> Vec<u8> {
    const TEXT: u32 = 0x3000 - 40;
    let words: [u32; 8] = [0x8a97, TEXT, data.len() as u32, bss, 0, entry as u32, 0, 0];
    let mut out: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
    out.extend(entry.to_be_bytes());
    out.resize(0x3000, 0x90);
    out.extend(data);
    out
}

/// The bytes of `/n/prog`.
pub fn prog() -> Vec<u8> {
    let data: Vec<u8> = (0..DATA_LEN).map(|i| i as u8).collect();
    aout(ENTRY, &data, (BSS - DATA + BSS_LEN - DATA_LEN) as u32)
}

pub struct World {
    pub t: Hosted,
    pub ram: Arc<Ram>,
}

impl World {
    pub fn new() -> World {
        World::with(Vec::new())
    }

    pub fn with(devs: Vec<Arc<dyn Dev>>) -> World {
        World::of(devs, vec![])
    }

    /// The same with archives in the root.
    pub fn of(mut devs: Vec<Arc<dyn Dev>>, archives: Vec<Vec<u8>>) -> World {
        if let Some(seed) = std::env::var("CHAOS").ok().and_then(|s| s.parse().ok()) {
            machine::host::chaos(seed);
        }
        let ram = Ram::new();
        devs.push(ram.clone());
        let t = Hosted::with(devs, archives, &[]);
        for (dev, at) in [("#R", "/n"), ("#c", "/dev"), ("#p", "/proc"), ("#d", "/fd"), ("#e", "/env")] {
            sysfile::bind(&t.up, dev, at, MREPL | MCREATE).unwrap();
        }
        let w = World { t, ram };
        w.install("/n/prog", &prog());
        w
    }

    /// Makes an executable file.
    pub fn install(&self, name: &str, bytes: &[u8]) {
        let fd = sysfile::create(&self.t.up, name, OWRITE, 0o777).unwrap();
        for piece in bytes.chunks(1 << 16) {
            let src = port::mem::iobuf::Src::Kernel(piece);
            assert_eq!(sysfile::pwrite(&self.t.up, fd, &src, -1).unwrap(), piece.len());
        }
        sysfile::close(&self.t.up, fd).unwrap();
    }

    /// Starts `/n/prog` as a child of the test, with this code and these arguments. It exits when the code returns.
    pub fn start(&self, args: &[&str], code: impl Fn(&mut Cpu) + Send + Sync + 'static) -> Arc<Proc> {
        program_at(ENTRY, move |cpu| {
            code(cpu);
            cpu.syscall(call::EXITS, &[0]);
        });
        self.start_file("/n/prog", args)
    }

    pub fn start_file(&self, file: &str, args: &[&str]) -> Arc<Proc> {
        let p = self.t.process();
        *p.parent.lock() = Arc::downgrade(&self.t.up);
        *p.fgrp.lock() = self.t.up.fgrp().copy().unwrap();
        self.t.up.children.lock().live += 1;
        let args = Argv::of(args).unwrap();
        let file = file.to_string();
        port::call::life::start(&p, move |up, ctx| {
            ctx.regs.put(&exec::load::exec(up, &file, args)?);
            Ok(())
        })
        .unwrap();
        p
    }

    /// Waits for a child of the test.
    pub fn wait(&self) -> WaitMsg {
        let record = exit::await_child(&self.t.up).unwrap();
        assert_eq!(machine::host::machine().panics(), 0, "a program failed: {}", record.msg);
        record
    }

    /// Runs a program to its end; gives its exit string (without name and pid).
    pub fn run(&self, code: impl Fn(&mut Cpu) + Send + Sync + 'static) -> String {
        self.start(&["prog"], code);
        let record = self.wait();
        let front = format!("prog {}: ", record.pid);
        record.msg.strip_prefix(&front).unwrap_or(&record.msg).to_string()
    }

    /// Runs a program that must end well.
    pub fn ok(&self, code: impl Fn(&mut Cpu) + Send + Sync + 'static) {
        let status = self.run(code);
        assert_eq!(status, "", "screen: {}", self.t.screen.take());
    }

    /// The live processes other than the test's own.
    pub fn live(&self) -> usize {
        self.t.kernel.procs.lock().len() - 1
    }
}

/// What programs tell the test.
pub type Told<T> = Arc<Mutex<Vec<T>>>;

pub fn told<T>() -> Told<T> {
    Arc::new(Mutex::new(Vec::new()))
}

/// The system calls as a program's library has them.
pub trait Sys {
    fn call(&mut self, number: u64, args: &[u64]) -> u64;
    fn cpu(&mut self) -> &mut Cpu;

    /// The text of the last failure. (Asking for it makes it empty.)
    fn errstr(&mut self) -> String {
        let cpu = self.cpu();
        let at = cpu.push(&[0; 128]);
        cpu.syscall(call::ERRSTR, &[at, 128]);
        cstring(cpu, at)
    }

    /// A call that must fail; gives the text.
    fn fails(&mut self, number: u64, args: &[u64]) -> String {
        assert_eq!(self.call(number, args), FAILED, "call {number} {args:x?}");
        self.errstr()
    }

    /// A call that must succeed.
    fn must(&mut self, number: u64, args: &[u64]) -> u64 {
        let n = self.call(number, args);
        if n == FAILED {
            let e = self.errstr();
            panic!("call {number} {args:x?}: {e}");
        }
        n
    }

    fn exits(&mut self, status: &str) {
        let at = self.cpu().string(status);
        self.call(call::EXITS, &[at]);
    }

    fn open(&mut self, name: &str, mode: u32) -> u64 {
        let name = self.cpu().string(name);
        self.call(call::OPEN, &[name, u64::from(mode)])
    }

    fn close(&mut self, fd: u64) -> u64 {
        self.call(call::CLOSE, &[fd])
    }

    /// Up to `n` bytes.
    fn read(&mut self, fd: u64, n: usize) -> Vec<u8> {
        let cpu = self.cpu();
        let at = cpu.push(&vec![0; n]);
        let got = cpu.must(call::PREAD, &[fd, at, n as u64, !0]);
        let mut out = vec![0; got as usize];
        self.cpu().load(at, &mut out);
        out
    }

    fn write(&mut self, fd: u64, bytes: &[u8]) -> u64 {
        let at = self.cpu().push(bytes);
        self.call(call::PWRITE, &[fd, at, bytes.len() as u64, !0])
    }

    /// All of a short file.
    fn file(&mut self, name: &str) -> String {
        let fd = self.open(name, OREAD);
        assert_ne!(fd, FAILED, "{name}");
        let bytes = self.read(fd, 8192);
        self.close(fd);
        String::from_utf8(bytes).unwrap()
    }

    /// Writes to a file; gives what the write gives.
    fn echo(&mut self, text: &str, name: &str) -> u64 {
        let fd = self.open(name, OWRITE);
        assert_ne!(fd, FAILED, "{name}");
        let n = self.write(fd, text.as_bytes());
        self.close(fd);
        n
    }

    /// The record of a child, as text.
    fn wait(&mut self) -> String {
        let cpu = self.cpu();
        let at = cpu.push(&[0; 512]);
        let n = cpu.must(call::AWAIT, &[at, 512]);
        let mut out = vec![0; n as usize];
        self.cpu().load(at, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Waits for a child that must have ended well.
    fn wait_ok(&mut self) {
        let record = self.wait();
        assert!(record.ends_with(" ''"), "{record}");
    }

    /// Kills a process, which may be dead already.
    fn kill(&mut self, pid: u64) {
        let fd = self.open(&format!("/proc/{pid}/ctl"), OWRITE);
        if fd != FAILED {
            self.write(fd, b"kill");
            self.close(fd);
        }
    }

    fn sleep_ms(&mut self, ms: u64) -> u64 {
        self.call(call::SLEEP, &[ms])
    }

    fn u32_at(&mut self, va: u64) -> u32 {
        let mut b = [0; 4];
        self.cpu().load(va, &mut b);
        u32::from_le_bytes(b)
    }

    fn pid(&mut self) -> u32 {
        self.u32_at(abi::layout::TOS + abi::layout::TOS_PID)
    }
}

impl Sys for Cpu {
    fn call(&mut self, number: u64, args: &[u64]) -> u64 {
        self.syscall(number, args)
    }

    fn cpu(&mut self) -> &mut Cpu {
        self
    }
}

/// The string at an address.
pub fn cstring(cpu: &mut Cpu, mut at: u64) -> String {
    let mut out = Vec::new();
    loop {
        let mut b = [0];
        cpu.load(at, &mut b);
        if b[0] == 0 {
            return String::from_utf8(out).unwrap();
        }
        out.push(b[0]);
        at += 1;
    }
}

/// `rfork` of a process: its pid.
pub fn fork(cpu: &mut Cpu, flags: abi::Rfork, child: impl FnOnce(&mut Cpu) + Send + 'static) -> u64 {
    let flags = flags | abi::Rfork::PROC;
    let pid = cpu.fork(call::RFORK, &[u64::from(flags.bits())], move |cpu| {
        child(cpu);
        cpu.syscall(call::EXITS, &[0]);
    });
    assert_ne!(pid, FAILED, "rfork");
    pid
}
