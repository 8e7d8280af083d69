//! The lines of `/proc/n/ns` as commands that can be typed.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(line("bind  #c /dev"), "bind '#c' /dev");
        assert_eq!(line("mount -c '#9' /n/host 'a b'"), "mount -c '#9' /n/host 'a b'");
        assert_eq!(line("cd /usr/glenda"), "cd /usr/glenda");
    }
}
