//! Plays one case: makes its folders, starts its machine, goes through its steps, looks how it ends.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vm::{Guest, Pattern, Version, exit_code};

use crate::case::{Case, End, Fill, PROMPT, Step, World};
use crate::host::Programs;
use crate::screen;
use crate::socket::Sockets;

/// What is tested.
pub struct Built<'a> {
    /// The kernel.
    pub kernel: &'a Path,
    /// The host's command `elwood`.
    pub elwood: &'a Path,
    /// The version of QEMU, some of whose options have other names in other versions.
    pub qemu: Version,
}

/// What became of a case.
pub struct Outcome {
    /// Why it failed, if it did.
    pub error: Option<anyhow::Error>,
    /// All that the machine printed.
    pub transcript: String,
    /// How long it took, with making the folders.
    pub took: Duration,
}

/// Plays `case` with what was `built`. `verbose` copies the console to standard output.
pub fn play(case: &Case, built: &Built<'_>, verbose: bool) -> Outcome {
    let begun = Instant::now();
    let mut transcript = String::new();
    let error = try_play(case, built, verbose, &mut transcript).err();
    Outcome { error, transcript, took: begun.elapsed() }
}

fn try_play(case: &Case, built: &Built<'_>, verbose: bool, transcript: &mut String) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("boottest").tempdir()?;
    let mut world = World {
        sockets: Sockets::new(dir.path(), built.qemu.calls_again()),
        programs: Programs::new(dir.path(), built.elwood),
        ..World::default()
    };
    let mut vm = case.vm.clone().kernel(built.kernel);
    let make = |name: &str, fill: &Fill| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder)?;
        fill(&folder).with_context(|| format!("filling the folder {name}"))?;
        anyhow::Ok((name.to_owned(), folder))
    };
    for (share, fill) in &case.shares {
        let (tag, folder) = make(share.tag(), fill)?;
        vm = vm.share(share.clone().at(&folder));
        world.folders.push((tag, folder));
    }
    for (name, fill) in &case.folders {
        world.folders.push(make(name, fill)?);
    }
    for (name, options, bytes) in &case.images {
        let path = dir.path().join(format!("{name}.img"));
        std::fs::write(&path, bytes)?;
        vm = vm.arg("-drive");
        vm = vm.arg(format!("if=none,id={name},format=raw,{options}{}", path.display()));
        world.images.push((name.clone(), path));
    }
    for (name, listener) in &case.chardevs {
        vm = vm.arg("-chardev").arg(world.sockets.chardev(name, *listener));
    }
    if let Some(files) = &case.overlay {
        let path = dir.path().join("overlay.tar");
        write_archive(&path, files)?;
        vm = vm.initrd(path);
    }
    for act in &case.first {
        act(&world).context("before the machine")?;
    }
    let deadline = Instant::now() + case.budget;
    let mut guest = if verbose { vm.start_and_copy(show)? } else { vm.start()? };
    let mut player = Player { guest: &mut guest, deadline, at_prompt: false, world };
    let mut result = player.all(case);
    let said = player.world.programs.messages();
    if let Ok(()) = result {
        result = ended(&mut guest, case.end, deadline);
    }
    *transcript = guest.transcript().text();
    let messages = guest.qemu_messages();
    if !messages.is_empty() {
        *transcript += &format!("\n--- QEMU's own messages\n{messages}");
    }
    if !said.is_empty() {
        *transcript += &format!("\n--- the host's programs\n{said}");
    }
    result?;
    for pattern in &case.forbidden {
        ensure!(!pattern.is_in(transcript), "the machine printed {pattern}");
    }
    Ok(())
}

/// Looks whether the machine ends as it should.
fn ended(guest: &mut Guest, end: End, deadline: Instant) -> Result<()> {
    let wanted = match end {
        End::Running => {
            ensure!(guest.is_running(), "the machine has ended, and should not have");
            return Ok(());
        }
        End::Exits(code) => Some(code),
        End::Fails => None,
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let code = exit_code(guest.wait_exit(left)?);
    match wanted {
        Some(wanted) => ensure!(code == wanted, "QEMU's exit status is {code}, not {wanted}"),
        None => ensure!(code != 0, "QEMU's exit status is 0"),
    }
    Ok(())
}

struct Player<'a> {
    guest: &'a mut Guest,
    deadline: Instant,
    at_prompt: bool,
    world: World,
}

impl Player<'_> {
    fn all(&mut self, case: &Case) -> Result<()> {
        let mut last = "the start".to_owned();
        for step in &case.steps {
            if let Step::Line(line) | Step::Type(line) | Step::Keys(line) = step {
                last = format!("typing {line:?}");
            }
            self.step(step).with_context(|| format!("after {last}"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Line(line) => self.line(line),
            Step::Gives(pattern) => {
                ensure!(
                    pattern.is_in(&self.world.output),
                    "{pattern} is not in this:\n{}",
                    self.world.output
                );
                Ok(())
            }
            Step::Is(text) => {
                ensure!(self.world.output == *text, "not {text:?} but {:?}", self.world.output);
                Ok(())
            }
            Step::Check(check) => check(&self.world),
            Step::Type(text) => {
                self.at_prompt = false;
                self.guest.send(text)
            }
            Step::Sees(pattern) => {
                self.at_prompt = matches!(pattern, Pattern::Text(text) if text == PROMPT);
                self.guest.expect_before(pattern.clone(), self.deadline)?;
                Ok(())
            }
            Step::Keys(text) => {
                self.at_prompt = false;
                screen::type_keys(self.guest.qmp()?, text)
            }
            Step::Qmp(command, arguments) => {
                self.world.answer = self.guest.qmp()?.execute(command, arguments.clone())?;
                Ok(())
            }
            Step::Happens(event, device) => self.guest.qmp()?.happens(event, device),
            Step::Stands(time) => {
                self.guest.stand_still(*time);
                Ok(())
            }
            Step::Waits(time) => {
                std::thread::sleep(*time);
                Ok(())
            }
            Step::Shows(pattern) => screen::wait(self.guest.qmp()?, pattern, self.deadline),
        }
    }

    /// Types a line at the prompt; what comes between its echo and the next prompt is its output.
    fn line(&mut self, line: &str) -> Result<()> {
        if !self.at_prompt {
            self.guest.expect_before(PROMPT, self.deadline)?;
        }
        self.guest.send(&format!("{line}\n"))?;
        self.guest.expect_before(format!("{line}\n"), self.deadline).context("the line's echo")?;
        self.world.output = self.guest.expect_before(PROMPT, self.deadline)?.before;
        self.at_prompt = true;
        Ok(())
    }
}

fn show(piece: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is no reason to fail.
    let _ = out.write_all(piece).and_then(|()| out.flush());
}

fn write_archive(path: &Path, files: &[(&'static str, String)]) -> Result<()> {
    let mut archive = tar::Builder::new(File::create(path)?);
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len().try_into()?);
        // Programs are in bin.
        header.set_mode(if name.starts_with("bin/") { 0o755 } else { 0o644 });
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()?.sync_data().context("the archive")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vm::{Board, Vm};

    use super::*;

    /// Prints a prompt, echoes lines and does what they say, as QEMU with a guest in it would. (A file of the source
    /// tree: a program that a test writes itself may still be open in another test's new process, and then not start.)
    const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stand-in");

    fn outcome(build: impl FnOnce(Case) -> Case) -> Result<(), String> {
        let case = build(Case::new("test", Vm::new(Board::Pc).qemu(STAND_IN)).budget(10));
        let built = Built {
            kernel: Path::new("kernel"),
            elwood: Path::new("elwood"),
            qemu: Version { major: 7, minor: 2, micro: 0 },
        };
        let outcome = play(&case, &built, false);
        assert!(outcome.transcript.starts_with("starting\n"), "{:?}", outcome.error);
        outcome.error.map_or(Ok(()), |e| Err(format!("{e:#}")))
    }

    #[test]
    fn lines_and_their_output() {
        outcome(|c| c.line("echo a; echo b").is("a\nb\n").gives("b").line("true").is("")).unwrap();
        let error = outcome(|c| c.line("echo a").is("b\n")).unwrap_err();
        assert!(error.contains("after typing \"echo a\"") && error.contains("\"a\\n\""), "{error}");
        assert!(outcome(|c| c.line("echo a").gives("b")).is_err());
    }

    #[test]
    fn typing_and_seeing_in_order() {
        outcome(|c| c.sees(PROMPT).types("echo o").types("ne\n").sees("\none\n").sees(PROMPT)).unwrap();
        assert!(outcome(|c| c.sees(PROMPT).sees("starting").budget(1)).is_err());
    }

    #[test]
    fn ends() {
        outcome(|c| c.sees(PROMPT).types("exit 3\n").ends(End::Exits(3))).unwrap();
        outcome(|c| c.sees(PROMPT).types("exit 3\n").ends(End::Fails)).unwrap();
        assert!(outcome(|c| c.sees(PROMPT).types("exit 0\n").ends(End::Fails)).is_err());
        assert!(outcome(|c| c.sees(PROMPT).types("exit 3\n").ends(End::Exits(0))).is_err());
        assert!(outcome(|c| c.sees(PROMPT).ends(End::Exits(0)).budget(1)).is_err());
        assert!(outcome(|c| c.sees(PROMPT).types("exit 0\n").sees("more")).is_err());
    }

    #[test]
    fn what_must_never_come() {
        let error = outcome(|c| c.line("echo kernel panic")).unwrap_err();
        assert!(error.contains("\"panic\""), "{error}");
        assert!(outcome(|c| c.line("echo 42").never("4")).is_err());
    }

    #[test]
    fn both_sides_of_a_share() {
        let case = |c: Case| c.share("host", |folder| Ok(fs::write(folder.join("in"), "x")?));
        outcome(|c| {
            case(c).line("cat in; echo made >out").is("x").check(|w| {
                let text = fs::read_to_string(w.folder("host")?.join("out"))?;
                ensure!(text == "made\n" && w.output == "x" && w.folder("other").is_err());
                Ok(())
            })
        })
        .unwrap();
        assert!(outcome(|c| case(c).line("true").check(|_| anyhow::bail!("no"))).is_err());
    }
}
