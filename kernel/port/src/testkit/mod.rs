//! For tests on the host: a kernel with the usual devices, a process without a program, a screen to look at.
//!
//! It is not part of the kernel: the module exists only where `machine` is its host half. A test drives the
//! portable kernel by calling what a system call would call, with [`Hosted::up`] as the caller:
//!
//! ```
//! use port::call::sysfile;
//! use port::testkit::Hosted;
//! let t = Hosted::new();
//! sysfile::bind(&t.up, "#c", "/dev", abi::MREPL).unwrap();
//! assert_eq!(t.read("/dev/osversion").unwrap(), b"2000");
//! ```

mod ram;
pub mod wire;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use abi::Dir;
use machine::host::heap::aside;
use machine::lock::Lock;
use machine::sync::Completion;
use machine::thread;

pub use self::ram::Ram;
use crate::call::sysfile;
use crate::dev::Dev;
use crate::dev::cons::cmdline;
use crate::dev::cons::{Cons, Power, Wrong};
use crate::dev::{dup, env, hardware, pipe, proc, root, srv};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::kmesg::Kmesg;
use crate::mem::iobuf::{Dst, Src};
use crate::proc::create;
use crate::proc::process::Proc;
use io::ConsoleOut;

/// A console that keeps what is written to it.
#[derive(Default)]
pub struct Screen(Lock<Vec<u8>>);

impl Screen {
    /// What has been written, and forgets it.
    pub fn take(&self) -> String {
        String::from_utf8_lossy(&core::mem::take(&mut *self.0.lock())).into_owned()
    }
}

impl ConsoleOut for Screen {
    fn write(&self, bytes: &[u8]) {
        let mut kept = self.0.lock();
        aside(|| kept.extend_from_slice(bytes));
    }
}

/// A power switch that remembers.
#[derive(Default)]
pub struct Switch(Lock<Vec<&'static str>>);

impl Switch {
    /// `off`, `failed`, `reset` and `panic`, in the order in which they were asked for.
    pub fn pressed(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }
}

impl Power for Switch {
    fn off(&self, failed: bool) {
        self.0.lock().push(if failed { "failed" } else { "off" });
    }

    fn reset(&self) {
        self.0.lock().push("reset");
    }

    fn panic(&self, how: Wrong) {
        self.0.lock().push(match how {
            Wrong::Found => "panic",
            Wrong::Stack => "panic stack",
            Wrong::Memory => "panic memory",
        });
    }
}

/// A kernel and its first process.
pub struct Hosted {
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// The calling test as a process, without a program. Its user is the machine's owner, `glenda`.
    pub up: Arc<Proc>,
    /// Where `#c/cons` writes.
    pub screen: Arc<Screen>,
    /// `#c`, to type on.
    pub cons: Arc<Cons>,
    /// `#P`, to add files to.
    pub hardware: Arc<hardware::Hardware>,
    /// What `#c/reboot` did.
    pub power: Arc<Switch>,
}

impl Default for Hosted {
    fn default() -> Self {
        Hosted::new()
    }
}

impl Hosted {
    /// The usual devices and an empty root.
    pub fn new() -> Self {
        Hosted::with(Vec::new(), Vec::new(), &[])
    }

    /// The usual devices and `more`; a root of these archives; these command line words.
    pub fn with(more: Vec<Arc<dyn Dev>>, archives: Vec<Vec<u8>>, config: &[(&str, &str)]) -> Self {
        let screen = Arc::new(Screen::default());
        let kmesg = Kmesg::new(Some(screen.clone()));
        let power = Arc::new(Switch::default());
        let cons = Cons::new(power.clone());
        let hardware = hardware::Hardware::new();
        let archives = archives.iter().map(|a| root::Archive::Static(at_page(a))).collect();
        let config: Vec<_> = config.iter().map(|(n, v)| (String::from(*n), String::from(*v))).collect();
        let (root, wrong) = root::Root::new(archives, cmdline::places(&config), cmdline::layout(&config));
        for line in wrong {
            kmesg.print(format_args!("root: {line}\n"));
        }
        let mut devs: Vec<Arc<dyn Dev>> = alloc::vec![
            root,
            cons.clone(),
            dup::Dup::new(),
            env::Env::new(),
            pipe::Pipe::new(),
            proc::ProcDev::new(),
            srv::Srv::new(),
            hardware.clone(),
        ];
        devs.extend(more);
        let kernel = Kernel::new(devs, config, kmesg);
        let up = create::first_process(&kernel).unwrap_or_else(|e| panic!("no first process: {e}"));
        up.thread.call_once(thread::current);
        Hosted { kernel, up, screen, cons, hardware, power }
    }

    /// Another process, of the same user, name space, descriptors, environment and note group.
    pub fn process(&self) -> Arc<Proc> {
        let p = create::first_process(&self.kernel).unwrap_or_else(|e| panic!("no process: {e}"));
        *p.pgrp.lock() = self.up.pgrp();
        *p.fgrp.lock() = self.up.fgrp();
        *p.egrp.lock() = self.up.egrp();
        *p.user.lock() = self.up.user();
        *p.dot.lock() = self.up.dot();
        p.noteid.store(self.up.noteid(), Ordering::Relaxed);
        p
    }

    /// Starts a process like [`Hosted::process`] that does `f`; gives it and where its result will be.
    pub fn start<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Arc<Proc>) -> T + Send + 'static,
    ) -> (Arc<Proc>, Arc<Completion<T>>) {
        let p = self.process();
        let done = Arc::new(Completion::new());
        let (me, put) = (p.clone(), done.clone());
        let body = move || {
            me.thread.call_once(thread::current);
            put.put(f(&me));
        };
        let thread = thread::spawn("test", u64::from(p.pid), Box::new(body));
        let thread = thread.unwrap_or_else(|_| panic!("no thread"));
        p.thread.call_once(|| thread);
        (p, done)
    }

    /// All of a file.
    ///
    /// # Errors
    /// As `open` and `pread`.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        read_file(&self.up, name)
    }

    /// Writes `bytes` to a file that is there, in one piece, and says how many went in.
    ///
    /// # Errors
    /// As `open` and `pwrite`.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<usize> {
        let fd = sysfile::open(&self.up, name, abi::OWRITE)?;
        let n = sysfile::pwrite(&self.up, fd, &Src::Kernel(bytes), -1);
        sysfile::close(&self.up, fd)?;
        n
    }

    /// Creates a file with these contents.
    ///
    /// # Errors
    /// As `create` and `pwrite`.
    pub fn create(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let fd = sysfile::create(&self.up, name, abi::OWRITE, 0o666)?;
        let n = sysfile::pwrite(&self.up, fd, &Src::Kernel(bytes), -1);
        sysfile::close(&self.up, fd)?;
        n.map(drop)
    }

    /// The names in a directory, in its order.
    ///
    /// # Errors
    /// As `open` and `pread`.
    pub fn ls(&self, name: &str) -> Result<Vec<String>> {
        Ok(self.dirs(name)?.into_iter().map(|d| d.name).collect())
    }

    /// The entries of a directory, in its order.
    ///
    /// # Errors
    /// As `open` and `pread`.
    pub fn dirs(&self, name: &str) -> Result<Vec<Dir>> {
        Ok(Dir::parse_all(&self.read(name)?)?)
    }

    /// What `stat` says.
    ///
    /// # Errors
    /// As `stat`.
    pub fn stat(&self, name: &str) -> Result<Dir> {
        Ok(Dir::parse(&sysfile::stat(&self.up, name)?)?.0)
    }
}

/// All of a file, read by `up` in pieces.
///
/// # Errors
/// As `open` and `pread`.
pub fn read_file(up: &Arc<Proc>, name: &str) -> Result<Vec<u8>> {
    let fd = sysfile::open(up, name, abi::OREAD)?;
    let mut out = Vec::new();
    let result = loop {
        let mut buf = [0; 1000];
        match sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), -1) {
            Ok(0) => break Ok(out),
            Ok(n) => out.extend_from_slice(&buf[..n]),
            Err(e) => break Err(e),
        }
    };
    sysfile::close(up, fd)?;
    result
}

/// These bytes for good, from where a page begins, as the kernel has its root.
pub fn at_page(bytes: &[u8]) -> &'static [u8] {
    let page = abi::layout::PAGE as usize;
    let room = alloc::vec![0; bytes.len() + page].leak();
    let start = room.as_ptr().align_offset(page);
    let (_, there) = room.split_at_mut(start);
    let (there, _) = there.split_at_mut(bytes.len());
    there.copy_from_slice(bytes);
    there
}

/// A tar archive of these files; a name that ends in a slash is a directory.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, contents) in files {
        let kind = if name.ends_with('/') { b'5' } else { b'0' };
        tar_member(&mut out, name, kind, "", contents.as_bytes());
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// Appends one member to a tar archive, contents and padding included. `bin/prog...` may be executed.
pub fn tar_member(out: &mut Vec<u8>, name: &str, kind: u8, link: &str, contents: &[u8]) {
    let mut h = [0u8; 512];
    let mut field = |at: usize, bytes: &[u8]| h[at..at + bytes.len()].copy_from_slice(bytes);
    field(0, &name.as_bytes()[..name.len().min(100)]);
    let executable = kind == b'5' || name.starts_with("bin/prog");
    field(100, if executable { b"0000755\0" } else { b"0000644\0" });
    field(124, alloc::format!("{:011o}\0", contents.len()).as_bytes());
    field(136, b"14000000000\0");
    field(148, b"        ");
    field(156, &[kind]);
    field(157, link.as_bytes());
    field(257, b"ustar\x0000");
    let sum: u32 = h.iter().map(|b| u32::from(*b)).sum();
    h[148..156].copy_from_slice(alloc::format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&h);
    out.extend_from_slice(contents);
    out.resize(out.len().next_multiple_of(512), 0);
}
