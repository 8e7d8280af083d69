//! The lines of ls.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::fmt::Write;

use lib9::date::{Timezone, short};
use lib9::{Dir, list, quote};

use crate::copy::last_element;

/// A file and the name it is shown by. Small, since a directory may have many.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: Rc<str>,
    /// The file. Its own name is not kept.
    pub dir: Dir<Rc<str>>,
}

/// The owners, groups and changers of the files of a list: most have the same.
#[derive(Debug, Default)]
pub struct Users([Rc<str>; 3]);

impl Users {
    /// The entry that shows `dir` by `name`.
    pub fn entry(&mut self, name: &str, dir: &Dir) -> Entry {
        let mut of = |at: usize, user: &str| {
            let last = &mut self.0[at];
            if **last != *user {
                *last = user.into();
            }
            last.clone()
        };
        let users = [Rc::default(), of(0, &dir.uid), of(1, &dir.gid), of(2, &dir.muid)];
        Entry { name: name.into(), dir: dir.with_strings(users) }
    }
}

/// What is shown of each file.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // They are the flags of the command.
pub struct Show {
    /// -F: `/` after directories, `*` after executable files.
    pub kind: bool,
    /// -l
    pub long: bool,
    /// -m: who changed it last.
    pub modifier: bool,
    /// -p: only the last element of the name.
    pub last_element: bool,
    /// -q: the qid.
    pub qid: bool,
    /// -Q: names are not quoted.
    pub bare: bool,
    /// -s: the size in kilobytes.
    pub size: bool,
    /// -T: the mark of temporary files.
    pub temporary: bool,
    /// -u: the time of the last read.
    pub accessed: bool,
}

/// In what order.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// -n: as the server has them.
    pub none: bool,
    /// -r
    pub reverse: bool,
    /// -t: newest first.
    pub time: bool,
    /// -u: by the time of the last read.
    pub accessed: bool,
}

impl Order {
    /// Sorts a list.
    pub fn sort(&self, entries: &mut [Entry]) {
        if self.none {
            return;
        }
        entries.sort_by(|a, b| {
            let time = |e: &Entry| if self.accessed { e.dir.atime } else { e.dir.mtime };
            let by_time = if self.time { time(b).cmp(&time(a)) } else { core::cmp::Ordering::Equal };
            let order = by_time.then_with(|| a.name.as_bytes().cmp(b.name.as_bytes()));
            if self.reverse { order.reverse() } else { order }
        });
    }
}

/// Columns that the widest of a list needs.
#[derive(Clone, Debug, Default)]
pub struct Widths {
    dev: usize,
    uid: usize,
    gid: usize,
    muid: usize,
    length: usize,
    version: usize,
    blocks: usize,
}

impl Widths {
    /// The widths for this list.
    pub fn of(entries: &[Entry], show: &Show) -> Widths {
        let mut w = Widths::default();
        for Entry { dir, .. } in entries {
            w.dev = w.dev.max(digits(u64::from(dir.dev)));
            w.uid = w.uid.max(quote(&dir.uid).chars().count());
            w.gid = w.gid.max(quote(&dir.gid).chars().count());
            w.length = w.length.max(digits(dir.length));
            w.blocks = w.blocks.max(digits(kilobytes(dir)));
            if show.modifier {
                w.muid = w.muid.max(quote(&dir.muid).chars().count() + 2);
            }
            if show.qid {
                w.version = w.version.max(digits(u64::from(dir.qid.vers)));
            }
        }
        w
    }
}

impl Entry {
    /// The line, without its newline; `now` in seconds decides how the date is shown.
    pub fn line(&self, show: &Show, w: &Widths, now: i64, zone: &Timezone) -> String {
        let Entry { name, dir } = self;
        let mut out = String::new();
        if show.size {
            let _ = write!(out, "{:>1$} ", kilobytes(dir), w.blocks);
        }
        if show.modifier {
            let _ = write!(out, "{:<1$} ", format!("[{}]", quote(&dir.muid)), w.muid);
        }
        if show.qid {
            let q = &dir.qid;
            let _ = write!(out, "({:016x} {:>3$} {:02x}) ", q.path, q.vers, q.kind, w.version);
        }
        if show.temporary {
            out.push_str(if dir.mode & abi::DMTMP != 0 { "t " } else { "- " });
        }
        if show.long {
            let letter = char::from_u32(u32::from(dir.kind)).unwrap_or('?');
            let _ = write!(out, "{} {letter} {:>2$} ", list::mode(dir.mode), dir.dev, w.dev);
            let _ = write!(out, "{:<1$} ", quote(&dir.uid), w.uid);
            let _ = write!(out, "{:<1$} ", quote(&dir.gid), w.gid);
            let time = if show.accessed { dir.atime } else { dir.mtime };
            let _ = write!(out, "{:>2$} {} ", dir.length, short(i64::from(time), now, zone), w.length);
        }
        let shown = if show.last_element { last_element(name) } else { name };
        if show.bare {
            out.push_str(shown);
        } else {
            out.push_str(&quote(shown));
        }
        if show.kind {
            if dir.is_dir() {
                out.push('/');
            } else if dir.mode & 0o111 != 0 {
                out.push('*');
            }
        }
        out
    }
}

fn kilobytes(dir: &Dir<Rc<str>>) -> u64 {
    dir.length.div_ceil(1024)
}

fn digits(n: u64) -> usize {
    n.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn entry(name: &str, length: u64, mtime: u32) -> Entry {
        let dir = Dir {
            kind: u16::from(b'M'),
            dev: 3,
            mode: 0o644,
            length,
            mtime,
            name: name.into(),
            uid: "glenda".into(),
            ..Dir::default()
        };
        Users::default().entry(name, &dir)
    }

    #[test]
    fn long_lines_have_plan_9_s_columns() {
        let show = Show { long: true, ..Show::default() };
        let list = [entry("/mnt/a", 5, 1_795_255_200), entry("it's", 67_108_864, 0)];
        let w = Widths::of(&list, &show);
        let lines: Vec<String> =
            list.iter().map(|e| e.line(&show, &w, 1_795_255_300, &Timezone::gmt())).collect();
        assert_eq!(
            lines,
            [
                "--rw-r--r-- M 3 glenda ''        5 Nov 21 10:00 /mnt/a",
                "--rw-r--r-- M 3 glenda '' 67108864 Jan  1  1970 'it''s'",
            ]
        );
    }

    #[test]
    fn other_columns() {
        let show = Show { qid: true, size: true, kind: true, last_element: true, ..Show::default() };
        let mut e = entry("a/b", 1025, 0);
        e.dir.mode |= 0o100;
        e.dir.qid.path = 0x12;
        let w = Widths::of(core::slice::from_ref(&e), &show);
        assert_eq!(e.line(&show, &w, 0, &Timezone::gmt()), "2 (0000000000000012 0 00) b*");
    }

    #[test]
    fn orders() {
        let names = |o: &Order| {
            let mut list = [entry("b", 0, 5), entry("a", 0, 7), entry("c", 0, 6)];
            o.sort(&mut list);
            list.iter().map(|e| &*e.name).collect::<String>()
        };
        assert_eq!(names(&Order::default()), "abc");
        assert_eq!(names(&Order { reverse: true, ..Order::default() }), "cba");
        assert_eq!(names(&Order { time: true, ..Order::default() }), "acb");
        assert_eq!(names(&Order { none: true, ..Order::default() }), "bac");
    }
}
