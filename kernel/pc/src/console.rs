//! The console on the PC's screen.
//!
//! Lock: the one around the screen and its state, a leaf, held for `PIECE` bytes at a time with interrupts off;
//! printing is allowed in interrupt handlers.

use io::ConsoleOut;
use machine::lock::Lock;

use crate::screen::{Screen, font};
use crate::vga::{self, Text};

/// Bytes shown at a time.
const PIECE: usize = 128;

/// A screen in text mode that shows what is written.
pub struct ScreenConsole(Lock<(Screen, Text)>);

impl ScreenConsole {
    /// Puts the screen into text mode and clears it, if the machine has one.
    pub fn find() -> Option<ScreenConsole> {
        let text = Text::new(&font::glyphs()).ok()??;
        Some(ScreenConsole(Lock::new((Screen::new(vga::ROWS, vga::COLUMNS), text))))
    }
}

impl ConsoleOut for ScreenConsole {
    /// Shows `bytes`, as [`Screen::write`] does.
    fn write(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let mut held = self.0.lock();
            let (screen, text) = &mut *held;
            screen.write(piece, text);
        }
    }
}
