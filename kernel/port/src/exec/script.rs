//! `#!` scripts: the first line names the interpreter.

use alloc::string::String;
use alloc::vec::Vec;

/// Longest first line, with its newline.
pub(crate) const LINE: usize = 256;
/// Most words on it.
const WORDS: usize = 32;

/// The interpreter and its arguments, when the file begins with `#!`.
///
/// `None`: not a script. `Some(Err(()))`: a script whose first line cannot be used.
pub(crate) fn parse(head: &[u8]) -> Option<Result<Vec<String>, ()>> {
    let rest = head.strip_prefix(b"#!")?;
    let line = rest.get(..rest.len().min(LINE - 2)).unwrap_or(rest);
    let Some(end) = line.iter().position(|&b| b == b'\n') else { return Some(Err(())) };
    let Ok(line) = core::str::from_utf8(line.get(..end).unwrap_or(&[])) else { return Some(Err(())) };
    let words = abi::quote::tokenize(line);
    Some(if words.is_empty() || words.len() > WORDS { Err(()) } else { Ok(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        assert_eq!(parse(b"echo"), None);
        let words = parse(b"#!/bin/rc -e 'a b'\necho\n").unwrap().unwrap();
        assert_eq!(words, ["/bin/rc", "-e", "a b"]);
        assert_eq!(parse(b"#!/bin/rc"), Some(Err(())));
        assert_eq!(parse(b"#!\n"), Some(Err(())));
        let mut long = b"#!".to_vec();
        long.extend([b'a'; 300]);
        long.push(b'\n');
        assert_eq!(parse(&long), Some(Err(())));
    }
}
