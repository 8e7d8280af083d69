//! Which QEMU is started, and which version it is. Versions differ in the words of a few options.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// The variable of the environment that names another QEMU.
const VARIABLE: &str = "QEMU";

/// The QEMU that `PATH` leads to, where none is named.
const USUAL: &str = "qemu-system-x86_64";

/// How long it may take to say its version; it needs a few tens of milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much of what it says then is read, in bytes.
const ANSWER: u64 = 4096;

/// A version of QEMU. They are in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second: this one and the first say what the options are.
    pub minor: u32,
    /// The third, 0 where it is not said.
    pub micro: u32,
}

impl Version {
    /// What `--version` says, as `QEMU emulator version 7.2.22 (Debian 1:7.2...)`.
    fn parse(text: &str) -> Option<Version> {
        let (_, behind) = text.split_once("QEMU emulator version ")?;
        let end = behind.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(behind.len());
        let mut numbers = behind.get(..end)?.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Version { major, minor, micro: numbers.next().flatten().unwrap_or(0) })
    }

    /// The property of a socket's chardev that makes QEMU call again one second after the connection has ended.
    pub fn calls_again(self) -> &'static str {
        // The older word is refused from 11.0 on.
        if (self.major, self.minor) >= (9, 2) { "reconnect-ms=1000" } else { "reconnect=1" }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// What the variable says, if it says anything.
fn named() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(VARIABLE).filter(|name| !name.is_empty())?);
    // It may be started from another folder. A plain name is looked for in PATH.
    let is_plain = path.components().count() == 1 && path.file_name() == Some(path.as_os_str());
    Some(if is_plain { path } else { std::path::absolute(&path).unwrap_or(path) })
}

/// The QEMU that machines are started with: `qemu-system-x86_64`, or what the environment variable `QEMU` names.
pub fn qemu() -> PathBuf {
    named().unwrap_or_else(|| USUAL.into())
}

/// The version of [`qemu`]. It is asked once.
///
/// # Errors
/// It cannot be started, or it does not say a version as QEMU does. The message names the variable, if it is set.
pub fn qemu_version() -> Result<Version> {
    static ANSWER: OnceLock<Result<Version, String>> = OnceLock::new();
    let answer = ANSWER.get_or_init(|| {
        let program = qemu();
        let told = if named().is_some() { format!("{VARIABLE}={}", program.display()) } else { USUAL.into() };
        ask(&program).map_err(|error| format!("{told}: {error:#}"))
    });
    answer.clone().map_err(|error| anyhow!(error))
}

/// Looks whether the QEMU that the environment names is one, so that who has misspelt it is told. One that nobody has
/// named is left in peace.
///
/// # Errors
/// Those of [`qemu_version`].
pub fn check_named_qemu() -> Result<()> {
    if named().is_some() {
        qemu_version()?;
    }
    Ok(())
}

/// Asks `program` for its version.
fn ask(program: &Path) -> Result<Version> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot be started")?;
    let output = child.stdout.take().context("no output")?;
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is judged all the same.
        let _ = output.take(ANSWER).read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let answer = answers.recv_timeout(PATIENCE);
    // It has ended, or has no reader any more, or is not worth waiting for.
    let _ = child.kill();
    let _ = child.wait();
    let Ok(answer) = answer else { bail!("it does not say its version, so it is no QEMU") };
    let first = answer.lines().next().unwrap_or_default();
    Version::parse(&answer).with_context(|| format!("it is no QEMU: asked for its version it says {first:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u32, minor: u32, micro: u32) -> Option<Version> {
        Some(Version { major, minor, micro })
    }

    #[test]
    fn versions_are_read() {
        let of = |number: &str| Version::parse(&format!("QEMU emulator version {number}"));
        assert_eq!(of("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright\n"), version(7, 2, 22));
        assert_eq!(of("11.1.0-rc2 (v11.1.0-rc2)\n"), version(11, 1, 0));
        assert_eq!(of("10.0"), version(10, 0, 0));
        assert_eq!(Version::parse("a warning\nQEMU emulator version 9.2.1\n"), version(9, 2, 1));
        for number in ["", "7", "x.1", "7.x", ".2", "99999999999.1", "(Debian)"] {
            assert_eq!(of(number), None, "{number}");
        }
        assert_eq!(Version::parse("qemu-img version 7.2.22"), None);
        assert_eq!(version(7, 2, 22).unwrap().to_string(), "7.2.22");
    }

    #[test]
    fn the_word_for_calling_again_is_the_versions_own() {
        let word = |major, minor| version(major, minor, 9).unwrap().calls_again();
        assert_eq!([word(7, 2), word(9, 1)], ["reconnect=1"; 2]);
        assert_eq!([word(9, 2), word(10, 0), word(11, 1)], ["reconnect-ms=1000"; 3]);
    }

    #[test]
    fn what_is_no_qemu_is_told() {
        let error = |program: &str| format!("{:#}", ask(Path::new(program)).unwrap_err());
        assert!(error("/nonexistent/qemu").starts_with("cannot be started: No such file"));
        assert!(error("/bin/true").starts_with("it is no QEMU: asked for its version it says"));
    }
}
