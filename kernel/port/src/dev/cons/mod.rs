//! `#c`: the console, and the files that tell a process about itself and the machine.
//!
//! Input is in `input`, `line` and what that uses, the texts of the informative files in `text` and `pools`, the
//! end of the machine in `reboot`. What is here is the table and who does what. Output of one write to `cons` stays
//! together.
//!
//! Locks: `writers` (sleeping) while a piece goes out; `stats`, `domain`, `ctl_opens` are leaves.

pub mod cmdline;
pub(crate) mod edit;
mod host;
pub mod input;
mod keys;
pub(crate) mod line;
mod pools;
mod reboot;
mod status;
mod text;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::cpu::CpuStat;
use machine::lock::Lock;
use machine::sync::QLock;
use machine::{clock, cpu, random, user};

pub use self::reboot::{Power, Wrong};

use self::input::Input;
use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Text};
use crate::error::Result;
use crate::kernel::{Kernel, is_user_name};
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::bill;
use crate::proc::ending;
use crate::proc::process::Proc;
use crate::proc::scarce;

/// Longest piece of a write that is not mixed with others.
const PIECE: usize = 32 * 1024;
/// Longest control message, in bytes.
const MAXCTL: usize = 128;

macro_rules! files {
    ($($id:ident = $path:literal $name:literal $perm:literal,)*) => {
        $(const $id: u64 = $path;)*
        static FILES: &[Entry] = &[$(Entry::file($name, $path, $perm)),*];
    };
}

files! {
    BINTIME = 1 "bintime" 0o664,
    CONFIG = 2 "config" 0o444,
    CONS = 3 "cons" 0o660,
    CONSCTL = 4 "consctl" 0o220,
    CONSSIZE = 24 "conssize" 0o664,
    CPUTIME = 5 "cputime" 0o444,
    DRIVERS = 6 "drivers" 0o444,
    HOSTDOMAIN = 7 "hostdomain" 0o664,
    HOSTOWNER = 8 "hostowner" 0o664,
    KMESG = 9 "kmesg" 0o440,
    NULL = 10 "null" 0o666,
    OSVERSION = 11 "osversion" 0o444,
    PGRPID = 12 "pgrpid" 0o444,
    PID = 13 "pid" 0o444,
    PPID = 14 "ppid" 0o444,
    POOLS = 23 "pools" 0o444,
    RANDOM = 15 "random" 0o444,
    REBOOT = 16 "reboot" 0o220,
    SWAP = 17 "swap" 0o664,
    SYSNAME = 18 "sysname" 0o664,
    SYSSTAT = 19 "sysstat" 0o664,
    TIME = 20 "time" 0o664,
    USER = 21 "user" 0o666,
    ZERO = 22 "zero" 0o444,
}

/// The device.
pub struct Cons {
    /// What is typed.
    pub input: Arc<Input>,
    power: Arc<dyn Power>,
    writers: QLock<()>,
    /// The counters when `sysstat` was cleared.
    stats: Lock<Vec<CpuStat>>,
    domain: Lock<String>,
    /// Channels open on `consctl`; when the last goes, modes are restored.
    ctl_opens: Lock<u32>,
}

impl Cons {
    /// The device. Output goes where the kernel's [`Kmesg`](crate::kmesg::Kmesg) says.
    pub fn new(power: Arc<dyn Power>) -> Arc<Self> {
        Arc::new(Cons {
            input: Input::new(),
            power,
            writers: QLock::new(()),
            stats: Lock::new(Vec::new()),
            domain: Lock::new(String::new()),
            ctl_opens: Lock::new(0),
        })
    }

    /// Starts the process that handles input, before which what is typed waits, and the one that ends the machine in
    /// order when [`Kernel::ending`] says so.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn start(&self, kernel: &Arc<Kernel>) -> Result<()> {
        self.input.start(kernel)?;
        let power = self.power.clone();
        ending::start(kernel, move || power.off(false))
    }

    /// What the counters of this processor were when `sysstat` was cleared.
    fn since(&self, id: u32) -> CpuStat {
        self.stats.lock().iter().find(|s| s.id == id).copied().unwrap_or_default()
    }

    fn write_cons(&self, up: &Arc<Proc>, src: &Src<'_>) -> Result<usize> {
        let mut done = 0;
        while done < src.len() && up.may_go_on(done) {
            let Some(piece) = scarce::piece(up, src, done, PIECE)? else { break };
            let _alone = self.writers.lock_intr()?;
            up.kernel.kmesg.console(&piece);
            done += piece.len();
        }
        Ok(done)
    }

    fn write_ctl(&self, text: &str) -> Result<()> {
        for word in text.split_whitespace() {
            match word {
                "rawon" => self.input.set_raw(true),
                "rawoff" => self.input.set_raw(false),
                "holdon" => self.input.set_hold(true),
                "holdoff" => self.input.set_hold(false),
                // There is no ^P to switch.
                "ctlpon" | "ctlpoff" => {}
                _ => return Err(error::EBADCTL.into()),
            }
        }
        Ok(())
    }
}

/// The machine has a new owner: the processes of the old one are the new one's.
fn set_hostowner(up: &Arc<Proc>, name: &str) {
    let new: Arc<str> = name.into();
    let old = core::mem::replace(&mut *up.kernel.hostowner.lock(), name.into());
    for p in up.kernel.processes() {
        let mut user = p.user.lock();
        if **user == *old {
            *user = new.clone();
        }
        drop(user);
        bill::user_changed(&p);
    }
}

/// A name written into a file: not empty, one word, no longer than a user name may be.
fn name_in(text: &str) -> Result<&str> {
    let name = text.trim_matches(['\n', '\0', ' ']);
    if is_user_name(name) { Ok(name) } else { Err(error::EBADARG.into()) }
}

/// The same zeros for everybody.
static ZEROS: [u8; 4096] = [0; 4096];

fn read_zero(up: &Proc, dst: &mut Dst<'_>) -> Result<usize> {
    let n = dst.len();
    let mut at = 0;
    while at < n && up.may_go_on(at) {
        let piece = ZEROS.get(..(n - at).min(ZEROS.len())).unwrap_or(&ZEROS);
        dst.put(at, piece)?;
        at += piece.len();
    }
    Ok(at)
}

fn read_random(up: &Proc, dst: &mut Dst<'_>) -> Result<usize> {
    let n = dst.len();
    let mut at = 0;
    while at < n && up.may_go_on(at) {
        let mut piece = [0; 256];
        let part = piece.get_mut(..(n - at).min(256)).unwrap_or_default();
        random::fill(part);
        dst.put(at, part)?;
        at += part.len();
    }
    Ok(at)
}

impl Dev for Cons {
    fn letter(&self) -> char {
        'c'
    }

    fn name(&self) -> &'static str {
        "cons"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        Ok(FILES.to_vec())
    }

    fn lookup(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid, name: &str) -> Result<Option<Qid>> {
        Ok(FILES.iter().find(|f| f.name == name).map(|f| f.qid))
    }

    fn entry(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        match c.qid.path {
            0 => Ok(self.root_entry()),
            path => FILES.iter().find(|f| f.qid.path == path).cloned().ok_or(error::ENONEXIST.into()),
        }
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let mut c = dirtab::open(self, up, c, mode)?;
        match c.qid.path {
            CONS if dirtab::access(mode) & abi::AREAD != 0 => self.input.used_by(up.noteid()),
            CONSCTL => *self.ctl_opens.lock() += 1,
            CONFIG | DRIVERS | KMESG | POOLS | SWAP | SYSSTAT => c.aux = Some(Arc::new(Text::new())),
            _ => {}
        }
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if c.mode.is_none() || c.qid.path != CONSCTL {
            return;
        }
        let last = {
            let mut opens = self.ctl_opens.lock();
            *opens = opens.saturating_sub(1);
            *opens == 0
        };
        if last {
            self.input.set_raw(false);
            self.input.set_hold(false);
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        // The time alone, for which programs ask again and again: as it was when the call began.
        if c.qid.path == BINTIME && matches!(dst.len(), 8..16) {
            let now = user::wall_ns().to_be_bytes();
            return dst.put(0, &now).map(|()| now.len());
        }
        self.read_from(up, c, dst, offset)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        // The shortest of all ways.
        if c.qid.path == NULL { Ok(src.len()) } else { self.write_to(up, c, src) }
    }
}

impl Cons {
    #[inline(never)]
    fn read_from(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let kernel = &up.kernel;
        let text = match c.qid.path {
            CONS => {
                self.input.used_by(up.noteid());
                let bytes = self.input.read(dst.len())?;
                if !bytes.is_empty() {
                    // Interrupts are for who has the line, whoever has opened the file meanwhile.
                    self.input.used_by(up.noteid());
                    bill::has_a_line(up);
                }
                // Programs that begin again at each end, as Plan 9's init does, would do so for ever.
                let to_end = bytes.is_empty() && self.input.is_read_too_often();
                if to_end && !kernel.config.iter().any(|(name, _)| name == "init") {
                    kernel.ending.press();
                }
                dst.put(0, &bytes)?;
                return Ok(bytes.len());
            }
            NULL => return Ok(0),
            ZERO => return read_zero(up, dst),
            RANDOM => return read_random(up, dst),
            BINTIME => {
                let numbers = text::bintime(dst.len());
                let n = dst.len().min(numbers.len()) / 8 * 8;
                return dst.put_from(numbers.get(..n).unwrap_or(&[]), 0);
            }
            CONFIG => return c.aux::<Text>()?.read(dst, offset, || text::config(kernel)),
            DRIVERS => return c.aux::<Text>()?.read(dst, offset, || Ok(text::drivers(kernel))),
            KMESG => return c.aux::<Text>()?.read(dst, offset, || text::kmesg(kernel)),
            POOLS => return c.aux::<Text>()?.read(dst, offset, || pools::text(kernel)),
            SWAP => return c.aux::<Text>()?.read(dst, offset, || Ok(text::swap(kernel))),
            SYSSTAT => {
                return c
                    .aux::<Text>()?
                    .read(dst, offset, || text::sysstat(&cpu::stats(), |id| self.since(id)));
            }
            CONSSIZE => text::size(self.input.size()),
            CPUTIME => text::cputime(up),
            HOSTDOMAIN => self.domain.lock().clone(),
            HOSTOWNER => kernel.hostowner.lock().clone(),
            OSVERSION => String::from("2000"),
            PGRPID => text::number(u64::from(up.pgrp().id(kernel))),
            PID => text::number(u64::from(up.pid)),
            PPID => text::number(u64::from(up.ppid)),
            SYSNAME => kernel.sysname.lock().clone(),
            TIME => text::time(),
            USER => String::from(&*up.user()),
            _ => return Err(error::EPERM.into()),
        };
        dst.put_from(text.as_bytes(), offset)
    }

    #[inline(never)]
    fn write_to(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>) -> Result<usize> {
        if c.qid.path == CONS {
            return self.write_cons(up, src);
        }
        let bytes = src.to_vec(MAXCTL)?;
        if c.qid.path == BINTIME {
            text::set_bintime(&bytes)?;
            return Ok(bytes.len());
        }
        let text = core::str::from_utf8(&bytes).map_err(|_| error::EBADARG)?;
        match c.qid.path {
            CONSCTL => self.write_ctl(text)?,
            CONSSIZE => {
                let (rows, columns) = text::size_in(text).ok_or(error::EBADARG)?;
                self.input.set_size(rows, columns);
            }
            HOSTDOMAIN => *self.domain.lock() = name_in(text)?.into(),
            HOSTOWNER => {
                if !up.is_hostowner() {
                    return Err(error::EPERM.into());
                }
                set_hostowner(up, name_in(text)?);
            }
            REBOOT => {
                if !up.is_hostowner() {
                    return Err(error::EPERM.into());
                }
                reboot::write(&*self.power, up, text)?;
            }
            SWAP => return Err(error::EPERM.into()),
            SYSNAME => *up.kernel.sysname.lock() = name_in(text)?.into(),
            SYSSTAT => *self.stats.lock() = cpu::stats(),
            TIME => {
                let seconds: i64 =
                    text.trim_matches([' ', '\n', '\0']).parse().map_err(|_| error::EBADARG)?;
                clock::set_wall_ns(seconds.checked_mul(1_000_000_000).ok_or(error::EBADARG)?);
            }
            USER => {
                // Nobody can become anybody but nobody this way.
                if name_in(text)? != "none" {
                    return Err(error::EPERM.into());
                }
                *up.user.lock() = "none".into();
                bill::user_changed(up);
            }
            _ => return Err(error::EPERM.into()),
        }
        Ok(bytes.len())
    }
}

/// `#c cons`, as `/dev/drivers` lists a device.
fn driver_line(dev: &dyn Dev) -> String {
    format!("#{} {}\n", dev.letter(), dev.name())
}
