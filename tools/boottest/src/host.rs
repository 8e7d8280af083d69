//! Programs of the host that a case runs beside its machine: `elwood serve`, which the machine reaches through a
//! character device, and `elwood mount-test`, which looks at what the machine serves there. They end with the case,
//! whatever becomes of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a program of the host is: in PATH, or where the administrator's are.
pub fn program_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// All programs of a case.
#[derive(Default)]
pub struct Programs {
    folder: PathBuf,
    elwood: PathBuf,
    running: Mutex<BTreeMap<String, Child>>,
}

impl Programs {
    /// None yet. What they say goes to files in `folder`.
    pub fn new(folder: &Path, elwood: &Path) -> Programs {
        Programs { folder: folder.to_owned(), elwood: elwood.to_owned(), running: Mutex::default() }
    }

    /// Starts `elwood serve` of `dir`, which calls the Unix socket `at`.
    pub fn serve_calling(&self, name: &str, dir: &Path, at: &Path) -> Result<()> {
        self.start(
            name,
            &["serve".as_ref(), dir.as_ref(), "--unix".as_ref(), at.as_ref(), "--connect".as_ref()],
        )
    }

    /// Starts `elwood serve` of `dir`, which listens on the Unix socket `at`, and waits until it does.
    pub fn serve_listening(&self, name: &str, dir: &Path, at: &Path) -> Result<()> {
        self.start(name, &["serve".as_ref(), dir.as_ref(), "--unix".as_ref(), at.as_ref()])?;
        let end = Instant::now() + PATIENCE;
        while !fs::read_to_string(self.log(name))?.contains("the folder is on") {
            ensure!(self.is_running(name)?, "{name} has ended: {}", fs::read_to_string(self.log(name))?);
            ensure!(Instant::now() < end, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts `elwood serve` of `dir` on a port of the loopback, `port` or one that is free if that is 0. The port.
    pub fn serve_tcp(&self, name: &str, dir: &Path, port: u16) -> Result<u16> {
        let at = format!("127.0.0.1:{port}");
        self.start(name, &["serve".as_ref(), dir.as_ref(), "--tcp".as_ref(), at.as_ref()])?;
        let end = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(self.log(name))?;
            let port = said.lines().next().and_then(|line| line.rsplit_once(" is on 127.0.0.1:"));
            if let Some(port) = port.filter(|_| said.ends_with('\n')) {
                return Ok(port.1.parse()?);
            }
            ensure!(self.is_running(name)?, "{name} has ended: {said}");
            ensure!(Instant::now() < end, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// [`Programs::mount_test`] of a server on TCP.
    pub fn mount_test_tcp(
        &self,
        at: SocketAddr,
        words: &[&str],
        input: &[u8],
    ) -> Result<Result<Vec<u8>, String>> {
        self.run_mount_test(&["--tcp".as_ref(), at.to_string().as_ref()], words, input)
    }

    /// Runs `elwood mount-test` with `words` on the Unix socket `at`; `input` is what it may read. What it prints, or
    /// the message that it fails with.
    pub fn mount_test(&self, at: &Path, words: &[&str], input: &[u8]) -> Result<Result<Vec<u8>, String>> {
        self.run_mount_test(&["--unix".as_ref(), at.as_ref()], words, input)
    }

    fn run_mount_test(
        &self,
        place: &[&OsStr],
        words: &[&str],
        input: &[u8],
    ) -> Result<Result<Vec<u8>, String>> {
        let mut command = Command::new(&self.elwood);
        command.arg("mount-test").args(place).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.elwood.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that wants no input closes it.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output()?;
        Ok(match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()),
        })
    }

    /// The program `elwood`.
    pub fn elwood(&self) -> &Path {
        &self.elwood
    }

    fn start(&self, name: &str, args: &[&OsStr]) -> Result<()> {
        self.run(name, Command::new(&self.elwood).args(args).stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Starts a program; what it says goes to a file.
    pub fn run(&self, name: &str, command: &mut Command) -> Result<()> {
        command.stderr(File::create(self.log(name))?);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        match self.all().insert(name.to_owned(), child) {
            Some(_) => bail!("two programs called {name}"),
            None => Ok(()),
        }
    }

    /// Stops it where it is, or lets it go on.
    pub fn pause(&self, name: &str, pause: bool) -> Result<()> {
        let all = self.all();
        let child = all.get(name).with_context(|| format!("no program {name}"))?;
        Ok(kill_process(Pid::from_child(child), if pause { Signal::STOP } else { Signal::CONT })?)
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&self, name: &str) -> Result<()> {
        let mut child = self.all().remove(name).with_context(|| format!("no program {name}"))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// What all of them have said.
    pub fn messages(&self) -> String {
        let names: Vec<String> = self.all().keys().cloned().collect();
        names.iter().filter_map(|name| fs::read_to_string(self.log(name)).ok()).collect()
    }

    fn is_running(&self, name: &str) -> Result<bool> {
        let mut all = self.all();
        let child = all.get_mut(name).with_context(|| format!("no program {name}"))?;
        Ok(child.try_wait()?.is_none())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for child in self.all().values_mut() {
            // An error means that it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
