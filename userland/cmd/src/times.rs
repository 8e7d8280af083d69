//! The line that time prints.

use alloc::format;
use alloc::string::String;

/// `0.01u 0.02s 1.23r`, a tab, and the command.
pub fn line(user_ms: u64, sys_ms: u64, real_ms: u64, words: &[String]) -> String {
    let s = |ms: u64| format!("{}.{:02}", ms / 1000, ms % 1000 / 10);
    format!("{}u {}s {}r \t {}", s(user_ms), s(sys_ms), s(real_ms), words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits() {
        let words = ["dd".into(), "-count".into()];
        assert_eq!(line(10, 1029, 61_230, &words), "0.01u 1.02s 61.23r \t dd -count");
    }
}
