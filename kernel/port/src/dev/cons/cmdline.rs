//! The kernel's command line as a function of bytes: `name=value` words, quoted as rc quotes.
//!
//! Every good word becomes a variable of the first process and a line of `/dev/config`. Words with a meaning of
//! their own (`boot console init mount root nomsi ncpu debug user timezone`) are checked; a bad one is told and left
//! out, never more.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::dev::root::Layout;
use crate::kernel::is_user_name;

/// Where the console may be, by one of the places of the word `console`. Behind `virtio:` is a port.
fn is_console(place: &str) -> bool {
    let port = place.strip_prefix("virtio:");
    matches!(place, "uart" | "vga" | "virtio") || port.is_some_and(|name| !name.is_empty())
}

/// How much is shown of a word that was cut.
const SHOWN: usize = 40;

/// Reads a command line: the good words in order, and a line for each bad one.
pub fn parse(line: &str) -> (Vec<(String, String)>, Vec<String>) {
    read(abi::quote::tokenize(line))
}

/// The same of the beginning of one that has `whole` bytes, of which `limit` are read. The word at the cut is left out:
/// half a command is another command.
pub fn parse_cut(line: &str, whole: usize, limit: usize) -> (Vec<(String, String)>, Vec<String>) {
    let mut words = abi::quote::tokenize(line);
    let mut told = format!("the command line has {whole} bytes and is cut: {limit} are read");
    if !line.ends_with([' ', '\t', '\n'])
        && let Some(word) = words.pop()
    {
        let shown: String = abi::quote::one_line(&word).chars().take(SHOWN).collect();
        told.push_str(&format!("; the word at the cut, '{shown}...', is ignored"));
    }
    let (good, mut bad) = read(words);
    bad.insert(0, told);
    (good, bad)
}

fn read(words: Vec<String>) -> (Vec<(String, String)>, Vec<String>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for word in words {
        // A word alone is a switch that is on, if it is a switch.
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None if word == "nomsi" => (word.as_str(), "1"),
            None => {
                bad.push(format!("bad word '{word}' ignored: not name=value"));
                continue;
            }
        };
        match check(name, value) {
            Ok(()) => good.push((String::from(name), String::from(value))),
            Err(why) => bad.push(format!("bad word '{word}' ignored: {why}")),
        }
    }
    (good, bad)
}

/// Where shares are to be mounted: the places of the good `mount=` words.
pub fn places(words: &[(String, String)]) -> impl Iterator<Item = &str> {
    let values = words.iter().filter(|(name, _)| name == "mount").map(|(_, value)| value);
    values.filter_map(|value| value.rsplit_once(':').map(|(_, place)| place))
}

/// The first program and its arguments, one word at least: the last good word `boot=`.
pub fn boot(words: &[(String, String)]) -> Option<Vec<String>> {
    let (_, value) = words.iter().rfind(|(name, _)| name == "boot")?;
    Some(abi::quote::tokenize(value)).filter(|words| !words.is_empty())
}

/// Where the archives are: in `/boot` when another tree is to be the root.
pub fn layout(words: &[(String, String)]) -> Layout {
    if words.iter().any(|(name, _)| name == "root") { Layout::InBoot } else { Layout::AtRoot }
}

/// How many processors are to be used: the last good word `ncpu=`, or `*ncpu=` as Plan 9 has it; nothing for all.
pub fn ncpu(words: &[(String, String)]) -> Option<usize> {
    let (_, value) = words.iter().rfind(|(name, _)| name == "ncpu" || name == "*ncpu")?;
    value.parse().ok()
}

fn check(name: &str, value: &str) -> Result<(), &'static str> {
    if name.is_empty()
        || name == "."
        || name == ".."
        || name.bytes().any(|b| b <= b' ' || b == b'/' || b == 0x7f)
    {
        return Err("no such name can be");
    }
    match name {
        "console" if !value.split(',').all(is_console) => {
            Err("console is uart, vga, virtio, virtio:port or several of them with commas")
        }
        "ncpu" | "*ncpu" if !value.parse::<u32>().is_ok_and(|n| n > 0) => Err("ncpu is a number from 1"),
        "boot" if !value.starts_with('/') => Err("boot is the path of the first program, and its arguments"),
        "root" if value.trim().is_empty() => Err("root is a share's tag, or server!file of a disk"),
        "mount" => match value.rsplit_once(':') {
            // What is mounted on the root itself hides the programs that go on from here.
            Some((tag, place)) if !tag.is_empty() && place.starts_with('/') => {
                match place.trim_matches('/') {
                    "" | "." => Err("mount is tag:/where, and not the root, for which there is root="),
                    _ => Ok(()),
                }
            }
            _ => Err("mount is tag:/where"),
        },
        "user" if value == "none" || !is_user_name(value) => Err("user is the name of the machine's owner"),
        "timezone" if value.contains('/') => Err("timezone is a name in /adm/timezone"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(line: &str) -> Vec<(String, String)> {
        let (good, bad) = parse(line);
        assert!(bad.is_empty(), "{bad:?}");
        good
    }

    #[test]
    fn words_and_quotes() {
        let words = good("init='echo it''s; exit bad' mount=a:/n/a mount=b:c:/n/b nomsi debug=");
        let pairs: Vec<_> = words.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let init = ("init", "echo it's; exit bad");
        assert_eq!(pairs, [init, ("mount", "a:/n/a"), ("mount", "b:c:/n/b"), ("nomsi", "1"), ("debug", "")]);
        assert_eq!(good(""), []);
        assert_eq!(good("'quoted=all of it'").len(), 1);
        assert_eq!(good("console=vga console=uart,vga console=virtio console=virtio:org.x,uart").len(), 4);
        assert_eq!(ncpu(&good("ncpu=2 *ncpu=3")), Some(3));
        assert_eq!(ncpu(&good("console=vga")), None);
        assert_eq!(boot(&good("boot=/a boot='/b c ''d e'''")).unwrap(), ["/b", "c", "d e"]);
        assert_eq!(boot(&good("init=x")), None);
        assert_eq!(layout(&good("root=host")), Layout::InBoot);
        assert_eq!(layout(&good("mount=root:/n/host")), Layout::AtRoot);
    }

    #[test]
    fn a_word_that_was_cut_is_left_out() {
        let (good, bad) = parse_cut("a=b init='rm -r /tmp", 5000, 20);
        assert_eq!(good, [(String::from("a"), String::from("b"))]);
        let told = "the command line has 5000 bytes and is cut: 20 are read; the word at the cut, 'init=rm -r \
                    /tmp...', is ignored";
        assert_eq!(bad, [told]);
        // Nothing was cut in two.
        let (good, bad) = parse_cut("a=b c=d ", 9, 8);
        assert_eq!((good.len(), bad.len()), (2, 1));
        assert_eq!(parse_cut("", 1, 0).1.len(), 1);
        let (_, bad) = parse_cut(&format!("{}\n'", "\u{fffd}".repeat(5000)), 1, 0);
        assert!(bad[0].len() < 300, "{bad:?}");
    }

    #[test]
    fn bad_words_are_told_and_the_others_stay() {
        let (good, bad) = parse(
            "nonsense =x a/b=c ncpu=many *ncpu=0 mount=nowhere console=tv console=uart, console=virtio: \
             root= boot=x user=none user=a/b timezone=../x mount=a:/ mount=a:// colour=blue",
        );
        assert_eq!(good.len(), 1);
        assert_eq!(bad.len(), 16);
        assert!(bad[0].contains("'nonsense'"));
        assert!(bad[3].contains("ncpu=many"));
    }
}
