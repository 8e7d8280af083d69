//! Addresses of lines.

use super::{Editor, Fault, Io, PIECE, wrong};

/// The addresses before a command.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Addresses {
    /// The first of two; the same as `last` when there is one.
    pub(super) first: usize,
    /// The last.
    pub(super) last: usize,
    /// There was one.
    pub(super) given: bool,
    /// What separated the last two.
    pub(super) separator: Option<u8>,
}

impl<I: Io> Editor<I> {
    /// Reads addresses up to the command.
    pub(super) fn addresses(&mut self) -> Result<Addresses, Fault> {
        let mut first = None;
        let mut separator = None;
        loop {
            let address = self.address()?;
            let byte = self.get()?;
            if !matches!(byte, Some(b',' | b';')) {
                self.unget(byte);
                // Behind a separator the end of the buffer is meant.
                let last =
                    if separator.is_some() { Some(address.unwrap_or(self.buffer.len())) } else { address };
                let given = last.is_some();
                let last = last.unwrap_or(self.dot);
                return Ok(Addresses { first: first.unwrap_or(last), last, given, separator });
            }
            let address = address.unwrap_or(1.min(self.buffer.len()));
            first = Some(address);
            if byte == Some(b';') {
                self.dot = address;
            }
            separator = byte;
        }
    }

    /// One address; nothing when none is there. It is a line of the buffer, or 0.
    pub(super) fn address(&mut self) -> Result<Option<usize>, Fault> {
        let last = self.buffer.len() as i64;
        let mut at = self.dot as i64;
        let mut sign = 1;
        // How many operands there were, and whether a sign waits for its own.
        let (mut operands, mut waiting) = (0u32, false);
        loop {
            let byte = self.get_behind_blanks()?;
            match byte {
                Some(b'0'..=b'9') => {
                    self.unget(byte);
                    let number = i64::try_from(self.get_number()?.unwrap_or(0)).unwrap_or(i64::MAX);
                    let from = if operands == 0 && !waiting { 0 } else { at };
                    at = from.saturating_add(sign * number);
                }
                Some(b'$' | b'.' | b'\'') if operands > 0 || waiting => return wrong(),
                Some(b'$') => at = last,
                Some(b'.') => {}
                Some(b'\'') => {
                    let name = self.get()?.unwrap_or(0);
                    let Some(line) = self.buffer.named(name) else { return wrong() };
                    at = line as i64;
                }
                Some(delimiter @ (b'/' | b'?')) => {
                    self.get_expression(delimiter)?;
                    at = self.search(at, if delimiter == b'?' { -sign } else { sign })?;
                }
                _ => {
                    if waiting {
                        at = at.saturating_add(sign);
                    }
                    if !matches!(byte, Some(b'+' | b'-' | b'^')) {
                        self.unget(byte);
                        if operands == 0 && !waiting {
                            return Ok(None);
                        }
                        let within = usize::try_from(at).ok().filter(|at| *at <= self.buffer.len());
                        return if within.is_some() { Ok(within) } else { wrong() };
                    }
                    sign = if byte == Some(b'+') { 1 } else { -1 };
                    waiting = true;
                    continue;
                }
            }
            if !(0..=last).contains(&at) {
                return wrong();
            }
            // A number or an expression behind another is added, as if a + were between them.
            (sign, waiting) = (1, false);
            operands += 1;
        }
    }

    /// The next line that matches, around the ends of the buffer.
    fn search(&mut self, from: i64, sign: i64) -> Result<i64, Fault> {
        let last = self.buffer.len() as i64;
        let mut at = from;
        for n in 0..=last {
            at += sign;
            if at > last {
                at = 1;
            } else if at <= 0 {
                at = last;
            }
            if self.matches(usize::try_from(at).unwrap_or(0)) {
                return Ok(at);
            }
            if n as usize % PIECE == PIECE - 1 {
                self.io.check()?;
            }
        }
        wrong()
    }
}
