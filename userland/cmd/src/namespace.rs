//! The lines of `/proc/n/ns` as commands that can be typed, and the `bind` lines of `/lib/namespace` as calls.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::{quote, tokenize};

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
            flag |= match letter {
                'a' => abi::MAFTER,
                'b' => abi::MBEFORE,
                'c' => abi::MCREATE,
                _ => return None,
            };
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
