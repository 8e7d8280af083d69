//! The forms in which changes are written.

use alloc::format;
use alloc::string::String;
use core::ops::Range;

use super::Change;

/// How changes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As commands that resemble ed's, with the lines.
    #[default]
    Normal,
    /// So, with the names of the files (-n).
    Named,
    /// As a script for ed (-e).
    Ed,
    /// As one in the order of the file (-f).
    Forward,
    /// With lines around them (-c).
    Context,
    /// With all lines (-a).
    All,
    /// With lines around them, as patch(1) elsewhere takes them (-u).
    Unified,
}

/// Lines around a change.
const CONTEXT: usize = 3;

/// Both texts: their names and lines.
struct Texts<'a> {
    names: [&'a str; 2],
    old: &'a [&'a [u8]],
    new: &'a [&'a [u8]],
}

/// Writes `changes`, which are some, of the files `names` with these lines.
pub fn show(
    form: Form,
    names: [&str; 2],
    old: &[&[u8]],
    new: &[&[u8]],
    changes: &[Change],
    print: &mut dyn FnMut(&[u8]),
) {
    let texts = Texts { names, old, new };
    match form {
        Form::Normal | Form::Named => {
            for change in changes {
                texts.normal(change, form == Form::Named, print);
            }
        }
        Form::Ed => {
            for change in changes.iter().rev() {
                let at = range(&change.old, ',');
                print(format!("{at}{}\n", letter(change)).as_bytes());
                texts.input(change, true, print);
            }
        }
        Form::Forward => {
            for change in changes {
                print(format!("{}{}\n", letter(change), range(&change.old, ' ')).as_bytes());
                texts.input(change, false, print);
            }
        }
        Form::Context => texts.grouped(changes, CONTEXT, false, print),
        Form::All => texts.grouped(changes, usize::MAX, false, print),
        Form::Unified => texts.grouped(changes, CONTEXT, true, print),
    }
}

fn letter(change: &Change) -> char {
    match (change.old.is_empty(), change.new.is_empty()) {
        (true, _) => 'a',
        (_, true) => 'd',
        _ => 'c',
    }
}

/// Lines as they are counted by people. Where there are none it is the one before.
fn range(lines: &Range<usize>, separator: char) -> String {
    if lines.len() <= 1 {
        format!("{}", lines.end)
    } else {
        format!("{}{separator}{}", lines.start + 1, lines.end)
    }
}

/// Lines as unified changes count them: the first, and how many.
fn span(lines: &Range<usize>) -> String {
    match lines.len() {
        1 => format!("{}", lines.end),
        0 => format!("{},0", lines.end),
        n => format!("{},{n}", lines.start + 1),
    }
}

impl Texts<'_> {
    fn normal(&self, change: &Change, named: bool, print: &mut dyn FnMut(&[u8])) {
        let (old, new) = (range(&change.old, ','), range(&change.new, ','));
        let [a, b] = self.names;
        let letter = letter(change);
        let head =
            if named { format!("{a}:{old} {letter} {b}:{new}\n") } else { format!("{old}{letter}{new}\n") };
        print(head.as_bytes());
        lines(self.old, &change.old, "< ", print);
        if letter == 'c' {
            print(b"---\n");
        }
        lines(self.new, &change.new, "> ", print);
    }

    /// New lines, as ed reads them. It cannot be given a line that is a dot alone: with `mend` such a line is given
    /// another dot, which is taken away again.
    fn input(&self, change: &Change, mend: bool, print: &mut dyn FnMut(&[u8])) {
        let mut open = !change.new.is_empty();
        for line in self.new.get(change.new.clone()).unwrap_or(&[]) {
            if !open {
                print(b"a\n");
                open = true;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            if mend && text == b"." {
                print(b"..\n.\ns/.//\n");
                open = false;
            } else {
                print(text);
                print(b"\n");
            }
        }
        if open {
            print(b".\n");
        }
    }

    /// Changes with lines around them; those that are near each other together.
    fn grouped(&self, changes: &[Change], around: usize, unified: bool, print: &mut dyn FnMut(&[u8])) {
        let [a, b] = self.names;
        if unified {
            print(format!("--- {a}\n+++ {b}\n").as_bytes());
        }
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let near = |pair: &&[Change]| match pair {
                [x, y] => y.old.start - x.old.end <= around.saturating_mul(2),
                _ => false,
            };
            let more = rest.windows(2).take_while(near).count();
            let (group, others) = rest.split_at((more + 1).min(rest.len()));
            rest = others;
            let last = group.last().unwrap_or(first);
            let before = around.min(first.old.start);
            let after = around.min(self.old.len().saturating_sub(last.old.end));
            let old = first.old.start - before..last.old.end + after;
            let new = first.new.start - before.min(first.new.start)..last.new.end + after;
            let head = if unified {
                format!("@@ -{} +{} @@\n", span(&old), span(&new))
            } else {
                format!("{a}:{} - {b}:{}\n", range(&old, ','), range(&new, ','))
            };
            print(head.as_bytes());
            let marks = if unified { [" ", "-", "+"] } else { ["  ", "- ", "+ "] };
            let mut at = old.start;
            for change in group {
                lines(self.old, &(at..change.old.start), marks[0], print);
                lines(self.old, &change.old, marks[1], print);
                lines(self.new, &change.new, marks[2], print);
                at = change.old.end;
            }
            lines(self.old, &(at..old.end), marks[0], print);
        }
    }
}

fn lines(text: &[&[u8]], which: &Range<usize>, mark: &str, print: &mut dyn FnMut(&[u8])) {
    for line in text.get(which.clone()).unwrap_or(&[]) {
        print(mark.as_bytes());
        print(line);
        if line.last() != Some(&b'\n') {
            print(b"\n\\ No newline at end of file\n");
        }
    }
}
