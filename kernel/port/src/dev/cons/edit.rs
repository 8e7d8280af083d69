//! The line that is being typed, and those that were typed before it.
//!
//! The cursor moves in it; what is behind the cursor is printed again when something changes. A screen that knows
//! nothing but backspace, and any terminal, can show that: characters are taken to be one column wide, and a line that
//! is longer than the screen is wide is edited right and shown as well as that goes. A line longer than [`EDITED`] is
//! only typed at its end. Pure state, no I/O.

use alloc::vec::Vec;

use machine::heap;

use super::keys::Key;

/// Bytes of a line in which the cursor moves, and which is remembered.
pub(crate) const EDITED: usize = 512;
/// Bytes that one key adds to the echo at most: a line that is rubbed out, and another in its place.
pub(crate) const ECHO: usize = 5 * EDITED;
/// Lines that are remembered, and their bytes with one behind each.
const LINES: usize = 100;
const BYTES: usize = 8192;

/// See the module comment.
#[derive(Default)]
pub(crate) struct Edit {
    text: Vec<u8>,
    /// Bytes before the cursor; always between two characters.
    cursor: usize,
    /// Lines that were typed before.
    before: Before,
    /// Which of them is shown, counted from the last, and what had been typed when the first was looked for.
    shown: Option<(usize, Vec<u8>)>,
}

/// A byte that goes on with a character goes together with the one that begins it.
fn goes_on(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Characters of a text.
fn width(text: &[u8]) -> usize {
    text.iter().filter(|b| !goes_on(**b)).count()
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Lines that were typed before, each with a newline behind it, the last one last. They are one block, made with the
/// first of them: a hundred small ones, each from another time, would keep a hundred chunks of the heap.
#[derive(Default)]
struct Before(Vec<u8>);

impl Before {
    /// A line, counted from the last.
    fn get(&self, n: usize) -> Option<&[u8]> {
        self.0.strip_suffix(b"\n")?.rsplit(|b| *b == b'\n').nth(n)
    }

    /// Adds a line, for which old ones go. One is not remembered where there is no memory, or if it would be two.
    fn push(&mut self, line: &[u8]) {
        let len = line.len() + 1;
        if self.0.capacity() == 0 && heap::try_reserve_exact(&mut self.0, BYTES).is_err()
            || line.contains(&b'\n')
        {
            return;
        }
        let lines = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'\n').count();
        while self.0.len() + len > BYTES || lines(&self.0) >= LINES {
            let Some(end) = self.0.iter().position(|b| *b == b'\n') else { return };
            self.0.drain(..=end);
        }
        self.0.extend_from_slice(line);
        self.0.push(b'\n');
    }
}

impl Edit {
    /// Its bytes.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// What is to be printed where the line is shown once more, with the cursor where it is. Nothing if it is too long.
    pub(crate) fn show_again(&self, echo: &mut Vec<u8>) {
        if self.text.len() <= EDITED {
            echo.extend_from_slice(self.text.get(..self.cursor).unwrap_or(&[]));
            self.show_rest(0, echo);
        }
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.text.capacity()
    }

    /// Drops it.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.shown = None;
    }

    /// Hands over its bytes, and remembers them if they are a line.
    pub(crate) fn finish(&mut self, is_line: bool, take: impl FnOnce(&mut Vec<u8>)) {
        let known = self.before.get(0).is_some_and(|last| *last == self.text);
        let is_empty = self.text.iter().all(|b| is_blank(*b));
        if is_line && !known && !is_empty && self.text.len() <= EDITED {
            self.before.push(&self.text);
        }
        take(&mut self.text);
        self.clear();
    }

    /// One byte, where the cursor is. False when there is no room.
    pub(crate) fn insert(&mut self, byte: u8, echo: &mut Vec<u8>) -> bool {
        let at_end = self.cursor == self.text.len();
        if (!at_end && self.text.len() >= EDITED) || heap::try_reserve(&mut self.text, 1).is_err() {
            return false;
        }
        self.text.insert(self.cursor, byte);
        self.cursor += 1;
        if at_end {
            echo.push(byte);
            return true;
        }
        // In front of others a character is shown with its last byte.
        let character = self.text.get(self.left()..self.cursor).unwrap_or(&[]);
        let whole = match character.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        if character.len() >= whole {
            echo.extend_from_slice(character);
            self.show_rest(0, echo);
        }
        true
    }

    /// Prints what is behind the cursor again, and `gone` blanks where more was, and goes back.
    fn show_rest(&self, gone: usize, echo: &mut Vec<u8>) {
        let rest = self.text.get(self.cursor..).unwrap_or(&[]);
        echo.extend_from_slice(rest);
        echo.extend(core::iter::repeat_n(b' ', gone));
        echo.extend(core::iter::repeat_n(b'\x08', width(rest) + gone));
    }

    /// Where the character before the cursor begins.
    fn left(&self) -> usize {
        let before = self.text.get(..self.cursor).unwrap_or(&[]);
        before.iter().rposition(|b| !goes_on(*b)).unwrap_or(0)
    }

    /// Where the character at the cursor ends.
    fn right(&self) -> usize {
        let behind = self.text.get(self.cursor..).unwrap_or(&[]);
        let next = behind.iter().skip(1).position(|b| !goes_on(*b)).map(|n| n + 1);
        self.cursor + next.unwrap_or(behind.len())
    }

    /// Takes back the character before the cursor.
    pub(crate) fn take_back(&mut self, echo: &mut Vec<u8>) {
        self.take_back_to(self.left(), echo);
    }

    /// Takes back the word before the cursor.
    pub(crate) fn take_back_word(&mut self, echo: &mut Vec<u8>) {
        let before = self.text.get(..self.cursor).unwrap_or(&[]);
        let end = before.iter().rposition(|b| !is_blank(*b)).map_or(0, |at| at + 1);
        let word = before.get(..end).unwrap_or(&[]);
        let start = word.iter().rposition(|b| is_blank(*b)).map_or(0, |at| at + 1);
        self.take_back_to(start, echo);
    }

    /// Takes back all from `start` to the cursor. What is longer than a screen's rows is not rubbed out one by one.
    fn take_back_to(&mut self, start: usize, echo: &mut Vec<u8>) {
        let gone = width(self.text.get(start..self.cursor).unwrap_or(&[]));
        let is_last = self.cursor == self.text.len();
        self.text.drain(start..self.cursor);
        self.cursor = start;
        if gone > EDITED {
            echo.extend_from_slice(b"^W\n");
            return;
        }
        if is_last {
            (0..gone).for_each(|_| echo.extend_from_slice(b"\x08 \x08"));
        } else {
            echo.extend(core::iter::repeat_n(b'\x08', gone));
            self.show_rest(gone, echo);
        }
    }

    /// A key that moves or changes something.
    pub(crate) fn key(&mut self, key: Key, echo: &mut Vec<u8>) {
        if self.text.len() > EDITED {
            return;
        }
        match key {
            Key::Left => self.go_to(self.left(), echo),
            Key::Right => self.go_to(self.right(), echo),
            Key::Home => self.go_to(0, echo),
            Key::End => self.go_to(self.text.len(), echo),
            Key::Delete if self.cursor < self.text.len() => {
                self.text.drain(self.cursor..self.right());
                self.show_rest(1, echo);
            }
            Key::Delete => {}
            Key::Up => self.look_back(echo),
            Key::Down => self.look_forward(echo),
        }
    }

    fn go_to(&mut self, place: usize, echo: &mut Vec<u8>) {
        if place < self.cursor {
            let passed = width(self.text.get(place..self.cursor).unwrap_or(&[]));
            echo.extend(core::iter::repeat_n(b'\x08', passed));
        } else {
            echo.extend_from_slice(self.text.get(self.cursor..place).unwrap_or(&[]));
        }
        self.cursor = place;
    }

    /// The line before the one that is shown.
    fn look_back(&mut self, echo: &mut Vec<u8>) {
        let next = self.shown.as_ref().map_or(0, |(n, _)| n + 1);
        let Some(copy) = self.before.get(next).and_then(copied) else { return };
        let was = self.replace(copy, echo);
        let typed = self.shown.take().map_or(was, |(_, typed)| typed);
        self.shown = Some((next, typed));
    }

    /// The line after it, and behind the last what had been typed.
    fn look_forward(&mut self, echo: &mut Vec<u8>) {
        let Some((n, typed)) = self.shown.take() else { return };
        let Some(next) = n.checked_sub(1) else {
            self.replace(typed, echo);
            return;
        };
        match self.before.get(next).and_then(copied) {
            Some(copy) => {
                self.replace(copy, echo);
                self.shown = Some((next, typed));
            }
            None => self.shown = Some((n, typed)),
        }
    }

    /// Shows `text` in place of what is there, and gives that.
    fn replace(&mut self, text: Vec<u8>, echo: &mut Vec<u8>) -> Vec<u8> {
        let before = width(self.text.get(..self.cursor).unwrap_or(&[]));
        let (old, new) = (width(&self.text), width(&text));
        echo.extend(core::iter::repeat_n(b'\x08', before));
        echo.extend_from_slice(&text);
        let more = old.saturating_sub(new);
        echo.extend(core::iter::repeat_n(b' ', more));
        echo.extend(core::iter::repeat_n(b'\x08', more));
        self.cursor = text.len();
        core::mem::replace(&mut self.text, text)
    }
}

/// A copy, if there is memory for it.
fn copied(line: &[u8]) -> Option<Vec<u8>> {
    let mut copy = heap::try_vec(line.len()).ok()?;
    copy.extend_from_slice(line);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::*;

    /// A terminal that knows backspace: what one line of it shows, and where its cursor is.
    #[derive(Default)]
    struct Screen {
        shown: Vec<char>,
        at: usize,
    }

    impl Screen {
        fn print(&mut self, echo: &[u8]) {
            for c in core::str::from_utf8(echo).unwrap().chars() {
                match c {
                    '\x08' => self.at -= 1,
                    c => {
                        if self.at == self.shown.len() {
                            self.shown.push(' ');
                        }
                        self.shown[self.at] = c;
                        self.at += 1;
                    }
                }
            }
        }

        fn text(&self) -> String {
            self.shown.iter().collect::<String>().trim_end().into()
        }
    }

    /// Types: `<` and `>` move, `{` and `}` go to the ends, `^` and `v` through the lines, `#` deletes, `!` takes
    /// back, `\n` ends a line. What the screen shows is what the line is, at each step.
    fn type_in(edit: &mut Edit, screen: &mut Screen, keys: &str) {
        for c in keys.chars() {
            let mut echo = vec![];
            let key = match c {
                '<' => Some(Key::Left),
                '>' => Some(Key::Right),
                '{' => Some(Key::Home),
                '}' => Some(Key::End),
                '^' => Some(Key::Up),
                'v' => Some(Key::Down),
                '#' => Some(Key::Delete),
                _ => None,
            };
            match (key, c) {
                (Some(key), _) => edit.key(key, &mut echo),
                (_, '!') => edit.take_back(&mut echo),
                (_, '\n') => {
                    edit.finish(true, |_| {});
                    *screen = Screen::default();
                }
                (_, c) => {
                    let mut bytes = [0; 4];
                    for b in c.encode_utf8(&mut bytes).bytes() {
                        assert!(edit.insert(b, &mut echo));
                    }
                }
            }
            screen.print(&echo);
            let text = core::str::from_utf8(edit.text()).unwrap();
            assert_eq!(screen.text(), text.trim_end(), "after {c:?} of {keys:?}");
            assert_eq!(screen.at, width(&edit.text[..edit.cursor]), "after {c:?} of {keys:?}");
            assert!(echo.len() <= ECHO);
        }
    }

    fn line(keys: &str) -> String {
        let (mut edit, mut screen) = (Edit::default(), Screen::default());
        type_in(&mut edit, &mut screen, keys);
        String::from_utf8(edit.text().to_vec()).unwrap()
    }

    #[test]
    fn the_cursor_moves_and_the_screen_follows() {
        assert_eq!(line("eco<ho"), "echoo");
        assert_eq!(line("abc<<<<x>y}z"), "xaybcz");
        assert_eq!(line("hélo{>>>>#!é"), "hélé");
        assert_eq!(line("abc{###"), "");
        assert_eq!(line("one two!!!{#}>"), "ne ");
    }

    #[test]
    fn lines_that_were_typed_come_back() {
        assert_eq!(line("one\ntwo\n^"), "two");
        assert_eq!(line("one\ntwo\n^^^^"), "one");
        assert_eq!(line("one\na longer one\nne^^vv"), "ne");
        assert_eq!(line("one\none\n  \ntwo\n^^"), "one");
        assert_eq!(line("first\n^!d\n^"), "firsd");
        assert_eq!(line("a long line\nb\n^^vvv"), "");
        assert_eq!(line("v^"), "");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut edit, mut screen) = (Edit::default(), Screen::default());
        for n in 0..LINES + 10 {
            type_in(&mut edit, &mut screen, &alloc::format!("line {n}\n"));
        }
        let block = (edit.before.0.as_ptr(), edit.before.0.capacity());
        assert_eq!(edit.before.get(LINES - 1).unwrap(), b"line 10");
        assert_eq!(edit.before.get(LINES), None);
        type_in(&mut edit, &mut screen, &"^".repeat(LINES + 5));
        assert_eq!(edit.text(), b"line 10");
        edit.clear();
        let mut echo = vec![];
        (0..EDITED + 1).for_each(|_| assert!(edit.insert(b'x', &mut echo)));
        edit.key(Key::Home, &mut echo);
        assert!(edit.insert(b'y', &mut echo) && edit.text().ends_with(b"xy"));
        edit.finish(true, |_| {});
        assert_eq!(edit.before.get(0).unwrap(), b"line 109");
        // Long lines are fewer; none of them is cut, and all of them are in the same block.
        screen = Screen::default();
        for n in 0..LINES {
            type_in(&mut edit, &mut screen, &alloc::format!("{n:0EDITED$}\n"));
        }
        assert_eq!(edit.before.get(0).unwrap(), alloc::format!("{:0EDITED$}", LINES - 1).as_bytes());
        let kept = BYTES / (EDITED + 1);
        assert!(edit.before.get(kept - 1).is_some_and(|line| line.len() == EDITED));
        assert_eq!(edit.before.get(kept), None);
        assert_eq!((edit.before.0.as_ptr(), edit.before.0.capacity()), block);
    }
}
