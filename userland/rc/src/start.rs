//! How the shell begins: its flags, its environment, `/rc/lib/rcmain`.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::os::Os;
use crate::shell::{Flow, Shell};

/// What is run first, unless `-m` names something else.
const RCMAIN: &str = "/rc/lib/rcmain";

/// The letters of the flags, without those that have a value.
pub(crate) const FLAGS: &str = "bdeiIlprsvVx";

/// What is printed for wrong flags.
const USAGE: &str = "usage: rc [-bdeiIlprsvVx] [-c command] [-m initial] [file [arg ...]]";

/// The words of rc's command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Letters of the flags, without those below.
    pub flags: Vec<char>,
    /// `-c`: run this.
    pub command: Option<String>,
    /// `-m`: begin with this file.
    pub initial: Option<String>,
    /// A script and its arguments.
    pub words: Vec<String>,
}

impl CommandLine {
    /// Reads the words after the name; nothing if a flag is wrong.
    pub fn parse(args: &[String]) -> Option<CommandLine> {
        let mut line = CommandLine::default();
        let mut args = args.iter();
        while let Some(word) = args.as_slice().first() {
            let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else { break };
            args.next();
            if letters == "-" {
                break;
            }
            for (at, letter) in letters.char_indices() {
                match letter {
                    'c' | 'm' => {
                        let rest = letters.get(at + 1..).unwrap_or("");
                        let value = if rest.is_empty() { args.next()?.clone() } else { rest.into() };
                        let slot = if letter == 'c' { &mut line.command } else { &mut line.initial };
                        *slot = Some(value);
                        break;
                    }
                    letter if FLAGS.contains(letter) => line.flags.push(letter),
                    _ => return None,
                }
            }
        }
        line.words = args.cloned().collect();
        Some(line)
    }
}

/// Runs the shell and returns its exit status. `argv` begins with the name it was called by.
pub fn main<O: Os>(os: O, argv: &[String]) -> String {
    let (name, args) = argv.split_first().map_or(("rc", &[][..]), |(name, args)| (name.as_str(), args));
    let mut shell = Shell::new(os, name);
    let Some(line) = CommandLine::parse(args) else {
        shell.put(2, &format!("{USAGE}\n"));
        return "usage".into();
    };
    shell.begin(name, &line);
    let mut initial = vec![line.initial.unwrap_or_else(|| RCMAIN.into())];
    initial.extend(line.words);
    let status = match shell.dot(&initial) {
        Ok(()) | Err(Flow::Abort) => shell.status(),
        Err(Flow::Exit(status)) => status,
        Err(Flow::Gone(status)) => return status,
    };
    shell.leave(status)
}

impl<O: Os> Shell<O> {
    /// Sets flags and variables before the first command.
    fn begin(&mut self, name: &str, line: &CommandLine) {
        self.flags = line.flags.clone();
        if self.flag('I') {
            self.flags.retain(|&f| f != 'i');
        } else if !self.flag('i') && line.words.is_empty() && line.command.is_none() && self.os.is_console(0)
        {
            self.flags.push('i');
        }
        self.import();
        let pid = self.os.pid();
        self.vars.set_one("pid", format!("{pid}"));
        self.vars.set_one("rcname", name);
        self.vars.set("cflag", line.command.clone().into_iter().collect());
        self.vars.set("*", line.words.clone());
        self.set_status("");
    }
}

#[cfg(test)]
mod tests {
    use super::CommandLine;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    fn parse(line: &str) -> Option<CommandLine> {
        CommandLine::parse(&line.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags() {
        let line = parse("-il -c cmd a -b").unwrap();
        assert_eq!((line.flags, line.command.as_deref()), (vec!['i', 'l'], Some("cmd")));
        assert_eq!(line.words, ["a", "-b"]);
        let line = parse("-lccmd -m init -- -x").unwrap();
        assert_eq!((line.command.as_deref(), line.initial.as_deref()), (Some("cmd"), Some("init")));
        assert_eq!(line.words, ["-x"]);
        assert_eq!(parse("- a").unwrap().words, ["-", "a"]);
        assert_eq!(parse("-z"), None);
        assert_eq!(parse("-c"), None);
    }
}
