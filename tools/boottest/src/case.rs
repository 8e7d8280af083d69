//! What a boot case is: a machine, what is typed at it, what must come of it. Plain data, filled in by a fluent
//! builder.
//!
//! A case either types at the prompt (`line`, followed by what the line must print) or boots with `init`, in which
//! case the machine ends by itself. Pieces of the transcript are expected in order; some must never come.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use vm::{Board, Flavour, Pattern, Share, Vm};

use crate::host::program_path;
use crate::socket::Listener;

pub use crate::step::{Check, End, Fill, Step, World};

/// The prompt that the first shell prints.
pub const PROMPT: &str = "term% ";

/// A case.
pub struct Case {
    name: String,
    pub(crate) vm: Vm,
    pub(crate) shares: Vec<(Share, Fill)>,
    pub(crate) folders: Vec<(String, Fill)>,
    pub(crate) images: Vec<(String, &'static str, Vec<u8>)>,
    pub(crate) chardevs: Vec<(String, Listener)>,
    pub(crate) first: Vec<Check>,
    pub(crate) overlay: Option<Vec<(&'static str, String)>>,
    pub(crate) steps: Vec<Step>,
    pub(crate) forbidden: Vec<Pattern>,
    pub(crate) end: End,
    pub(crate) budget: Duration,
    pub(crate) needs: Option<(&'static str, &'static str)>,
    pinned: bool,
}

impl Case {
    /// A case that boots `vm`, has a minute, and must never see a kernel panic.
    pub fn new(name: impl Into<String>, vm: Vm) -> Case {
        Case {
            name: name.into(),
            vm,
            shares: Vec::new(),
            folders: Vec::new(),
            images: Vec::new(),
            first: Vec::new(),
            chardevs: Vec::new(),
            overlay: None,
            steps: Vec::new(),
            forbidden: vec!["panic".into()],
            end: End::Running,
            budget: Duration::from_secs(60),
            needs: None,
            pinned: false,
        }
    }

    /// It is left out where the host has no `program`, which is in Debian's `package`.
    pub fn needs(mut self, program: &'static str, package: &'static str) -> Case {
        self.needs = Some((program, package));
        self
    }

    /// Why it cannot be played here.
    pub fn lacks(&self) -> Option<String> {
        let (program, package) = self.needs?;
        let there = program_path(program).is_some();
        (!there).then(|| format!("no {program} here; Debian's package {package} has it"))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A fresh folder under the mount tag `tag`, with what `fill` puts in it.
    pub fn share(self, tag: &str, fill: impl Fn(&Path) -> Result<()> + Send + Sync + 'static) -> Case {
        self.share_as(Share::new(tag, ""), fill)
    }

    /// The same for a device described by `share`, whose path does not matter.
    pub fn share_as(
        mut self,
        share: Share,
        fill: impl Fn(&Path) -> Result<()> + Send + Sync + 'static,
    ) -> Case {
        self.shares.push((share, Box::new(fill)));
        self
    }

    /// A fresh folder of the host that the machine does not see, with what `fill` puts in it.
    pub fn folder(mut self, name: &str, fill: impl Fn(&Path) -> Result<()> + Send + Sync + 'static) -> Case {
        self.folders.push((name.to_owned(), Box::new(fill)));
        self
    }

    /// A disk with this content. `drive` is further options of QEMU's `-drive`, of which the last wants the image's
    /// path (`file=`); `device` further ones of its `-device`, each with a comma in front.
    pub fn disk(mut self, name: &str, bytes: Vec<u8>, drive: &'static str, device: &str) -> Case {
        self.images.push((name.to_owned(), drive, bytes));
        self.device(&format!("virtio-blk-pci,drive={name}{device}"))
    }

    /// Something to do on the host before the machine starts.
    pub fn first(mut self, act: impl Fn(&World) -> Result<()> + Send + Sync + 'static) -> Case {
        self.first.push(Box::new(act));
        self
    }

    /// Whether the same can be seen on other boards: it is not about this one, its firmware or its PCI.
    pub fn moves(&self) -> bool {
        self.vm.board() == Board::Q35 && !self.vm.has_firmware() && !self.pinned
    }

    /// A case that is about its board, or too long to be played on others as well.
    pub fn pinned(mut self) -> Case {
        self.pinned = true;
        self
    }

    /// The same on another board, with its virtio devices in one flavour.
    pub fn on(mut self, board: Board, flavour: Flavour) -> Case {
        let interface = match flavour {
            Flavour::Transitional => "",
            Flavour::Modern => "-modern",
            Flavour::Legacy => "-legacy",
        };
        self.name = format!("{}{interface}/{}", board.name(), self.name);
        self.vm = self.vm.on(board, flavour);
        for (share, _) in &mut self.shares {
            *share = share.clone().flavour(flavour);
        }
        self
    }

    /// The same with `count` processors, unless its machine has more than one anyway.
    pub fn smp(mut self, count: u32) -> Case {
        if self.vm.processors() == 1 {
            self.vm = self.vm.smp(count);
        }
        self
    }

    /// How many it has.
    #[cfg(test)]
    pub fn processors(&self) -> u32 {
        self.vm.processors()
    }

    /// Adds words to the kernel's command line.
    pub fn append(mut self, words: &str) -> Case {
        self.vm = self.vm.append(words);
        self
    }

    /// Boots with an archive of these files laid over the root.
    pub fn overlay(mut self, files: &[(&'static str, &str)]) -> Case {
        self.overlay = Some(files.iter().map(|&(name, text)| (name, text.to_owned())).collect());
        self
    }

    /// Adds a character device with a socket on which QEMU listens, for a device of the machine to use.
    pub fn chardev(mut self, name: &str) -> Case {
        self.chardevs.push((name.to_owned(), Listener::Qemu));
        self
    }

    /// Adds one with a socket on which the host listens, which QEMU calls, again and again when it is cut off.
    pub fn calling_chardev(mut self, name: &str) -> Case {
        self.chardevs.push((name.to_owned(), Listener::Host));
        self
    }

    /// Adds a device as QEMU's `-device` describes it.
    pub fn device(mut self, device: &str) -> Case {
        self.vm = self.vm.arg("-device").arg(device);
        self
    }

    /// Adds an argument to QEMU's command line.
    pub fn arg(mut self, arg: &str) -> Case {
        self.vm = self.vm.arg(arg);
        self
    }

    /// The host connects to a character device.
    pub fn connects(self, name: &'static str) -> Case {
        self.check(move |w| w.sockets.connect(name))
    }

    /// The host leaves it.
    pub fn leaves(self, name: &'static str) -> Case {
        self.check(move |w| w.sockets.leave(name))
    }

    /// The host sends these bytes to it.
    pub fn says(self, name: &'static str, bytes: &'static [u8]) -> Case {
        self.check(move |w| w.sockets.say(name, bytes))
    }

    /// The host receives exactly these.
    pub fn hears(self, name: &'static str, bytes: &'static [u8]) -> Case {
        self.check(move |w| {
            let heard = w.sockets.hear(name, bytes.len())?;
            anyhow::ensure!(heard == bytes, "the host heard {:?}", String::from_utf8_lossy(&heard));
            Ok(())
        })
    }

    /// Sooner or later the host receives `text`.
    pub fn hears_at_last(self, name: &'static str, text: &'static str) -> Case {
        self.check(move |w| w.sockets.hear_until(name, text.as_bytes()).map(drop))
    }

    /// The same case on a virtio console instead of the serial line.
    pub fn on_virtio_console(mut self) -> Case {
        self.name = format!("virtio-{}", self.name);
        self.vm = self.vm.virtio_console();
        self
    }

    /// Runs `command` instead of a prompt, on a machine that can report an exit status.
    pub fn init(mut self, command: &str) -> Case {
        self.vm = self.vm.append(format!("init='{}'", command.replace('\'', "''"))).debug_exit();
        self.end = End::Exits(0);
        self
    }

    fn step(mut self, step: Step) -> Case {
        self.steps.push(step);
        self
    }

    /// Types a line at the prompt and waits for the next prompt.
    pub fn line(self, line: impl Into<String>) -> Case {
        self.step(Step::Line(line.into()))
    }

    /// The last line's output contains `text`.
    pub fn gives(self, text: impl Into<Pattern>) -> Case {
        self.step(Step::Gives(text.into()))
    }

    /// The last line's output is `text`.
    pub fn is(self, text: impl Into<String>) -> Case {
        self.step(Step::Is(text.into()))
    }

    /// `check` finds nothing wrong with the last line's output or the host's folders.
    pub fn check(self, check: impl Fn(&World) -> Result<()> + Send + Sync + 'static) -> Case {
        self.step(Step::Check(Box::new(check)))
    }

    /// Types at a machine that need not be at the prompt.
    pub fn types(self, text: impl Into<String>) -> Case {
        self.step(Step::Type(text.into()))
    }

    /// `text` is printed after all that has been seen so far.
    pub fn sees(self, text: impl Into<Pattern>) -> Case {
        self.step(Step::Sees(text.into()))
    }

    /// Types on the PC's own keyboard.
    pub fn keys(mut self, text: &str) -> Case {
        self.vm = self.vm.with_qmp();
        self.step(Step::Keys(text.into()))
    }

    /// Tells QEMU to carry out a command of QMP; its answer is the next checks' `answer`.
    pub fn qmp(mut self, command: &'static str, arguments: Value) -> Case {
        self.vm = self.vm.with_qmp();
        self.step(Step::Qmp(command, arguments))
    }

    /// QEMU tells, since it was asked last, that this event has happened to the device with this id.
    pub fn happens(mut self, event: &'static str, device: &'static str) -> Case {
        self.vm = self.vm.with_qmp();
        self.step(Step::Happens(event, device))
    }

    /// QEMU stands still for so long, as on a host that sleeps.
    pub fn stands(self, seconds: u64) -> Case {
        self.step(Step::Stands(Duration::from_secs(seconds)))
    }

    /// Nothing happens for so long.
    pub fn waits(self, seconds: u64) -> Case {
        self.step(Step::Waits(Duration::from_secs(seconds)))
    }

    /// The screen shows `text` from now on or soon.
    pub fn shows(mut self, text: impl Into<Pattern>) -> Case {
        self.vm = self.vm.with_qmp();
        self.step(Step::Shows(text.into()))
    }

    /// `text` is never printed.
    pub fn never(mut self, text: impl Into<Pattern>) -> Case {
        self.forbidden.push(text.into());
        self
    }

    /// The kernel ends itself, as it should.
    pub fn panics(mut self) -> Case {
        self.forbidden.clear();
        self.end = End::Fails;
        self.vm = self.vm.debug_exit();
        self
    }

    /// How the machine ends.
    pub fn ends(mut self, end: End) -> Case {
        self.end = end;
        self
    }

    /// How long all of it may take, on a busy host with two cores and no KVM.
    pub fn budget(mut self, seconds: u64) -> Case {
        self.budget = Duration::from_secs(seconds);
        self
    }
}

/// A regular expression whose source is part of this program.
pub fn re(source: &str) -> Pattern {
    match Pattern::regex(source) {
        Ok(pattern) => pattern,
        Err(error) => unreachable!("{source}: {error}"),
    }
}
