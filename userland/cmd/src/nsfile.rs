//! The lines of a namespace file, namespace(6), as operations: a function of the text and of the environment.
//!
//! Words are separated by blanks; `#` at the beginning of a line makes it a comment, and is nothing special elsewhere.
//! `$NAME` outside of quotes is the first word of that variable, or nothing; a name ends at a slash, a dot, an
//! exclamation mark, a quote or another dollar sign. Quotes protect dollar signs and not blanks: a word with a blank
//! cannot be written, in Plan 9's files as in these.

use alloc::string::String;
use alloc::vec::Vec;

use crate::namespace::mount_flag;

/// What one line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `bind [-abcC] NEW OLD`.
    Bind {
        /// What is to be seen.
        new: String,
        /// Where.
        old: String,
        /// Of bind(2).
        flag: u32,
    },
    /// `mount [-abcC] SERVICE OLD [SPEC]`.
    Mount {
        /// The file of the server's channel.
        service: String,
        /// Where.
        old: String,
        /// The tree that is wanted.
        spec: String,
        /// Of mount(2).
        flag: u32,
    },
    /// `unmount [NEW] OLD`.
    Unmount {
        /// What of it, or all.
        new: Option<String>,
        /// Where.
        old: String,
    },
    /// `cd DIR`.
    Cd(String),
    /// `clear`: the name space is empty again.
    Clear,
    /// `. FILE`: the lines of another file, if it is there.
    File(String),
}

/// Reads one line. `get` gives a variable's first word. Nothing for an empty line or a comment.
///
/// # Errors
/// What is wrong with it. (Plan 9 passes over such lines.)
pub fn parse(line: &str, get: impl Fn(&str) -> Option<String>) -> Result<Option<Operation>, &'static str> {
    let words: Vec<String> = line
        .split([' ', '\t', '\r'])
        .filter(|word| !word.is_empty())
        .map(|word| expand(word, &get))
        .collect();
    let is_comment = line.trim_start_matches([' ', '\t']).starts_with('#');
    let Some((command, words)) = words.split_first().filter(|_| !is_comment) else { return Ok(None) };
    let flags = words.iter().take_while(|word| word.len() > 1 && word.starts_with('-')).count();
    let (flags, words) = words.split_at(flags);
    // Letters that are unknown are somebody else's: -q says nothing that is not so anyway.
    let letters = flags.iter().flat_map(|word| word.chars().skip(1));
    let flag = letters.filter_map(mount_flag).fold(abi::MREPL, |flag, bit| flag | bit);
    if flag & abi::MORDER == abi::MORDER {
        return Err("both before and after");
    }
    let operation = match (command.as_str(), words) {
        ("bind", [new, old]) => Operation::Bind { new: new.clone(), old: old.clone(), flag },
        ("mount", [service, old, rest @ ..]) if rest.len() <= 1 => Operation::Mount {
            service: service.clone(),
            old: old.clone(),
            spec: rest.first().cloned().unwrap_or_default(),
            flag,
        },
        ("unmount", [old]) => Operation::Unmount { new: None, old: old.clone() },
        ("unmount", [new, old]) => Operation::Unmount { new: Some(new.clone()), old: old.clone() },
        ("cd", [dir]) => Operation::Cd(dir.clone()),
        ("clear", []) => Operation::Clear,
        (".", [file]) => Operation::File(file.clone()),
        ("bind" | "mount" | "unmount" | "cd" | "clear" | ".", _) => return Err("wrong number of words"),
        _ => return Err("no such operation"),
    };
    Ok(Some(operation))
}

/// A word with its variables in place and without its quotes.
fn expand(word: &str, get: &impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut quoted = false;
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        match c {
            '\'' if quoted && rest.starts_with('\'') => {
                out.push('\'');
                rest = rest.get(1..).unwrap_or("");
            }
            '\'' => quoted = !quoted,
            '$' if !quoted => {
                let end = rest.find(['/', '.', '!', '\'', '$']).unwrap_or(rest.len());
                let (name, behind) = rest.split_at(end);
                out.push_str(&get(name).unwrap_or_default());
                rest = behind;
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Operation> {
        let get = |name: &str| match name {
            "user" => Some("glenda".into()),
            "rootdir" => Some("/root".into()),
            _ => None,
        };
        parse(line, get).unwrap()
    }

    #[test]
    fn lines_of_plan_9s_files() {
        let bind =
            |new: &str, old: &str, flag| Some(Operation::Bind { new: new.into(), old: old.into(), flag });
        assert_eq!(of("bind #c /dev"), bind("#c", "/dev", abi::MREPL));
        assert_eq!(of("bind -c '#s'$spec /srv"), bind("#s", "/srv", abi::MCREATE));
        assert_eq!(of("bind -qa #\u{b6} /dev"), bind("#\u{b6}", "/dev", abi::MAFTER));
        assert_eq!(of("\tbind -c  /n/other/usr/$user/tmp /usr/$user/tmp"), {
            bind("/n/other/usr/glenda/tmp", "/usr/glenda/tmp", abi::MCREATE)
        });
        let mount = |spec: &str| {
            let (service, old) = ("/srv/boot".into(), "/root".into());
            Some(Operation::Mount { service, old, spec: spec.into(), flag: abi::MAFTER | abi::MCACHE })
        };
        assert_eq!(of("mount -aC /srv/boot $rootdir $rootspec"), mount(""));
        assert_eq!(of("mount -a -C /srv/boot $rootdir other"), mount("other"));
        assert_eq!(of("unmount /n"), Some(Operation::Unmount { new: None, old: "/n".into() }));
        assert_eq!(of("cd /usr/$user"), Some(Operation::Cd("/usr/glenda".into())));
        assert_eq!(of(". /cfg/$sysname/namespace"), Some(Operation::File("/cfg//namespace".into())));
        assert_eq!(of("clear"), Some(Operation::Clear));
    }

    #[test]
    fn comments_and_what_is_wrong() {
        assert_eq!([of(""), of("  # bind a b"), of("\t")], [None, None, None]);
        for line in ["bind a", "bind a b c", "mount a", "chdev -r c", "cd", "bind -ab x y", "x"] {
            assert!(parse(line, |_| None).is_err(), "{line}");
        }
        assert_eq!(expand("'$user'''", &|_| None), "$user'");
        assert_eq!(expand("$a$b.c'$", &|name| Some(name.into())), "ab.c$");
    }
}
