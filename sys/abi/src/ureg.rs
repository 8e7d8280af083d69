//! The saved registers of a user process as Plan 9 lays them out: 184 bytes.

/// Size of an encoded `Ureg` in bytes.
pub const UREG_SIZE: usize = 184;

/// The trap number of a system call.
pub const SYSCALL: u64 = 64;

/// General registers of a process, in the order of Plan 9's amd64 `Ureg`.
///
/// `repr(C)` with exactly this order: trap entry stores into it by offset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Ureg {
    pub ax: u64,
    pub bx: u64,
    pub cx: u64,
    pub dx: u64,
    pub si: u64,
    pub di: u64,
    pub bp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
    /// Trap number; [`SYSCALL`] for a system call.
    pub kind: u64,
    pub error: u64,
    pub pc: u64,
    pub cs: u64,
    pub flags: u64,
    pub sp: u64,
    pub ss: u64,
}

impl Ureg {
    /// The 184 bytes that a note handler and `/proc/n/regs` see.
    pub fn to_bytes(&self) -> [u8; UREG_SIZE] {
        let mut out = [0; UREG_SIZE];
        for (slot, value) in out.chunks_exact_mut(8).zip(self.to_words()) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        out
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8; UREG_SIZE]) -> Self {
        let mut w = [0u64; UREG_SIZE / 8];
        for (value, slot) in w.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut b = [0; 8];
            b.copy_from_slice(slot);
            *value = u64::from_le_bytes(b);
        }
        Self::from_words(&w)
    }

    /// Reads what `to_words` gave.
    pub fn from_words(w: &[u64; UREG_SIZE / 8]) -> Self {
        Ureg {
            ax: w[0],
            bx: w[1],
            cx: w[2],
            dx: w[3],
            si: w[4],
            di: w[5],
            bp: w[6],
            r8: w[7],
            r9: w[8],
            r10: w[9],
            r11: w[10],
            r12: w[11],
            r13: w[12],
            r14: w[13],
            r15: w[14],
            ds: w[15] as u16,
            es: (w[15] >> 16) as u16,
            fs: (w[15] >> 32) as u16,
            gs: (w[15] >> 48) as u16,
            kind: w[16],
            error: w[17],
            pc: w[18],
            cs: w[19],
            flags: w[20],
            sp: w[21],
            ss: w[22],
        }
    }

    /// The same as words.
    pub fn to_words(&self) -> [u64; UREG_SIZE / 8] {
        let segments = u64::from(self.ds)
            | u64::from(self.es) << 16
            | u64::from(self.fs) << 32
            | u64::from(self.gs) << 48;
        [
            self.ax, self.bx, self.cx, self.dx, self.si, self.di, self.bp, self.r8, self.r9, self.r10,
            self.r11, self.r12, self.r13, self.r14, self.r15, segments, self.kind, self.error, self.pc,
            self.cs, self.flags, self.sp, self.ss,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_plan_9s() {
        assert_eq!(core::mem::size_of::<Ureg>(), UREG_SIZE);
        assert_eq!(core::mem::offset_of!(Ureg, bp), 48);
        assert_eq!(core::mem::offset_of!(Ureg, r15), 112);
        assert_eq!(core::mem::offset_of!(Ureg, fs), 124);
        assert_eq!(core::mem::offset_of!(Ureg, kind), 128);
        assert_eq!(core::mem::offset_of!(Ureg, pc), 144);
        assert_eq!(core::mem::offset_of!(Ureg, sp), 168);
        let mut u = Ureg { ax: 1, r15: 15, ds: 2, gs: 3, ss: 23, ..Ureg::default() };
        u.pc = 0x20_0028;
        let b = u.to_bytes();
        assert_eq!(&b[144..152], &0x20_0028u64.to_le_bytes());
        assert_eq!(b[126], 3);
        assert_eq!(Ureg::from_bytes(&b), u);
        assert_eq!(Ureg::from_words(&u.to_words()), u);
    }
}
