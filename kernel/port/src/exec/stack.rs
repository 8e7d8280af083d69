//! The first stack of a program: argument count, pointers, strings, and `Tos` at the very top.

use abi::layout::{TOS, TOS_CYCLEFREQ, TOS_PID, TOS_SIZE, USTKTOP};

use super::argv::Argv;
use crate::error::Result;

/// The first stack of a program.
pub(crate) struct Stack<'a> {
    args: &'a Argv,
    pid: u32,
    cycle_hz: u64,
    first_string: u64,
    /// The first stack pointer.
    pub(crate) sp: u64,
}

impl<'a> Stack<'a> {
    /// That of a process with this number, on a processor with so many cycles a second.
    pub(crate) fn new(args: &'a Argv, pid: u32, cycle_hz: u64) -> Self {
        // The strings end below Tos; the pointer is 16-byte aligned, which nobody asks for and nobody minds.
        let first_string = (TOS - args.bytes().len() as u64) & !15;
        let sp = (first_string - 8 * (args.count() as u64 + 2)) & !15;
        Stack { args, pid, cycle_hz, first_string, sp }
    }

    /// Gives the bytes from the stack pointer to `USTKTOP` to `put`, piece by piece.
    ///
    /// # Errors
    /// What `put` says.
    pub(crate) fn write(&self, mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        put(&(self.args.count() as u64).to_le_bytes())?;
        let mut at = self.first_string;
        for arg in self.args.iter() {
            put(&at.to_le_bytes())?;
            at += arg.len() as u64 + 1;
        }
        // The end of the pointers, and what makes the rest aligned.
        let pointers = self.sp + 8 * (self.args.count() as u64 + 1);
        put(zeros(pointers, self.first_string))?;
        put(self.args.bytes())?;
        put(zeros(at, TOS))?;
        let mut tos = [0u8; TOS_SIZE as usize];
        let (freq, id) = (TOS_CYCLEFREQ as usize, TOS_PID as usize);
        if let Some(place) = tos.get_mut(freq..freq + 8) {
            place.copy_from_slice(&self.cycle_hz.to_le_bytes());
        }
        if let Some(place) = tos.get_mut(id..id + 4) {
            place.copy_from_slice(&self.pid.to_le_bytes());
        }
        put(&tos)?;
        put(zeros(TOS + TOS_SIZE, USTKTOP))
    }
}

/// As many zeros as there are bytes between two places, which are never many.
fn zeros(from: u64, to: u64) -> &'static [u8] {
    const ZEROS: [u8; 64] = [0; 64];
    ZEROS.get(..to.saturating_sub(from) as usize).unwrap_or(&ZEROS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn pointers_point_at_the_strings() {
        let args = [b"ls".to_vec(), b"-l".to_vec(), Vec::new()];
        let argv = Argv::of(&args).unwrap();
        let stack = Stack::new(&argv, 7, 1000);
        let (sp, mut b) = (stack.sp, Vec::new());
        stack
            .write(|piece| {
                b.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(sp + b.len() as u64, USTKTOP);
        assert_eq!(sp % 16, 0);
        let word = |i: usize| u64::from_le_bytes(b[8 * i..8 * i + 8].try_into().unwrap());
        assert_eq!(word(0), 3);
        assert_eq!(word(4), 0);
        for (i, arg) in args.iter().enumerate() {
            let at = (word(i + 1) - sp) as usize;
            assert_eq!(&b[at..at + arg.len()], &arg[..]);
            assert_eq!(b[at + arg.len()], 0);
        }
        let tos = (TOS - sp) as usize;
        assert_eq!(b[tos + 64], 7);
    }
}
