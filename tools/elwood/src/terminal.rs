//! The terminal as the guest's keyboard and screen.
//!
//! Line editing and echo are the guest's, so the terminal's own are off while the machine runs. Output processing
//! stays on: a newline still starts at the left edge. Two keys change on the way in. Plan 9 interrupts with DEL and
//! rubs out with backspace; a Unix terminal sends ^C for the one, and DEL from the key with the arrow. So ^C becomes
//! DEL and DEL becomes ^H.

use std::io::{Read, Write};
use std::sync::Mutex;

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcsetattr};

/// The terminal's settings from before, while they are changed.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode on standard input, if that is a terminal; undone when dropped, and before a panic ends the program.
pub struct Raw(());

impl Raw {
    /// Changes the terminal.
    pub fn enter() -> std::io::Result<Raw> {
        if isatty(stdin()) {
            let before = tcgetattr(stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            raw.output_modes = before.output_modes | OutputModes::OPOST | OutputModes::ONLCR;
            if let Ok(mut saved) = BEFORE.lock() {
                *saved = Some(before);
            }
            // A release build does not unwind, so a panic must put things right before it aborts.
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                report(info);
            }));
            tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        }
        Ok(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal its settings back.
fn restore() {
    let before = BEFORE.lock().ok().and_then(|mut saved| saved.take());
    if let Some(before) = before {
        // Nothing is left to do when the terminal has gone away.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// QEMU's escape character.
const CTRL_A: u8 = 0x01;

/// What the guest gets for a key that the terminal sent as `byte`.
fn key(byte: u8) -> u8 {
    match byte {
        0x03 => 0x7f,
        0x7f => 0x08,
        other => other,
    }
}

/// Why [`relay`] ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// One of the two sides is gone.
    Closed,
    /// `ctrl-a x` was typed, and has been passed on.
    Quit,
}

/// Moves everything typed to `guest`, with the keys changed if `typed` is a terminal, until one of them ends or the
/// user asks for the end.
pub fn relay(mut typed: impl Read, mut guest: impl Write, terminal: bool) -> End {
    let mut buffer = [0; 4096];
    let mut escaped = false;
    loop {
        let n = match typed.read(&mut buffer) {
            Ok(0) => return End::Closed,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return End::Closed,
        };
        let piece = buffer.get_mut(..n).unwrap_or_default();
        let mut quit = false;
        for byte in piece.iter_mut() {
            quit |= escaped && *byte == b'x';
            escaped = *byte == CTRL_A && !escaped;
            if terminal {
                *byte = key(*byte);
            }
        }
        if guest.write_all(piece).and_then(|()| guest.flush()).is_err() {
            return End::Closed;
        }
        if quit {
            return End::Quit;
        }
    }
}

/// Moves all that `guest` prints to `screen` as it comes, until one of them ends.
pub fn show(mut guest: impl Read, mut screen: impl Write) {
    let mut buffer = [0; 16384];
    loop {
        match guest.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(n) => {
                if screen.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_terminal_become_plan_9s() {
        let mut guest = Vec::new();
        assert_eq!(relay(&b"ls\x7f\x03\x01cx\r"[..], &mut guest, true), End::Closed);
        assert_eq!(guest, b"ls\x08\x7f\x01cx\r");
    }

    #[test]
    fn a_script_goes_through_as_it_is() {
        let mut guest = Vec::new();
        assert_eq!(relay(&b"a\x03\x7f\n"[..], &mut guest, false), End::Closed);
        assert_eq!(guest, b"a\x03\x7f\n");
    }

    #[test]
    fn the_way_out() {
        let mut guest = Vec::new();
        // Twice ctrl-a is one for the guest.
        assert_eq!(relay(&b"\x01\x01x"[..], &mut guest, true), End::Closed);
        let pieces = (&b"y\x01"[..]).chain(&b"x"[..]).chain(&b"not read"[..]);
        assert_eq!(relay(pieces, &mut guest, true), End::Quit);
        assert_eq!(guest, b"\x01\x01xy\x01x");
    }
}
