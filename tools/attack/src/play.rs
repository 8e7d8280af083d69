//! Plays a plan: boots the machine, types the rounds at its prompt, judges what comes.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ninep::Dialect;
use vm::{Board, Guest, Share, Vm, exit_code};

use crate::Options;
use crate::count::{self, Counts};
use crate::plan::{Plan, Round};
use crate::port::{Other, Port};

/// The prompt that the first shell prints.
const PROMPT: &str = "term% ";
/// How long a machine may take to boot on a busy host.
const BOOT: Duration = Duration::from_secs(60);
/// How long the console may take to answer a line that does next to nothing.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a round may take beyond its own seconds: its processes are killed, its files removed.
const SLACK: Duration = Duration::from_secs(90);
/// How long usertests may take.
const TESTS: Duration = Duration::from_secs(240);

/// In so many MiB, half of which is set aside or the kernel's, a few processes of usertests can be one too many, now
/// and then: what fails is asked again, and what the attack has left behind fails again.
const SCARCE: u32 = 16;

/// How often the same rounds are played again when memory seems to grow with them.
const AGAIN: usize = 3;

/// What became of a machine.
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// All that it printed.
    pub transcript: String,
    /// How long it took.
    pub took: Duration,
    /// What is worth a remark.
    pub noted: String,
}

/// Plays `plan`.
pub fn play(plan: &Plan, options: &Options) -> Outcome {
    let begun = Instant::now();
    let (mut transcript, mut noted) = (String::new(), String::new());
    let failure = try_play(plan, options, &mut transcript, &mut noted).err();
    let failure = failure.map(|e| format!("{e:#}"));
    Outcome { failure, transcript, took: begun.elapsed(), noted }
}

fn try_play(plan: &Plan, options: &Options, transcript: &mut String, noted: &mut String) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("attack").tempdir()?;
    let overlay = dir.path().join("overlay.tar");
    archive(&overlay, &options.program).context("the archive with attack9")?;
    let share = dir.path().join("share");
    std::fs::create_dir(&share)?;
    let names = ["liar", "proxied"];
    let ports = names.map(|name| Port::new(dir.path(), name));
    let mut vm = Vm::new(Board::Q35)
        .kernel(&options.kernel)
        .memory_mib(plan.memory)
        .smp(plan.smp)
        .initrd(overlay)
        .debug_exit()
        .share(Share::new("host", &share))
        .append("mount=host:/n/host")
        .arg("-device")
        .arg("virtio-serial-pci");
    for (n, (port, name)) in ports.iter().zip(names).enumerate() {
        for argument in port.arguments(name, n + 1) {
            vm = vm.arg(argument);
        }
    }
    let guest = if options.verbose { vm.start_and_copy(show)? } else { vm.start()? };
    let mut player = Player { guest, ports, options, noted };
    let mut result = player.all(plan);
    *transcript = player.guest.transcript().text();
    let said = player.guest.qemu_messages();
    if !said.is_empty() {
        *transcript += &format!("\n--- QEMU's own messages\n{said}");
    }
    // Whatever else went wrong, this is why.
    if let Some(at) = transcript.find("panic:") {
        let line = transcript.get(at..).and_then(|t| t.lines().next()).unwrap_or_default();
        result = result.and(Err(anyhow::anyhow!("the machine said: {line}"))).context(line.to_owned());
    }
    result
}

fn show(piece: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is no reason to fail.
    let _ = out.write_all(piece).and_then(|()| out.flush());
}

/// An archive with the program as /bin/attack9.
fn archive(path: &Path, program: &Path) -> Result<()> {
    let bytes = std::fs::read(program)?;
    let mut archive = tar::Builder::new(File::create(path)?);
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len().try_into()?);
    header.set_mode(0o755);
    archive.append_data(&mut header, "bin/attack9", bytes.as_slice())?;
    archive.into_inner()?.flush()?;
    Ok(())
}

struct Player<'a> {
    guest: Guest,
    ports: [Port; 2],
    options: &'a Options,
    noted: &'a mut String,
}

impl Player<'_> {
    fn all(&mut self, plan: &Plan) -> Result<()> {
        self.guest.expect(PROMPT, BOOT).context("booting")?;
        let before = self.tests(plan).context("usertests before anything was done")?;
        let mut counts = vec![self.counts()?];
        for round in &plan.rounds {
            self.whole_round(round, plan)?;
            counts.push(self.counts()?);
        }
        let suspect = count::growing(&counts);
        if !suspect.is_empty() {
            let mut series = Vec::from_iter(counts.last().cloned());
            for _ in 0..AGAIN {
                plan.rounds.iter().try_for_each(|round| self.whole_round(round, plan))?;
                series.push(self.counts()?);
            }
            let growing = count::again_and_again(&series);
            ensure!(growing.is_empty(), "{growing:?}; after each round it was {suspect:?}");
            *self.noted += "  (done again: nothing grows)";
        }
        let mut new = self.tests(plan).context("usertests afterwards")?;
        new.retain(|line| !before.contains(line));
        if !new.is_empty() && plan.memory <= SCARCE {
            *self.noted += &format!("  (asked again: {new:?})");
            let again = self.tests(plan).context("usertests once more")?;
            new.retain(|line| again.contains(line));
        }
        ensure!(new.is_empty(), "usertests that did not fail before: {new:?}");
        if let (Some(first), Some(last)) = (counts.first(), counts.last()) {
            for (name, more) in last.grown_since(first) {
                *self.noted += &format!("  {name}+{more}");
            }
        }
        self.guest.send("exit\n")?;
        let code = exit_code(self.guest.wait_exit(ANSWER)?);
        ensure!(code == 0, "QEMU ended with status {code}");
        Ok(())
    }

    /// A round, after which the console answers.
    fn whole_round(&mut self, round: &Round, plan: &Plan) -> Result<()> {
        self.round(round, plan).with_context(|| format!("in the round {round}"))?;
        self.alive().with_context(|| format!("after the round {round}"))
    }

    /// Types a line; what it printed.
    fn line(&mut self, line: &str, budget: Duration) -> Result<String> {
        self.guest.send(&format!("{line}\n"))?;
        self.guest.expect(format!("{line}\n"), ANSWER).context("the line's echo")?;
        Ok(self.guest.expect(PROMPT, budget).with_context(|| line.to_owned())?.before)
    }

    fn alive(&mut self) -> Result<()> {
        let said = self.line("echo still; echo here", ANSWER).context("the console does not answer")?;
        ensure!(said.contains("still\nhere\n"), "the console answers {said:?}");
        Ok(())
    }

    fn counts(&mut self) -> Result<Counts> {
        let counts = Counts::parse(&self.line("cat /dev/swap /dev/pools >[2]/dev/null", ANSWER)?);
        ensure!(!counts.is_empty(), "/dev/swap has nothing to count");
        Ok(counts)
    }

    /// The lines of usertests that failed.
    fn tests(&mut self, plan: &Plan) -> Result<Vec<String>> {
        let said = self.line(&format!("usertests {}", plan.tests), TESTS)?;
        ensure!(said.contains("usertests: "), "usertests says {said:?}");
        let failed = said.lines().filter(|l| l.starts_with("FAIL"));
        // What is wrong may have numbers of its own: the name counts.
        Ok(failed.map(|l| l.split(':').next().unwrap_or(l).to_owned()).collect())
    }

    /// A line that runs attack9, which is to say that it is done.
    fn attack(&mut self, words: &str, seconds: u64) -> Result<()> {
        let said = self.line(&format!("attack9 {words}"), SLACK + Duration::from_secs(seconds))?;
        if let Some(wrong) = said.lines().find(|l| l.contains("attack9: WRONG")) {
            bail!("{wrong}");
        }
        if !said.contains("attack9: done") {
            // It was killed itself, which it may be when memory is out; somebody has to clean up.
            *self.noted += "  (attack9 ended early)";
            self.clean()?;
        }
        Ok(())
    }

    /// Ends what an attack has left. There may be no memory for that at first.
    fn clean(&mut self) -> Result<()> {
        let until = Instant::now() + SLACK;
        loop {
            let said = self.line("attack9 clean", SLACK)?;
            if said.contains("attack9: done") {
                return Ok(());
            }
            ensure!(Instant::now() < until && !said.contains("WRONG"), "cleaning up: {said}");
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    fn round(&mut self, round: &Round, plan: &Plan) -> Result<()> {
        let seconds = self.options.seconds;
        let w = if self.options.spare_nothing { " -w" } else { "" };
        match round {
            Round::Calls(seed) => self.attack(&format!("calls {seed} {seconds}{w}"), seconds),
            Round::Exhaust(kinds) => {
                let most = 4 * seconds;
                self.attack(&format!("exhaust {most} {}", kinds.join(" ")), most)
            }
            Round::Programs(seed) => self.attack(&format!("programs {seed} {seconds}"), seconds),
            Round::Pipe(dialect, seed) => self.attack(&format!("server {dialect} {seed} {seconds}"), seconds),
            Round::Port(dialect, seed) => {
                self.ports[0].becomes(Other::Liar(*dialect, *seed));
                self.attack(
                    &format!("client /dev/virtcon/by-name/liar {dialect} {seed} {seconds}"),
                    seconds,
                )?;
                self.port_lives("liar")
            }
            Round::Proxy(seed) => self.proxy(*seed, seconds),
            Round::Servers(seed) => {
                self.ports[0].becomes(Other::Liar(Dialect::L, *seed));
                let line = format!("attack9 server 9P2000.u {seed} {seconds} >/tmp/other &");
                self.line(&line, ANSWER)?;
                self.attack(&format!("client /dev/virtcon/by-name/liar 9P2000.L {seed} {seconds}"), seconds)?;
                let other =
                    self.line("wait; cat /tmp/other; rm /tmp/other", SLACK + Duration::from_secs(seconds))?;
                ensure!(!other.contains("attack9: WRONG"), "{other}");
                self.port_lives("liar")?;
                self.proxy(*seed, seconds)
            }
            Round::Soak(seed) => {
                let seconds = self.options.time.max(10);
                let _ = plan;
                self.attack(&format!("soak {seed} {seconds} /n/host"), seconds)
            }
        }
    }

    /// The server behind 9pvpxy: it ends with the proxy's first complaint, so there are several of both.
    fn proxy(&mut self, seed: u64, seconds: u64) -> Result<()> {
        for n in 0..2 {
            let seed = seed.wrapping_add(n);
            self.ports[1].becomes(Other::Liar(Dialect::P9, seed));
            self.line("srv -q -e '9pvpxy /dev/virtcon/by-name/proxied' proxied >[2]/dev/null", ANSWER)?;
            let half = seconds.div_ceil(2);
            self.attack(&format!("client /srv/proxied 9P2000 {seed} {half}"), half)?;
            self.line("rm /srv/proxied >[2]/dev/null", ANSWER)?;
            self.port_lives("proxied")?;
        }
        Ok(())
    }

    /// Whether a port still passes something both ways.
    fn port_lives(&mut self, name: &str) -> Result<()> {
        let port = &self.ports[usize::from(name != "liar")];
        port.becomes(Other::Echo);
        let said = self.line(&format!("attack9 ping /dev/virtcon/by-name/{name}"), ANSWER)?;
        if said.contains("attack9: done") {
            return Ok(());
        }
        // What there is to know of it, here and there.
        let (there, bytes) = self.ports[usize::from(name != "liar")].doing();
        let here = self.line("ps; cat /dev/virtio /dev/virtiostat", ANSWER).unwrap_or_default();
        bail!("the port {name}: {said}; the host's end {there}, {bytes} bytes heard there\n{here}");
    }
}
