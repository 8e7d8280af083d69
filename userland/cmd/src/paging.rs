//! What p(1) does with lines: it breaks them into pages.

/// Lines of a page unless the user or the window says otherwise: what a screen of 24 rows shows with [room](lines_of)
/// for what is typed.
pub const LINES: usize = 22;

/// Lines of a page in a window with so many rows.
pub fn lines_of(rows: usize) -> usize {
    rows.saturating_sub(2).max(1)
}

/// Where the pages go.
pub trait Screen {
    /// What can go wrong with it.
    type Error;

    /// Shows text.
    fn show(&mut self, text: &[u8]) -> Result<(), Self::Error>;

    /// Waits at the end of a page until the user wants more, and says whether she does. The last line of the page has
    /// no newline yet: the one that the user types ends it.
    fn wait(&mut self) -> Result<bool, Self::Error>;
}

/// Breaks what comes line by line into pages.
pub struct Pages<S> {
    screen: S,
    /// Lines of a page.
    lines: usize,
    /// Lines that this page has.
    shown: usize,
    /// The newline of the last line, which is shown when it is known that no page ends there.
    newline: bool,
}

impl<S: Screen> Pages<S> {
    /// Pages of so many lines on this screen. No lines at all are taken for one.
    pub fn new(screen: S, lines: usize) -> Self {
        Pages { screen, lines: lines.max(1), shown: 0, newline: false }
    }

    /// Shows a line, which ends with a newline unless it is the last of its file and has none. False when the user has
    /// seen enough.
    ///
    /// # Errors
    /// The screen's.
    pub fn line(&mut self, line: &[u8]) -> Result<bool, S::Error> {
        if self.shown == self.lines && !self.turn()? {
            return Ok(false);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        self.end_line()?;
        self.screen.show(text)?;
        self.newline = text.len() < line.len();
        self.shown += 1;
        Ok(true)
    }

    /// Begins a page, as between two files, unless it has just begun. False when the user has seen enough.
    ///
    /// # Errors
    /// The screen's.
    pub fn turn(&mut self) -> Result<bool, S::Error> {
        if self.shown == 0 {
            return Ok(true);
        }
        self.newline = false;
        self.shown = 0;
        self.screen.wait()
    }

    /// Ends the last page, and gives the screen back.
    ///
    /// # Errors
    /// The screen's.
    pub fn end(mut self) -> Result<S, S::Error> {
        self.end_line()?;
        Ok(self.screen)
    }

    fn end_line(&mut self) -> Result<(), S::Error> {
        if core::mem::take(&mut self.newline) {
            self.screen.show(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::convert::Infallible;

    #[test]
    fn a_window_has_room_for_what_is_typed() {
        assert_eq!(lines_of(24), LINES);
        assert_eq!((lines_of(100), lines_of(2), lines_of(1)), (98, 1, 1));
    }

    /// A user who turns a number of pages, and what she sees; `|` is where she is waited for.
    struct Reader {
        seen: String,
        turns: usize,
    }

    impl Screen for &mut Reader {
        type Error = Infallible;

        fn show(&mut self, text: &[u8]) -> Result<(), Infallible> {
            self.seen += core::str::from_utf8(text).unwrap();
            Ok(())
        }

        fn wait(&mut self) -> Result<bool, Infallible> {
            self.seen.push('|');
            let more = self.turns > 0;
            self.turns = self.turns.saturating_sub(1);
            Ok(more)
        }
    }

    fn seen(files: &[&str], lines: usize, turns: usize) -> String {
        let mut reader = Reader { seen: String::new(), turns };
        let mut pages = Pages::new(&mut reader, lines);
        'all: {
            for file in files {
                if !pages.turn().unwrap() {
                    break 'all;
                }
                for line in file.split_inclusive('\n') {
                    if !pages.line(line.as_bytes()).unwrap() {
                        break 'all;
                    }
                }
            }
            pages.end().unwrap();
        }
        reader.seen
    }

    #[test]
    fn a_page_is_waited_for_only_if_another_follows() {
        assert_eq!(seen(&["a\nb\n"], 2, 9), "a\nb\n");
        assert_eq!(seen(&["a\nb\nc\n"], 2, 9), "a\nb|c\n");
        assert_eq!(seen(&["a\nb\nc\nd\ne"], 2, 9), "a\nb|c\nd|e");
        assert_eq!(seen(&[""], 2, 9), "");
        assert_eq!(seen(&["a\nb\n"], 0, 9), "a|b\n");
    }

    #[test]
    fn files_begin_pages() {
        assert_eq!(seen(&["a\n", "b\n"], 2, 9), "a|b\n");
        assert_eq!(seen(&["", "b\n", ""], 2, 9), "b|");
    }

    #[test]
    fn who_has_seen_enough_sees_no_more() {
        assert_eq!(seen(&["a\nb\nc\n"], 1, 1), "a|b|");
        assert_eq!(seen(&["a\n", "b\n"], 2, 0), "a|");
    }
}
