//! The command line: the program's name, its words, and single-letter flags as Plan 9's ARGBEGIN reads them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Error, Result};

/// What the program was started with.
#[derive(Clone, Debug)]
pub struct Args {
    argv0: String,
    words: Vec<String>,
}

impl Args {
    /// Arguments from a list whose first word is the name the program was called by.
    pub fn new(argv: Vec<String>) -> Self {
        let mut argv = argv.into_iter();
        Args { argv0: argv.next().unwrap_or_default(), words: argv.collect() }
    }

    /// `argv[0]` as it was given.
    pub fn argv0(&self) -> &str {
        &self.argv0
    }

    /// The last element of `argv[0]`, for messages.
    pub fn name(&self) -> &str {
        self.argv0.rsplit('/').next().unwrap_or("")
    }

    /// The words after the name.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// For a program that has one flag: whether it is there, and the words behind it. Any other flag ends the program
    /// with the usage message.
    pub fn one_flag(&self, flag: char, synopsis: &str) -> (bool, &[String]) {
        let mut flags = self.flags();
        let mut given = false;
        for letter in flags.by_ref() {
            if letter != flag {
                usage(self, synopsis);
            }
            given = true;
        }
        (given, flags.rest())
    }

    /// For a program that has no flags: the words. A flag ends the program with the usage message.
    pub fn no_flags(&self, synopsis: &str) -> &[String] {
        let mut flags = self.flags();
        if flags.next().is_some() {
            usage(self, synopsis);
        }
        flags.rest()
    }

    /// Starts to read flags.
    pub fn flags(&self) -> Flags<'_> {
        Flags { words: &self.words, cluster: "" }
    }
}

/// Reads flags one letter at a time; what is left afterwards is [`Flags::rest`].
///
/// `-ab` is two flags, `-n5` and `-n 5` give flag `n` the value `5`, `--` ends the flags, and so does the first word
/// that does not begin with `-` or is `-` alone.
#[derive(Clone, Debug)]
pub struct Flags<'a> {
    words: &'a [String],
    cluster: &'a str,
}

impl<'a> Iterator for Flags<'a> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.cluster.is_empty() {
            let word = self.words.first()?;
            let letters = word.strip_prefix('-').filter(|l| !l.is_empty())?;
            self.words = &self.words[1..];
            if letters == "-" {
                return None;
            }
            self.cluster = letters;
        }
        let mut letters = self.cluster.chars();
        let letter = letters.next();
        self.cluster = letters.as_str();
        letter
    }
}

impl<'a> Flags<'a> {
    /// The value of the flag just read: the rest of its word, or the next word.
    ///
    /// # Errors
    /// When there is neither.
    pub fn value(&mut self) -> Result<&'a str> {
        let attached = core::mem::take(&mut self.cluster);
        flag_value(attached, &mut self.words).ok_or(Error::from("flag without a value"))
    }

    /// The words that are not flags.
    pub fn rest(&self) -> &'a [String] {
        self.words
    }
}

/// The value of a flag: what is attached to its letter, or, when that is nothing, the next of the words, which is
/// taken.
pub fn flag_value<'a>(attached: &'a str, words: &mut &'a [String]) -> Option<&'a str> {
    if !attached.is_empty() {
        return Some(attached);
    }
    let (first, rest) = words.split_first()?;
    *words = rest;
    Some(first)
}

/// Prints `usage: NAME SYNOPSIS` on descriptor 2 and exits with the status `usage`.
pub fn usage(args: &Args, synopsis: &str) -> ! {
    crate::eprintln!("usage: {}{}{synopsis}", args.name(), if synopsis.is_empty() { "" } else { " " });
    crate::exits("usage")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(crate::tokenize(line))
    }

    #[test]
    fn flags_as_argbegin() {
        let a = args("/bin/x -ab -n5 -m 6 -- -c");
        assert_eq!(a.name(), "x");
        let mut f = a.flags();
        assert_eq!((f.next(), f.next(), f.next()), (Some('a'), Some('b'), Some('n')));
        assert_eq!(f.value().unwrap(), "5");
        assert_eq!(f.next(), Some('m'));
        assert_eq!(f.value().unwrap(), "6");
        assert_eq!(f.next(), None);
        assert_eq!(f.rest(), ["-c"]);
    }

    #[test]
    fn one_flag_and_words() {
        let a = args("pci -v 8086/1237");
        assert_eq!(a.one_flag('v', ""), (true, &["8086/1237".into()][..]));
        assert_eq!(args("sleep -- -v").no_flags(""), ["-v"]);
        let a = args("pci");
        assert_eq!(a.one_flag('v', ""), (false, &[][..]));
        let a = args("pci -- -v");
        assert_eq!(a.one_flag('v', ""), (false, &["-v".into()][..]));
    }

    #[test]
    fn a_lone_dash_is_a_word() {
        let a = args("x - -a");
        let mut f = a.flags();
        assert_eq!(f.next(), None);
        assert_eq!(f.rest(), ["-", "-a"]);
        let a = args("x -n");
        let mut f = a.flags();
        assert_eq!(f.next(), Some('n'));
        assert!(f.value().is_err());
    }
}
