//! Any text through rc's parser: it ends, and what is printed again parses to the same tree.

use rcshell::lex::Failure;
use rcshell::parse::{self, Lines, Place};

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut source = Lines(&text);
    let mut place = Place::default();
    let mut lines = 0;
    loop {
        lines += 1;
        assert!(lines <= text.len() + 2, "a line was read again");
        match parse::line(&mut source, &mut place) {
            Ok(Some(body)) => {
                let printed = format!("{body}\n");
                assert_eq!(again(&printed), printed.trim_end(), "printed of {text:?}");
            }
            Ok(None) => return,
            Err(Failure::Syntax(_)) => {}
            Err(Failure::Stopped) => panic!("a string does not stop"),
        }
    }
}

/// A text that was printed, parsed and printed once more. A sequence is printed as lines.
fn again(printed: &str) -> String {
    let mut source = Lines(printed);
    // An `if not` alone is none.
    let mut place = Place { after_if: true, ..Place::default() };
    let mut lines = Vec::new();
    loop {
        match parse::line(&mut source, &mut place) {
            // One with a here document ends its line itself.
            Ok(Some(body)) => {
                let line = body.to_string();
                lines.push(line.strip_suffix('\n').map_or(line.clone(), String::from));
            }
            Ok(None) => return lines.join("\n").trim_end().into(),
            other => panic!("{printed:?} is {other:?}"),
        }
    }
}
