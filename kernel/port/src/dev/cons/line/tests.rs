//! What is typed becomes lines, whatever is typed.

use super::*;
use alloc::format;
use alloc::string::String;

/// Types `keys`; gives the echo and the number of interrupts.
fn type_in(line: &mut Line, keys: &str) -> (String, usize) {
    let mut echo = Vec::new();
    let n = keys.bytes().filter(|b| line.put(*b, &mut echo) == Wish::Interrupt).count();
    (String::from_utf8(echo).unwrap(), n)
}

fn take(line: &mut Line, max: usize) -> Option<Vec<u8>> {
    line.next()?;
    let mut out = Vec::new();
    line.take(max, &mut out);
    Some(out)
}

fn read(line: &mut Line) -> Option<String> {
    take(line, 1000).map(|b| String::from_utf8(b).unwrap())
}

#[test]
fn lines_are_edited_before_they_are_read() {
    for (keys, echo, want) in [
        ("abc\r", "abc\n", "abc\n"),
        ("abd\x08c\n", "abd\x08 \x08c\n", "abc\n"),
        ("né\x08e\n", "né\x08 \x08e\n", "ne\n"),
        ("\x08\x08x\n", "x\n", "x\n"),
        ("wrong\x15right\n", "wrong^U\nright\n", "right\n"),
        ("a bb  \x17c\n", "a bb  \x08 \x08\x08 \x08\x08 \x08\x08 \x08c\n", "a c\n"),
        ("part\x04", "part", "part"),
        ("\x04", "", ""),
    ] {
        let mut line = Line::default();
        assert_eq!(type_in(&mut line, keys), (echo.into(), 0), "{keys:?}");
        assert_eq!(read(&mut line), Some(want.into()), "{keys:?}");
        assert_eq!(read(&mut line), None, "{keys:?}");
    }
}

#[test]
fn an_interrupt_drops_the_line_but_not_those_before() {
    let mut line = Line::default();
    assert_eq!(type_in(&mut line, "one\ntwo\x7fthree\n\x03"), ("one\ntwo^C\nthree\n^C\n".into(), 2));
    assert_eq!(read(&mut line), Some("one\n".into()));
    assert_eq!(read(&mut line), Some("three\n".into()));
}

/// It was for who is interrupted, and would end the shell.
#[test]
fn an_interrupt_drops_an_end_that_nobody_has_read() {
    let mut line = Line::default();
    type_in(&mut line, "one\n\x04part\x04\x04\x7ftwo\n\x04");
    for want in ["one\n", "part", "two\n", ""] {
        assert_eq!(read(&mut line), Some(want.into()));
    }
    assert_eq!(read(&mut line), None);
}

#[test]
fn a_short_read_leaves_the_rest_of_the_line() {
    let mut line = Line::default();
    type_in(&mut line, "abcdef\ng\n");
    assert_eq!(take(&mut line, 4).unwrap(), b"abcd");
    assert_eq!(take(&mut line, 40).unwrap(), b"ef\n");
    assert_eq!(take(&mut line, 40).unwrap(), b"g\n");
}

#[test]
fn raw_bytes_come_at_once_and_silently() {
    let mut line = Line::default();
    type_in(&mut line, "be");
    line.set_raw(true);
    assert_eq!(type_in(&mut line, "a\x7f\x03\r\x04"), (String::new(), 0));
    assert_eq!(read(&mut line), Some("be".into()));
    assert_eq!(read(&mut line), Some("a\x7f\x03\r\x04".into()));
    line.set_raw(false);
    type_in(&mut line, "x");
    assert_eq!(read(&mut line), None);
}

#[test]
fn held_lines_wait() {
    let mut line = Line::default();
    line.set_hold(true);
    type_in(&mut line, "a\nb\n");
    assert_eq!(read(&mut line), None);
    line.set_hold(false);
    assert_eq!(read(&mut line), Some("a\n".into()));
}

#[test]
fn keys_move_in_a_line_and_through_those_before_it() {
    for (keys, want) in [
        ("echo\r\x1b[A\r", "echo\n"),
        ("b\x01a\x05c\n\x1b[A\x1b[D\x1b[DX\n", "aXbc\n"),
        ("one\ntw\x1b[A\x1b[Bo\n", "two\n"),
        ("\u{f00e}x\u{f00d}y\n", "yx\n"),
        ("\x1b[31mred\n", "\x1b[31mred\n"),
    ] {
        let mut line = Line::default();
        type_in(&mut line, keys);
        let lines: Vec<_> = core::iter::from_fn(|| read(&mut line)).collect();
        assert_eq!(lines.last().map(String::as_str), Some(want), "{keys:?}");
    }
    // A program in raw mode gets them as they come, at once; and what had begun before.
    let mut line = Line::default();
    type_in(&mut line, "a\x1b[");
    line.set_raw(true);
    assert_eq!(read(&mut line), Some("a\x1b[".into()));
    type_in(&mut line, "\x1b");
    assert_eq!(read(&mut line), Some("\x1b".into()));
    type_in(&mut line, "[A\x14\x01");
    assert_eq!(read(&mut line), Some("[A\x14\x01".into()));
}

#[test]
fn what_the_host_says_is_not_typed() {
    for raw in [false, true] {
        let mut line = Line::default();
        line.set_raw(raw);
        let mut echo = Vec::new();
        for b in b"ab\xffelwood size 50 132\nc\xffelwood end\n" {
            assert_eq!(line.put(*b, &mut echo), Wish::None);
        }
        assert_eq!(line.size(), (50, 132));
        assert!(!line.is_over());
        assert_eq!(read(&mut line), Some("abc".into()));
        // From here on there is nothing but the end.
        assert!(line.is_over());
        assert_eq!([read(&mut line), read(&mut line)], [const { Some(String::new()) }; 2]);
    }
    let mut line = Line::default();
    assert_eq!(line.put(0x14, &mut Vec::new()), Wish::Status);
    type_in(&mut line, "half\x1b[D");
    let mut echo = Vec::new();
    line.show_again(&mut echo);
    assert!(echo == b"half\x08");
}

/// Types `byte` again and again, many more times than there can be room for; gives how many bytes were echoed.
fn flood(line: &mut Line, byte: u8) -> usize {
    let mut echo = Vec::new();
    for _ in 0..2 * MAXWAITING {
        line.put(byte, &mut echo);
    }
    echo.len()
}

#[test]
fn a_word_of_any_length_is_rubbed_out_with_a_short_echo() {
    let mut line = Line::default();
    type_in(&mut line, &format!("a {}", "x".repeat(edit::EDITED)));
    let (echo, _) = type_in(&mut line, "\x17");
    assert_eq!(echo.len(), 3 * edit::EDITED);
    type_in(&mut line, &"x".repeat(100_000));
    assert_eq!(type_in(&mut line, "  \x17"), ("  ^W\n".into(), 0));
    type_in(&mut line, "b\n");
    assert_eq!(read(&mut line), Some("a b\n".into()));
}

/// Bytes of memory that a line takes.
fn memory(line: &Line) -> usize {
    line.edit.memory() + line.bytes.capacity() + line.ready.capacity() * PIECE
}

#[test]
fn what_nobody_reads_is_bounded_whatever_it_is() {
    for (byte, most) in [(b'x', MAXWAITING), (b'\n', MAXWAITING / (1 + PIECE)), (EOF, 0)] {
        let mut line = Line::default();
        let echoed = flood(&mut line, byte);
        assert!(echoed <= most && (echoed > most / 2 || most == 0), "{byte}: {echoed}");
        assert!(line.left() <= CHARACTER, "{byte}: {}", line.left());
        assert!(memory(&line) <= 3 * MAXWAITING, "{byte}: {}", memory(&line));
        // The line that was begun can be ended.
        if byte == b'x' {
            type_in(&mut line, "\n");
            let got = take(&mut line, MAXWAITING).unwrap();
            assert!(got.len() == echoed + 1 && got.ends_with(b"x\n"));
        }
        let mut echo = Vec::new();
        assert_eq!(line.put(DEL, &mut echo), Wish::Interrupt, "an interrupt still comes through");
        while take(&mut line, MAXWAITING).is_some() {}
        assert!(memory(&line) <= MAXWAITING + 4 * KEPT, "{byte}: {}", memory(&line));
        type_in(&mut line, "y\n");
        assert_eq!(read(&mut line), Some("y\n".into()));
    }
    let mut line = Line::default();
    line.set_raw(true);
    assert_eq!(flood(&mut line, b'\n'), 0);
    assert!(take(&mut line, 3 * MAXWAITING).is_some_and(|bytes| bytes.len() <= MAXWAITING));
}

/// What only begins like a message comes at once, and is shown piece by piece all the same.
#[test]
fn what_comes_together_is_shown_one_by_one() {
    let mut line = Line::default();
    let mut echo = Vec::new();
    type_in(&mut line, &"x".repeat(edit::EDITED - 40));
    line.put(START, &mut echo);
    let bytes = b"\xffelwood aaaaaaaaaaaaaaaaaaaaaaaa";
    let mut seen = 0;
    for b in bytes {
        echo.clear();
        line.put(*b, &mut echo);
        assert!(echo.len() <= ECHO);
        while line.has_rest() {
            echo.clear();
            line.put_rest(&mut echo).unwrap();
            assert!(echo.len() <= ECHO);
            seen += 1;
        }
    }
    assert!(seen > 20);
    assert_eq!(line.put_rest(&mut echo), None);
}
