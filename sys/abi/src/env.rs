//! How a variable that is a list stands in its file of `/env`: its words one after the other, each ended by a NUL byte.

use alloc::string::String;
use alloc::vec::Vec;

/// The words in the contents of such a file. The last one need not be ended; what is not UTF-8 is replaced.
pub fn words(bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|&b| b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// The contents of the file for these words.
pub fn contents(words: &[impl AsRef<str>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(word.as_ref().as_bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_with_nul() {
        assert!(words(b"").is_empty());
        assert_eq!(words(b"a"), ["a"]);
        assert_eq!(words(b"a\0"), ["a"]);
        assert_eq!(words(b"a\0b c\0"), ["a", "b c"]);
        assert_eq!(words(b"\0"), [""]);
        assert_eq!(words(b"\0\0"), ["", ""]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for list in [&[][..], &[""], &["a", "", "b c"]] {
            assert_eq!(words(&contents(list)), list);
        }
    }
}
