//! Where the console is seen: on the serial line, on the screen, or on both, as the word `console` says.
//!
//! Lock: [`Vga`]'s own, a leaf, held for some cells at a time; printing is allowed in interrupt handlers.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::lock::Lock;
use machine::vga::{self, Text};
use port::devices::uart::SerialConsole;
use port::kmesg::{ConsoleOut, Kmesg};
use port::screen::{Display, Screen, font};

/// Bytes shown at a time, with interrupts off.
const PIECE: usize = 128;

/// Where the console is.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The serial line: what arrives there is typed on the console.
    pub uart: bool,
}

/// The screen's memory, as the portable half wants it.
struct Cells(Text);

impl Display for Cells {
    fn put(&mut self, row: usize, column: usize, code: u8) {
        self.0.put(row, column, code);
    }

    fn scroll(&mut self) {
        self.0.scroll();
    }

    fn cursor(&mut self, row: usize, column: usize) {
        self.0.cursor(row, column);
    }
}

/// The console on the screen.
struct Vga(Lock<(Screen, Cells)>);

impl ConsoleOut for Vga {
    fn write(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let mut held = self.0.lock();
            let (screen, cells) = &mut *held;
            screen.write(piece, cells);
        }
    }
}

/// The console in several places.
struct All(Vec<Arc<dyn ConsoleOut>>);

impl ConsoleOut for All {
    fn write(&self, bytes: &[u8]) {
        self.0.iter().for_each(|place| place.write(bytes));
    }
}

/// Puts the console where the last word `console` wants it, and shows there what has been said so far. A machine without
/// a screen has it on the serial line.
pub fn console(kmesg: &Kmesg, words: &[(String, String)]) -> Places {
    let wanted = words.iter().rev().find(|(name, _)| name == "console").map_or("uart", |(_, value)| value);
    let wants = |name| wanted.split(',').any(|place| place == name);
    let screen = if wants("vga") { screen() } else { None };
    let missing = wants("vga") && screen.is_none();
    let uart = wants("uart") || missing;
    let mut places: Vec<Arc<dyn ConsoleOut>> = Vec::new();
    if uart {
        places.push(Arc::new(SerialConsole(super::com1())));
    }
    places.extend(screen);
    let one = if places.len() == 1 { places.pop() } else { None };
    kmesg.set_console(one.unwrap_or_else(|| Arc::new(All(places))), true);
    if missing {
        kmesg.print(format_args!("console: no VGA; the console is on the serial line\n"));
    }
    Places { uart }
}

/// The screen in text mode, if the machine has one.
fn screen() -> Option<Arc<dyn ConsoleOut>> {
    let text = Text::new(&font::glyphs()).ok()??;
    Some(Arc::new(Vga(Lock::new((Screen::new(vga::ROWS, vga::COLUMNS), Cells(text))))))
}
