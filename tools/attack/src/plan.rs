//! What happens in a machine, as a function of its seed.

use std::fmt;

use ninep::Dialect;
use ninep::testserver::hostile::Random;

use crate::Options;

/// Sizes of memory in MiB.
const MEMORY: &[u32] = &[16, 32, 48, 64, 256];
/// Numbers of processors.
const PROCESSORS: &[u32] = &[1, 2, 4];

/// The groups of usertests that take a second or two, and that the smallest machine has room for.
const TESTS: &[&str] =
    &["fd pipe", "pointers fd", "pipe sem rendezvous", "fork", "note", "mem", "name dir", "file", "proc"];
/// The kinds of things to exhaust, as `attack9 kinds` has them.
pub const KINDS: &[&str] = &[
    "descriptors",
    "pipes",
    "environment",
    "names",
    "unions",
    "binds",
    "mounts",
    "posts",
    "tmp",
    "paths",
    "once",
    "queues",
    "processes",
    "threads",
    "short",
    "records",
    "notes",
    "alarms",
    "rendezvous",
    "semaphores",
    "spaces",
    "broken",
    "segments",
    "sparse",
    "memory",
    "many",
    "shared",
    "arguments",
    "stacks",
];

/// One round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// Random system calls.
    Calls(u64),
    /// Takes all of these kinds at the same time.
    Exhaust(Vec<&'static str>),
    /// Broken executables.
    Programs(u64),
    /// A server that lies, behind a pipe in the machine.
    Pipe(Dialect, u64),
    /// One behind a port.
    Port(Dialect, u64),
    /// One behind a port and `9pvpxy`.
    Proxy(u64),
    /// The three at the same time.
    Servers(u64),
    /// Honest work in a folder of the host.
    Soak(u64),
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Round::Calls(_) => write!(f, "calls"),
            Round::Exhaust(kinds) => write!(f, "exhaust:{}", kinds.join("+")),
            Round::Programs(_) => write!(f, "programs"),
            Round::Pipe(dialect, _) => write!(f, "pipe:{dialect}"),
            Round::Port(dialect, _) => write!(f, "port:{dialect}"),
            Round::Proxy(_) => write!(f, "proxy"),
            Round::Servers(_) => write!(f, "servers"),
            Round::Soak(_) => write!(f, "soak"),
        }
    }
}

impl Round {
    /// Any one.
    fn random(random: &mut Random) -> Round {
        let seed = random.number() >> 32;
        let dialect = *random.of(&Dialect::ALL).unwrap_or(&Dialect::P9);
        let kind = |random: &mut Random| random.of(KINDS).copied().unwrap_or("memory");
        match random.below(16) {
            0..4 => Round::Calls(seed),
            4..7 => Round::Exhaust(vec![kind(random)]),
            7..9 => Round::Exhaust(vec![kind(random), kind(random)]),
            9..11 => Round::Programs(seed),
            11..13 => Round::Pipe(dialect, seed),
            13 => Round::Port(dialect, seed),
            14 => Round::Proxy(seed),
            _ => Round::Servers(seed),
        }
    }
}

/// A machine's seed and what it means.
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// MiB of memory.
    pub memory: u32,
    /// Processors.
    pub smp: u32,
    /// What is done, in this order.
    pub rounds: Vec<Round>,
    /// Which usertests are played before and after: groups' names.
    pub tests: &'static str,
}

impl Plan {
    /// What `seed` means, as far as the options leave it open.
    pub fn new(seed: u64, options: &Options) -> Plan {
        let mut random = Random(seed);
        let memory = random.of(MEMORY).copied().unwrap_or(64);
        let smp = random.of(PROCESSORS).copied().unwrap_or(1);
        let tests = random.of(TESTS).copied().unwrap_or("fork");
        let mut rounds = Vec::new();
        if options.soak {
            rounds.push(Round::Soak(seed));
        }
        // Words that no round has would be looked for in vain.
        for _ in 0..20_000 {
            if rounds.len() >= options.rounds || options.soak {
                break;
            }
            let round = Round::random(&mut random);
            let name = round.to_string();
            if options.only.is_empty() || options.only.iter().any(|word| name.contains(word.as_str())) {
                rounds.push(round);
            }
        }
        let memory = options.memory.unwrap_or(if options.soak { 256 } else { memory });
        Plan { seed, memory, smp: options.smp.unwrap_or(smp), rounds, tests }
    }

    /// The command that does the same again.
    pub fn again(&self, options: &Options) -> String {
        let mut words =
            format!("make attack SEED={} MACHINES=1 ARGS='-m {} --smp {}", self.seed, self.memory, self.smp);
        words += &format!(" --rounds {} --seconds {}", options.rounds, options.seconds);
        if !options.only.is_empty() {
            words += &format!(" --only {}", options.only.join(","));
        }
        if options.soak {
            words += &format!(" --soak --time {}", options.time);
        }
        if options.spare_nothing {
            words += " --spare-nothing";
        }
        words + "'"
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds: Vec<String> = self.rounds.iter().map(Round::to_string).collect();
        write!(f, "{} -m {} -smp {} {}", self.seed, self.memory, self.smp, rounds.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        let options = Options::parse_from(["attack"]);
        let words = |seed| Plan::new(seed, &options).to_string();
        assert_eq!(words(7), words(7));
        assert_ne!(words(7), words(8));
        assert_eq!(Plan::new(7, &options).rounds.len(), 5);
    }

    #[test]
    fn options_are_in_the_command_that_repeats_it() {
        let options = Options::parse_from(["attack", "--only", "exhaust:tmp,calls", "-m", "64"]);
        let plan = Plan::new(7, &options);
        assert!(plan.rounds.iter().all(|r| r.to_string().contains("tmp") || *r == r.clone()));
        let again = plan.again(&options);
        assert!(
            again.contains("SEED=7") && again.contains("-m 64") && again.contains("--only exhaust:tmp,calls"),
            "{again}"
        );
    }
}
