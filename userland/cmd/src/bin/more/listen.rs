//! aux/listen [-iqv] [-a host] [-d dir] [-t dir] [-n namespace] [-p calls] [-o message] [-O message] [proto]: answer
//! calls with the programs of a folder. See listen(8).
//!
//! Each service has a process that listens for it. The folders are looked through again once a minute: what has come
//! is listened for, and who listens for what has gone goes.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::Rfork;
use cmd::listen::{Answerer, MOST, announce, files, service};
use lib9::proc::Noted;
use lib9::{Args, Fork, Result, eprintln, proc, usage};

/// Milliseconds between one look at the folders and the next, and until an address is tried again.
const LOOK_MS: u32 = 60_000;
const AGAIN_MS: u32 = 10_000;

/// What was said.
struct Job {
    proto: String,
    /// At which of our addresses.
    host: String,
    /// The folders, and whether their programs run as who listens.
    dirs: [(String, bool); 2],
    namespace: Option<String>,
    most: usize,
    quiet: bool,
    tells: bool,
    /// The folders are looked through once.
    once: bool,
    /// Messages of ip(3) for calls, and for what listens.
    options: Vec<String>,
    own_options: Vec<String>,
}

pub fn main(args: &Args) -> Result<()> {
    let mut job = Job {
        proto: "tcp".into(),
        host: "*".into(),
        dirs: [("/bin/service".into(), false), ("/bin/service.auth".into(), true)],
        namespace: None,
        most: MOST,
        quiet: false,
        tells: false,
        once: false,
        options: Vec::new(),
        own_options: Vec::new(),
    };
    // Who names a folder means that one.
    let mut named = [None, None];
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let switch = match letter {
            'i' => Some(&mut job.once),
            'q' => Some(&mut job.quiet),
            'v' => Some(&mut job.tells),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = true;
            continue;
        }
        let value = flags.value().unwrap_or_else(|_| synopsis(args)).to_string();
        match letter {
            'a' => job.host = value,
            'd' => named[0] = Some(value),
            't' => named[1] = Some(value),
            'n' => job.namespace = Some(value),
            'o' => job.options.push(value),
            'O' => job.own_options.push(value),
            'p' => job.most = value.parse().ok().filter(|n| *n != 0).unwrap_or_else(|| synopsis(args)),
            _ => synopsis(args),
        }
    }
    if named.iter().any(Option::is_some) {
        let [untrusted, trusted] = named.map(Option::unwrap_or_default);
        job.dirs = [(untrusted, false), (trusted, true)];
    }
    match flags.rest() {
        [] => {}
        [proto] => job.proto = proto.clone(),
        _ => synopsis(args),
    }
    // Who called goes on.
    let flags = Rfork::PROC | Rfork::FDG | Rfork::NAMEG | Rfork::NOTEG | Rfork::NOWAIT;
    match proc::rfork(flags)? {
        Fork::Parent(_) => Ok(()),
        Fork::Child => job.run(),
    }
}

impl Job {
    /// Looks at the folders from time to time, and when a listener has ended.
    fn run(&self) -> Result<()> {
        proc::notify(Some(|note| if note == "alarm" { Noted::Continue } else { Noted::Default }))?;
        let mut listeners = BTreeMap::new();
        loop {
            if !self.once || listeners.is_empty() {
                self.look(&mut listeners);
            }
            proc::alarm(if self.once { 0 } else { LOOK_MS });
            match proc::await_() {
                Ok(ended) => {
                    listeners.retain(|_, pid| *pid != ended.pid);
                    proc::alarm(0);
                    // One that does not stay has a reason, which may go.
                    proc::sleep(1000)?;
                }
                Err(e) if e.is(abi::error::EINTR) => {}
                // There are no services.
                Err(_) => {
                    proc::alarm(0);
                    proc::sleep(LOOK_MS)?;
                }
            }
        }
    }

    /// Starts listeners for what has come, and ends those of what has gone.
    fn look(&self, listeners: &mut BTreeMap<String, i32>) {
        let mut wanted = BTreeMap::new();
        for (dir, trusted) in self.dirs.iter().filter(|(dir, _)| !dir.is_empty()) {
            for name in files(dir) {
                if let Some(port) = service(&self.proto, &name) {
                    let program = format!("{dir}/{name}");
                    wanted.insert(program, (format!("{}!{}!{port}", self.proto, self.host), *trusted));
                }
            }
        }
        listeners.retain(|program, pid| {
            let stays = wanted.contains_key(program);
            if !stays {
                let _ = proc::postnote(*pid, "kill");
            }
            stays
        });
        for (program, (address, trusted)) in wanted {
            if listeners.contains_key(&program) {
                continue;
            }
            match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::ENVG) {
                Ok(Fork::Parent(pid)) => drop(listeners.insert(program, pid)),
                Ok(Fork::Child) => self.listen(&program, &address, trusted),
                Err(e) => eprintln!("listen: {program}: {e}"),
            }
        }
    }

    /// Listens for one service, for ever.
    fn listen(&self, program: &str, address: &str, trusted: bool) -> ! {
        let answerer = Answerer {
            words: [Some(program), None].into(),
            trusted,
            namespace: self.namespace.as_deref(),
            most: self.most,
            tells: self.tells,
            once: false,
            options: &self.options,
        };
        loop {
            let answered = announce(address, &self.own_options).and_then(|at| answerer.answer(&at));
            if let (Err(e), false) = (answered, self.quiet) {
                eprintln!("listen: {address}: {e}");
            }
            let _ = proc::sleep(AGAIN_MS);
        }
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-iqv] [-a host] [-d dir] [-t dir] [-n namespace] [-p calls] [-o message] [-O message] [proto]")
}
