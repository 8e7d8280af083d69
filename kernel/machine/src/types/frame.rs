//! A program's registers where the processor puts them when user mode ends, and takes them from when it begins.
//!
//! They are in memory once: the kernel's half of a system call works on them there, and whoever wants to see another
//! process's registers looks there, too, at any moment. Hence they are atomic words, which cost no more than others.
//! While the program runs, or all of them are changed, `version` is odd: who looks then, or finds another one
//! afterwards, has seen nothing.

use abi::ureg::{UREG_SIZE, Ureg};
use core::sync::atomic::{AtomicU64, Ordering, fence};

const WORDS: usize = UREG_SIZE / 8;

/// The registers. Only the thread of the program changes them. The alignment puts their end on a 16-byte boundary,
/// where the processor can push them.
#[repr(C, align(16))]
pub struct Frame {
    version: AtomicU64,
    /// As in a `Ureg`.
    words: [AtomicU64; WORDS],
}

const _: () = assert!(size_of::<Frame>() == 8 + UREG_SIZE);

/// Reading and changing of one register: its name, that of the change, and its place in a `Ureg`.
macro_rules! registers {
    ($($name:ident $set:ident $field:ident;)*) => {$(
        #[doc = concat!("The register or field `", stringify!($field), "`.")]
        #[inline]
        pub fn $name(&self) -> u64 {
            self.words[core::mem::offset_of!(Ureg, $field) / 8].load(Ordering::Relaxed)
        }

        #[doc = concat!("Changes `", stringify!($field), "`.")]
        #[inline]
        pub fn $set(&self, value: u64) {
            self.words[core::mem::offset_of!(Ureg, $field) / 8].store(value, Ordering::Relaxed);
        }
    )*};
}

impl Frame {
    /// These registers.
    pub fn new(regs: &Ureg) -> Frame {
        Frame { version: AtomicU64::new(0), words: regs.to_words().map(AtomicU64::new) }
    }

    registers! {
        ax set_ax ax;
        cx set_cx cx;
        di set_di di;
        bp set_bp bp;
        r11 set_r11 r11;
        // All four data selectors.
        selectors set_selectors ds;
        kind set_kind kind;
        error set_error error;
        pc set_pc pc;
        cs set_cs cs;
        flags set_flags flags;
        sp set_sp sp;
        ss set_ss ss;
    }

    /// All of them, for the program's own thread.
    pub fn get(&self) -> Ureg {
        let mut words = [0; WORDS];
        for (to, from) in words.iter_mut().zip(&self.words) {
            *to = from.load(Ordering::Relaxed);
        }
        Ureg::from_words(&words)
    }

    /// Changes all of them.
    pub fn put(&self, regs: &Ureg) {
        self.change();
        fence(Ordering::Release);
        for (to, from) in self.words.iter().zip(regs.to_words()) {
            to.store(from, Ordering::Relaxed);
        }
        self.changed();
    }

    /// All of them as they are, for anybody. None while the program runs, or when it has run meanwhile.
    pub fn seen(&self) -> Option<Ureg> {
        let version = self.version.load(Ordering::Acquire);
        let regs = self.get();
        fence(Ordering::Acquire);
        (version & 1 == 0 && self.version.load(Ordering::Relaxed) == version).then_some(regs)
    }

    /// From here on they may change at any moment: the program runs.
    #[inline]
    pub(crate) fn change(&self) {
        self.version.store(self.version.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// They have been changed.
    #[inline]
    pub(crate) fn changed(&self) {
        self.version.store(self.version.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Where the processor finds and puts them: they end 16 bytes aligned.
    #[cfg(target_os = "none")]
    pub(crate) fn place(&self) -> *mut Ureg {
        self.words.as_ptr().cast::<Ureg>().cast_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;
    use std::thread;

    #[test]
    fn each_register_is_where_a_ureg_has_it() {
        let frame = Frame::new(&Ureg::default());
        frame.set_ax(1);
        frame.set_sp(2);
        frame.set_selectors(0x1b_0000_0003);
        assert_eq!(frame.get(), Ureg { ax: 1, sp: 2, ds: 3, fs: 0x1b, ..Ureg::default() });
        let other = Ureg { bp: 7, flags: 0x202, pc: 9, ..Ureg::default() };
        frame.put(&other);
        assert_eq!((frame.get(), frame.bp(), frame.flags(), frame.pc()), (other, 7, 0x202, 9));
    }

    #[test]
    fn nobody_sees_a_mixture_or_a_program_that_runs() {
        let frame = Arc::new(Frame::new(&Ureg::default()));
        assert!(frame.seen().is_some());
        frame.change();
        assert_eq!(frame.seen(), None);
        frame.changed();
        let writer = {
            let frame = frame.clone();
            thread::spawn(move || {
                (0..50_000).for_each(|n| frame.put(&Ureg { ax: n, r15: n, ss: n, ..Ureg::default() }))
            })
        };
        while !writer.is_finished() {
            if let Some(regs) = frame.seen() {
                assert_eq!((regs.ax, regs.ax), (regs.r15, regs.ss));
            }
        }
        writer.join().unwrap();
    }
}
