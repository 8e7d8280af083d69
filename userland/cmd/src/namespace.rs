//! What the programs that change or show the name space share: the flags of bind(1), mounting with a message, the lines
//! of `/proc/n/ns` as commands that can be typed, and the `bind` lines of `/lib/namespace` as calls.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::{Result, error, ns, quote, tokenize};

/// What a letter of bind's options means as a flag of bind(2): `a`, `b` or `c`.
pub fn bind_flag(letter: char) -> Option<u32> {
    match letter {
        'a' => Some(abi::MAFTER),
        'b' => Some(abi::MBEFORE),
        'c' => Some(abi::MCREATE),
        _ => None,
    }
}

/// What a letter of mount's options means as a flag of mount(2): one of bind's, or `C`.
pub fn mount_flag(letter: char) -> Option<u32> {
    if letter == 'C' { Some(abi::MCACHE) } else { bind_flag(letter) }
}

/// Whether flags ask for both ends of a union, which no call takes.
pub fn contradicts_itself(flag: u32) -> bool {
    flag & abi::MORDER == abi::MORDER
}

/// Mounts a server's only tree, without authentication.
///
/// # Errors
/// The kernel's, with `mount` and the directory before it.
pub fn mount(server: i32, dir: &str, flag: u32) -> Result<()> {
    ns::mount(server, -1, dir, flag, "").map(drop).map_err(|e| error!("mount {dir}: {e}"))
}

/// One line, each word quoted where the shell needs it.
pub fn line(text: &str) -> String {
    let words: Vec<String> = tokenize(text).iter().map(|w| shell_quote(w)).collect();
    words.join(" ")
}

/// rc takes more characters for its own than `%q` quotes; `#` would begin a comment.
fn shell_quote(word: &str) -> String {
    if word
        .contains(['#', ';', '&', '|', '^', '$', '=', '`', '{', '}', '(', ')', '<', '>', '*', '?', '[', '~'])
    {
        let mut out = String::from("'");
        out.push_str(&word.replace('\'', "''"));
        out.push('\'');
        return out;
    }
    quote(word)
}

/// What a line `bind [-abc] NEW OLD` asks for: `NEW`, `OLD`, and the flag of bind(2).
pub fn bind(text: &str) -> Option<(String, String, u32)> {
    let words = tokenize(text);
    let mut words = words.into_iter().peekable();
    words.next().filter(|command| command == "bind")?;
    let mut flag = abi::MREPL;
    if let Some(letters) = words.next_if(|w| w.starts_with('-')) {
        for letter in letters.chars().skip(1) {
            flag |= bind_flag(letter)?;
        }
    }
    let (new, old) = (words.next()?, words.next()?);
    words.next().is_none().then_some((new, old, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_lines() {
        assert_eq!(bind("bind '#c' /dev"), Some(("#c".into(), "/dev".into(), abi::MREPL)));
        assert_eq!(bind("bind -ac /a /b"), Some(("/a".into(), "/b".into(), abi::MAFTER | abi::MCREATE)));
        for line in ["", "mount /srv/x /n", "bind -z a b", "bind a", "bind a b c"] {
            assert_eq!(bind(line), None, "{line}");
        }
    }

    #[test]
    fn quoting() {
        assert_eq!(line("bind  #c /dev"), "bind '#c' /dev");
        assert_eq!(line("mount -c '#9' /n/host 'a b'"), "mount -c '#9' /n/host 'a b'");
        assert_eq!(line("cd /usr/glenda"), "cd /usr/glenda");
    }
}
