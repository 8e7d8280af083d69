//! The arguments of a program while it is being found: in one piece, as they will stand on its stack.
//!
//! A program may give as many as half a stack holds, which is more than memory may have at the moment: everything here
//! can say no.

use alloc::vec::Vec;

use abi::error;
use machine::heap;

use crate::error::Result;
use crate::mem::Memory;

/// Most bytes of all arguments, their zero bytes, and the pointers to them.
pub const ARGS_MAX: usize = abi::layout::ARGS_MAX as usize;

/// Arguments, the first of which is by custom the program's name.
#[derive(Default)]
pub struct Argv {
    /// Each with a zero byte behind it.
    bytes: Vec<u8>,
    count: usize,
}

impl Argv {
    /// None yet.
    pub const fn new() -> Self {
        Argv { bytes: Vec::new(), count: 0 }
    }

    /// These.
    ///
    /// # Errors
    /// As [`Argv::push`].
    pub fn of(args: &[impl AsRef<[u8]>]) -> Result<Self> {
        let mut argv = Argv::new();
        for arg in args {
            argv.push(arg.as_ref())?;
        }
        Ok(argv)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// All of them, each with a zero byte behind it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One after the other, without their zero bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        // The last zero byte ends an argument and does not begin another.
        let all = self.bytes.strip_suffix(&[0]).unwrap_or(&[]);
        all.split(|b| *b == 0).take(self.count)
    }

    /// One more. It has no zero byte in it.
    ///
    /// # Errors
    /// `bad arg in system call` when all are longer than [`ARGS_MAX`]; no memory.
    pub(crate) fn push(&mut self, arg: &[u8]) -> Result<()> {
        heap::try_reserve(&mut self.bytes, arg.len() + 1)?;
        self.bytes.extend_from_slice(arg);
        self.end()
    }

    /// One more, from the memory of a program.
    ///
    /// # Errors
    /// As [`Argv::push`]; a bad address.
    pub(crate) fn push_from(&mut self, mem: &Memory, va: u64) -> Result<()> {
        mem.append_string(va, ARGS_MAX, &mut self.bytes)?;
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        heap::try_push(&mut self.bytes, 0)?;
        self.count += 1;
        if self.bytes.len() + 8 * (self.count + 2) > ARGS_MAX { Err(error::EBADARG.into()) } else { Ok(()) }
    }

    /// The arguments but the first are put behind those of `front`.
    ///
    /// # Errors
    /// As [`Argv::push`].
    pub(crate) fn behind(&self, front: Argv) -> Result<Argv> {
        let mut all = front;
        let first = self.iter().next().map_or(0, |a| a.len() + 1);
        let rest = self.bytes.get(first..).unwrap_or(&[]);
        heap::try_extend(&mut all.bytes, rest)?;
        all.count += self.count.saturating_sub(1);
        if all.bytes.len() + 8 * (all.count + 2) > ARGS_MAX { Err(error::EBADARG.into()) } else { Ok(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn empty_ones_are_arguments_too() {
        let list = |a: &Argv| a.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        for args in [&[][..], &[""], &["", ""], &["a"], &["a", "", "bc", ""]] {
            let argv = Argv::of(args).unwrap();
            assert_eq!(list(&argv), args.iter().map(|a| a.as_bytes().to_vec()).collect::<Vec<_>>());
            let all = argv.behind(Argv::of(&["rc", ""]).unwrap()).unwrap();
            let mut want = vec![b"rc".to_vec(), Vec::new()];
            want.extend(args.iter().skip(1).map(|a| a.as_bytes().to_vec()));
            assert_eq!(list(&all), want);
        }
    }

    #[test]
    fn all_together_have_a_limit() {
        let mut argv = Argv::of(&[vec![b'x'; ARGS_MAX - 100]]).unwrap();
        assert!(argv.push(&[b'y'; 40]).is_ok());
        assert!(argv.push(&[b'y'; 40]).unwrap_err().is(error::EBADARG));
    }
}
