//! The terminal as the guest's keyboard and screen.
//!
//! Line editing and echo are the guest's, so the terminal's own are off while the machine runs. Output processing
//! stays on: a newline still starts at the left edge. Two keys change on the way in. Plan 9 interrupts with DEL and
//! rubs out with backspace; a Unix terminal sends ^C for the one, and DEL from the key with the arrow. So ^C becomes
//! DEL and DEL becomes ^H.
//!
//! Two things the guest cannot see of a terminal behind a serial line, and is told between the keys: how large its
//! window is, and that nothing more will be typed. cons(3) has the form. They are held back while keys go to QEMU's
//! monitor.

use std::io::{Read, Write};
use std::sync::Mutex;

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

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

/// The guest's end of the line, which keys and messages share.
pub struct Guest<W>(Mutex<Line<W>>);

struct Line<W> {
    out: W,
    /// `ctrl-a` was typed last, and is QEMU's.
    escaped: bool,
    /// Keys go to QEMU's monitor.
    monitor: bool,
    /// What is to be told as soon as may be.
    due: Option<String>,
}

impl<W: Write> Guest<W> {
    /// Over this.
    pub fn new(out: W) -> Guest<W> {
        Guest(Mutex::new(Line { out, escaped: false, monitor: false, due: None }))
    }

    /// Tells the guest something, now or when keys go to it again; of two things that wait the later counts.
    pub fn tell(&self, what: String) {
        if let Ok(mut line) = self.0.lock() {
            line.due = Some(what);
            // Who types sees to what comes of it.
            let _ = line.tell_due();
        }
    }

    /// Tells it how large the terminal's window is, if there is one that knows.
    pub fn tell_size(&self) {
        if let Ok(size) = tcgetwinsize(stdin())
            && size.ws_row != 0
            && size.ws_col != 0
        {
            self.tell(format!("size {} {}", size.ws_row, size.ws_col));
        }
    }

    /// Passes on keys; true when they ask for the end.
    fn keys(&self, piece: &mut [u8], terminal: bool) -> std::io::Result<bool> {
        let Ok(mut line) = self.0.lock() else { return Ok(false) };
        let mut quit = false;
        for byte in piece.iter_mut() {
            quit |= line.escaped && *byte == b'x';
            line.monitor ^= line.escaped && *byte == b'c';
            line.escaped = *byte == CTRL_A && !line.escaped;
            if terminal {
                *byte = key(*byte);
            }
        }
        line.out.write_all(piece)?;
        line.tell_due()?;
        line.out.flush()?;
        Ok(quit)
    }
}

impl<W: Write> Line<W> {
    fn tell_due(&mut self) -> std::io::Result<()> {
        if !self.escaped
            && !self.monitor
            && let Some(what) = self.due.take()
        {
            self.out.write_all(&[b"\xffelwood ", what.as_bytes(), b"\n"].concat())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// Moves everything typed to `guest`, with the keys changed if `typed` is a terminal, until one of them ends or the
/// user asks for the end. When there is nothing more to be typed the guest is told.
pub fn relay(mut typed: impl Read, guest: &Guest<impl Write>, terminal: bool) -> End {
    let mut buffer = [0; 4096];
    loop {
        let n = match typed.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => {
                guest.tell("end".into());
                return End::Closed;
            }
            Ok(n) => n,
        };
        match guest.keys(buffer.get_mut(..n).unwrap_or_default(), terminal) {
            Ok(true) => return End::Quit,
            Ok(false) => {}
            Err(_) => return End::Closed,
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

    /// Why the relay of these bytes ended, and what the guest got.
    fn relayed(typed: impl Read, terminal: bool) -> (End, Vec<u8>) {
        let guest = Guest::new(Vec::new());
        let end = relay(typed, &guest, terminal);
        (end, guest.0.into_inner().unwrap().out)
    }

    #[test]
    fn keys_of_a_terminal_become_plan_9s() {
        let (end, guest) = relayed(&b"ls\x7f\x03\x01cx\x01c\r"[..], true);
        assert_eq!(end, End::Closed);
        assert_eq!(guest, b"ls\x08\x7f\x01cx\x01c\r\xffelwood end\n");
    }

    #[test]
    fn a_script_goes_through_as_it_is_and_its_end_is_told() {
        let (end, guest) = relayed(&b"a\x03\x7f\n"[..], false);
        assert_eq!((end, guest), (End::Closed, b"a\x03\x7f\n\xffelwood end\n".to_vec()));
    }

    #[test]
    fn the_way_out() {
        // Twice ctrl-a is one for the guest.
        assert_eq!(relayed(&b"\x01\x01x"[..], true).0, End::Closed);
        let pieces = (&b"y\x01"[..]).chain(&b"x"[..]).chain(&b"not read"[..]);
        assert_eq!(relayed(pieces, true), (End::Quit, b"y\x01x".to_vec()));
    }

    #[test]
    fn the_monitor_is_told_nothing() {
        let guest = Guest::new(Vec::new());
        guest.tell("size 1 2".into());
        guest.keys(&mut b"a\x01".to_vec(), true).unwrap();
        // In the middle of QEMU's own key, and to its monitor.
        guest.tell("size 3 4".into());
        guest.keys(&mut b"c".to_vec(), true).unwrap();
        guest.keys(&mut b"info\n".to_vec(), true).unwrap();
        guest.tell("size 5 6".into());
        guest.keys(&mut b"\x01c".to_vec(), true).unwrap();
        let told = guest.0.into_inner().unwrap().out;
        assert_eq!(told, b"\xffelwood size 1 2\na\x01cinfo\n\x01c\xffelwood size 5 6\n");
    }
}
