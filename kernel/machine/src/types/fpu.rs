//! The saved registers of the floating-point unit.

use core::fmt;

/// Bytes of a saved floating-point unit, in FXSAVE's layout.
pub const FPU_SIZE: usize = 512;

/// Saved x87 and SSE registers of a process, in the layout of the FXSAVE instruction.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FpuState(pub(crate) [u8; FPU_SIZE]);

impl FpuState {
    /// Plan 9's start values: control word 0x37f, MXCSR 0x1f80, all registers empty.
    pub const fn new() -> FpuState {
        let mut b = [0; FPU_SIZE];
        b[0] = 0x7f;
        b[1] = 0x03;
        b[24] = 0x80;
        b[25] = 0x1f;
        FpuState(b)
    }

    /// The bytes that `/proc/n/fpregs` shows.
    pub fn as_bytes(&self) -> &[u8; FPU_SIZE] {
        &self.0
    }

    /// Takes bytes from a program. Reserved bits of MXCSR are cleared, so that loading it cannot fault.
    pub fn from_bytes(bytes: &[u8; FPU_SIZE]) -> FpuState {
        let mut b = *bytes;
        b[26] = 0;
        b[27] = 0;
        FpuState(b)
    }
}

impl Default for FpuState {
    fn default() -> FpuState {
        FpuState::new()
    }
}

impl fmt::Debug for FpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FpuState {{ fcw: {:#x}, mxcsr: {:#x} }}",
            u16::from_le_bytes([self.0[0], self.0[1]]),
            u32::from_le_bytes([self.0[24], self.0[25], self.0[26], self.0[27]])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fpu_bytes_from_a_program_cannot_set_reserved_mxcsr_bits() {
        let s = FpuState::from_bytes(&[0xff; FPU_SIZE]);
        assert_eq!(s.as_bytes()[24..28], [0xff, 0xff, 0, 0]);
        let f = FpuState::new();
        assert_eq!(FpuState::from_bytes(f.as_bytes()), f);
        assert_eq!(core::mem::align_of::<FpuState>(), 64);
        assert_eq!(core::mem::size_of::<FpuState>(), FPU_SIZE);
    }
}
