//! diff [-acefmnurbw] file1 ... file2: tell what has to be changed in a file, or in the files of a directory, to make
//! another one of it. Status: empty when there are no differences, `some`, or `error`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use cmd::copy::{join, last_element};
use cmd::diff::{Blanks, Form, changes, is_binary, lines, show};
use lib9::{Args, Dir, Result, eprintln, error, exits, fd, file, out, println, usage};

struct Diff {
    form: Form,
    blanks: Blanks,
    recursive: bool,
    /// Every comparison is told with a command line.
    told: bool,
    /// The options, as they are told.
    options: String,
    differ: bool,
    failed: bool,
}

pub fn main(args: &Args) -> Result<()> {
    let mut diff = Diff {
        form: Form::Normal,
        blanks: Blanks::All,
        recursive: false,
        told: false,
        options: String::new(),
        differ: false,
        failed: false,
    };
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'a' => diff.form = Form::All,
            'c' => diff.form = Form::Context,
            'e' => diff.form = Form::Ed,
            'f' => diff.form = Form::Forward,
            'n' => diff.form = Form::Named,
            'u' => diff.form = Form::Unified,
            'b' => diff.blanks = Blanks::Runs,
            'w' => diff.blanks = Blanks::None,
            'm' => diff.told = true,
            'r' => diff.recursive = true,
            _ => synopsis(args),
        }
        if "acefnubw".contains(letter) {
            diff.options.push_str(&format!("-{letter} "));
        }
    }
    let Some((last, firsts)) = flags.rest().split_last() else { synopsis(args) };
    if firsts.is_empty() {
        synopsis(args);
    }
    diff.told |= firsts.len() > 1;
    for first in firsts {
        if let Err(e) = diff.compare(first, last, 0) {
            diff.fail(&e);
        }
    }
    exits(match () {
        () if diff.failed => "error",
        () if diff.differ => "some",
        () => "",
    })
}

impl Diff {
    fn fail(&mut self, e: &lib9::Error) {
        let _ = out::flush();
        eprintln!("diff: {e}");
        self.failed = true;
    }

    /// Compares two names. Below directories that are compared `depth` is not zero.
    fn compare(&mut self, a: &str, b: &str, depth: u32) -> Result<()> {
        let (is_a, is_b) = (is_directory(a)?, is_directory(b)?);
        match (is_a, is_b) {
            (true, true) if depth == 0 || self.recursive => self.directories(a, b, depth),
            (true, true) => {
                println!("Common subdirectories: {a} and {b}");
                Ok(())
            }
            (true, false) if depth == 0 => self.files(&join(a, last_element(b)), b),
            (false, true) if depth == 0 => self.files(a, &join(b, last_element(a))),
            (true, false) => {
                println!("File {a} is a directory while file {b} is not");
                self.differ = true;
                Ok(())
            }
            (false, true) => {
                println!("File {a} is not a directory while file {b} is");
                self.differ = true;
                Ok(())
            }
            (false, false) => self.files(a, b),
        }
    }

    fn directories(&mut self, a: &str, b: &str, depth: u32) -> Result<()> {
        if depth > 100 {
            return Err(error!("{a}: too deep"));
        }
        self.told = true;
        let mut names: BTreeMap<String, [bool; 2]> = BTreeMap::new();
        for (which, directory) in [a, b].into_iter().enumerate() {
            let dirs: Vec<Dir> = fd::readdir(directory).map_err(|e| error!("can't read {directory}: {e}"))?;
            for dir in dirs {
                if let Some(here) = names.entry(dir.name).or_default().get_mut(which) {
                    *here = true;
                }
            }
        }
        for (name, here) in names {
            match here {
                [true, true] => {
                    if let Err(e) = self.compare(&join(a, &name), &join(b, &name), depth + 1) {
                        self.fail(&e);
                    }
                }
                [in_a, _] => {
                    println!("Only in {}: {name}", if in_a { a } else { b });
                    self.differ = true;
                }
            }
        }
        Ok(())
    }

    fn files(&mut self, a: &str, b: &str) -> Result<()> {
        let (old, new) = (contents(a)?, contents(b)?);
        if old == new {
            return Ok(());
        }
        let tell = |diff: &Diff| {
            if diff.told {
                println!("diff {}{a} {b}", diff.options);
            }
        };
        if is_binary(&old) || is_binary(&new) {
            self.differ = true;
            tell(self);
            println!("binary files {a} {b} differ");
            return Ok(());
        }
        let (old, new) = (lines(&old), lines(&new));
        let changes = changes(&old, &new, self.blanks);
        if !changes.is_empty() {
            self.differ = true;
            tell(self);
            show(self.form, [a, b], &old, &new, &changes, &mut out::write);
        }
        Ok(())
    }
}

fn contents(name: &str) -> Result<Vec<u8>> {
    let text = if name == "-" { fd::read_all(0) } else { file::read(name) };
    text.map_err(|e| error!("can't read {name}: {e}"))
}

fn is_directory(name: &str) -> Result<bool> {
    if name == "-" {
        return Ok(false);
    }
    Ok(fd::stat(name).map_err(|e| error!("can't stat {name}: {e}"))?.mode & abi::DMDIR != 0)
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-acefmnurbw] file1 ... file2")
}
