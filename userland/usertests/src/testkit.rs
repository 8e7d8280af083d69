//! What tests are made of.

use core::sync::atomic::{AtomicU32, Ordering};

use lib9::alloc::format;
use lib9::alloc::string::{String, ToString};
use lib9::alloc::vec::Vec;
use lib9::fd;
use lib9::proc::{self, Fork};
use lib9::sys::Lock;
use lib9::sys::probe;
use lib9::{Error, File, Rfork, Waitmsg};

/// How many times as many as usual there are of what is made in large numbers.
static TIMES: AtomicU32 = AtomicU32::new(1);

/// Sets that.
pub fn set_times(times: u32) {
    TIMES.store(times, Ordering::Relaxed);
}

/// How many times as many as usual there are of what is made in large numbers.
pub fn times() -> u32 {
    TIMES.load(Ordering::Relaxed)
}

/// What a test says: nothing, or what is wrong. (Kernel errors become such a text by `?`.)
pub type Outcome = Result<(), String>;

/// One rule.
pub struct Test {
    /// Its group and what it is about.
    pub name: &'static str,
    /// Fills a cache anew at each run, as an executable that was made does, or is too slow to be run again for the sake
    /// of its leaks.
    pub once: bool,
    /// The test.
    pub run: fn() -> Outcome,
}

/// A test by its name and function.
pub const fn test(name: &'static str, run: fn() -> Outcome) -> Test {
    Test { name, once: false, run }
}

/// One that is not run again.
pub const fn once(name: &'static str, run: fn() -> Outcome) -> Test {
    Test { name, once: true, run }
}

/// Fails with `what` unless `good`.
pub fn check(good: bool, what: &str) -> Outcome {
    if good { Ok(()) } else { Err(what.to_string()) }
}

/// Fails unless the two are equal.
pub fn same<A: PartialEq<B> + core::fmt::Debug, B: core::fmt::Debug>(
    have: A,
    want: B,
    what: &str,
) -> Outcome {
    if have == want { Ok(()) } else { Err(format!("{what}: {have:?}, not {want:?}")) }
}

/// Fails unless `result` is a failure whose text ends with `text`.
pub fn fails<T>(result: Result<T, Error>, text: &str, what: &str) -> Outcome {
    match result {
        Ok(_) => Err(format!("{what}: no error")),
        Err(e) if e.is(text) => Ok(()),
        Err(e) => Err(format!("{what}: {e}")),
    }
}

/// A call by number: RAX, or the error.
pub fn call(number: u64, args: &[u64]) -> Result<u64, Error> {
    match probe::call(number, args) {
        u64::MAX => Err(Error::last()),
        n => Ok(n),
    }
}

/// A call with a 32-bit result.
pub fn int(number: u64, args: &[u64]) -> Result<i32, Error> {
    match probe::call(number, args) as i32 {
        -1 => Err(Error::last()),
        n => Ok(n),
    }
}

/// Memory of the test's own, of `class` with `attr`, at `at` (0: wherever).
pub fn attach(attr: u32, class: &'static str, at: u64, len: u64) -> Result<u64, Error> {
    let class = match class {
        "memory" => "memory\0",
        "shared" => "shared\0",
        _ => "nonsense\0",
    };
    call(abi::syscall::SEGATTACH, &[u64::from(attr), class.as_ptr() as u64, at, len])
}

/// Four pages to play with. There are gaps on both sides.
pub fn arena() -> Result<u64, Error> {
    attach(0, "memory", probe::NOWHERE, 4 * probe::PAGE_SIZE)
}

/// Puts `text` and a zero byte at `at`; gives `at`.
pub fn put(at: u64, text: &str) -> u64 {
    probe::poke(at, text.as_bytes());
    probe::poke(at + text.len() as u64, &[0]);
    at
}

/// The 8 bytes at `at` as a number.
pub fn word(at: u64) -> u64 {
    probe::peek(at, 8).first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

/// Runs `f` in a new process with these flags besides `RFPROC`; gives its pid. It exits with what `f` says.
pub fn start_with(flags: Rfork, f: impl FnOnce() -> Outcome) -> Result<i32, Error> {
    match proc::rfork(Rfork::PROC | flags)? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            let said = f();
            proc::exits_now(said.as_ref().map_or_else(|why| why.as_str(), |()| ""))
        }
    }
}

/// [`start_with`] descriptors of its own.
pub fn start(f: impl FnOnce() -> Outcome) -> Result<i32, Error> {
    start_with(Rfork::FDG, f)
}

/// Records of children that were not asked for yet.
static WAITING: Lock<Vec<Waitmsg>> = Lock::new(Vec::new());

/// Waits for this child; gives its status without name and number in front.
pub fn wait(pid: i32) -> Result<String, String> {
    loop {
        let here = {
            let mut waiting = WAITING.lock();
            waiting.iter().position(|m| m.pid == pid).map(|at| waiting.remove(at))
        };
        let Some(msg) = here else {
            let msg = proc::await_()?;
            WAITING.lock().push(msg);
            continue;
        };
        let (name, rest) = msg.msg.split_once(' ').unwrap_or(("", &msg.msg));
        let front = format!("{pid}: ");
        let said = rest.strip_prefix(&front).filter(|_| !name.is_empty());
        return Ok(said.unwrap_or(&msg.msg).to_string());
    }
}

/// Runs `f` in a child with these flags and passes on what it says.
pub fn child_with(flags: Rfork, f: impl FnOnce() -> Outcome) -> Outcome {
    let pid = start_with(flags, f)?;
    let said = wait(pid)?;
    if said.is_empty() { Ok(()) } else { Err(said) }
}

/// [`child_with`] descriptors of its own.
pub fn child(f: impl FnOnce() -> Outcome) -> Outcome {
    child_with(Rfork::FDG, f)
}

/// Runs `f` in a child that is expected to die: its status. What it says on descriptor 2 is not shown. Should the
/// kernel keep it for a debugger, it is let go.
pub fn death(f: impl FnOnce() -> Outcome) -> Result<String, String> {
    let pid = start(|| {
        quiet()?;
        // Without its parent's handler.
        call(abi::syscall::NOTIFY, &[0])?;
        f()
    })?;
    let said = wait(pid)?;
    release(pid);
    Ok(said)
}

/// Descriptor 2 leads nowhere from here on.
pub fn quiet() -> Outcome {
    let null = File::open("/dev/null", abi::OWRITE)?;
    fd::dup(null.fd(), 2)?;
    Ok(())
}

/// Lets a Broken process go.
pub fn release(pid: i32) {
    // It may be gone already.
    let _ = lib9::file::control(&format!("/proc/{pid}/ctl"), "kill");
}

/// A file of the process `pid`.
pub fn proc_file(pid: i32, name: &str) -> Result<String, Error> {
    lib9::file::read_string(&format!("/proc/{pid}/{name}"))
}

/// The state of a process, as `/proc/n/status` has it.
pub fn state(pid: i32) -> String {
    let text = proc_file(pid, "status").unwrap_or_default();
    text.get(56..67).unwrap_or("").trim().to_string()
}

/// Waits until the process is in this state. Ten seconds are too long.
pub fn until_state(pid: i32, wanted: &str) -> Outcome {
    let mut is = String::new();
    for _ in 0..5000 {
        is = state(pid);
        if is == wanted {
            return Ok(());
        }
        proc::sleep(2)?;
    }
    Err(format!("process {pid} is {is}, not {wanted}"))
}

/// Has this process told a note as soon as it waits in the call of this name. An alarm may ring before it waits, and
/// then nothing ends that. Nobody is told of the end of the process that does it.
pub fn note_in(state: &'static str) -> Outcome {
    let me = proc::getpid();
    start_with(Rfork::NOWAIT, || {
        until_state(me, state)?;
        proc::postnote(me, "now").map_err(Into::into)
    })?;
    Ok(())
}

/// Writes a message to `/proc/n/ctl`.
pub fn ctl(pid: i32, message: &str) -> Result<(), Error> {
    lib9::file::control(&format!("/proc/{pid}/ctl"), message)
}

/// A directory of this process's own in `/tmp`, which goes with the test (see [`Folder`]).
pub struct Folder(pub String);

impl Folder {
    /// Makes it.
    pub fn new() -> Result<Folder, Error> {
        let name = format!("/tmp/usertests.{}", proc::getpid());
        File::create(&name, abi::OREAD, abi::DMDIR | 0o777)?;
        Ok(Folder(name))
    }

    /// The name of something in it.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// Makes a file in it; gives its name.
    pub fn file(&self, name: &str, perm: u32, bytes: &[u8]) -> Result<String, Error> {
        let name = self.at(name);
        File::create(&name, abi::OWRITE, perm)?.write_all(bytes)?;
        Ok(name)
    }
}

fn remove_all(name: &str) {
    for dir in fd::readdir(name).unwrap_or_default() {
        let below = format!("{name}/{}", dir.name);
        // What is mounted on it would keep it.
        let _ = lib9::ns::unmount(None, &below);
        if dir.is_dir() {
            remove_all(&below);
        }
        let _ = fd::remove(&below);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove_all(&self.0);
        let _ = fd::remove(&self.0);
    }
}

/// Runs `f` with its descriptor 1 a pipe; gives what it wrote there and its status.
pub fn output(f: impl FnOnce() -> Outcome) -> Result<(String, String), String> {
    let [r, w] = fd::pipe()?;
    let pid = start(|| {
        fd::dup(w, 1)?;
        fd::close(w)?;
        fd::close(r)?;
        f()
    })?;
    fd::close(w)?;
    let bytes = fd::read_all(r)?;
    fd::close(r)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), wait(pid)?))
}

/// Executes this program again; see the module of that name.
pub fn exec_again(words: &[&str]) -> Outcome {
    let mut argv = lib9::alloc::vec!["usertests", "-x"];
    argv.extend(words);
    proc::exec("/bin/usertests", &argv)?;
    Ok(())
}

/// What this program prints when it is executed again.
pub fn run_helper(words: &[&str]) -> Result<String, String> {
    let (text, status) = output(|| exec_again(words))?;
    if status.is_empty() { Ok(text) } else { Err(status) }
}
