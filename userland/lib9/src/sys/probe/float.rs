//! All registers of the floating point units at once, held for a while and looked at.

/// What they are, as FXSAVE stores it. Every exception is masked in it.
#[repr(C, align(16))]
#[derive(Clone)]
pub struct Image([u8; 512]);

/// Where things are in it.
const CONTROL: usize = 0;
const STATUS: usize = 2;
const TAGS: usize = 4;
const MXCSR: usize = 24;
const STACK: usize = 32;
const XMM: usize = 160;
const END: usize = 416;

impl Image {
    /// A state that no other number has: values in all registers, and modes.
    pub fn patterned(number: u64) -> Image {
        let mut image = Image([0; 512]);
        let bits = number as u32;
        // All exceptions masked, a rounding and a precision.
        image.put(CONTROL, &(0x27f | (bits & 3) << 10 | (bits & 4) << 6).to_le_bytes()[..2]);
        image.put(STATUS, &((bits >> 1 & 7) << 11).to_le_bytes()[..2]);
        image.put(TAGS, &[0xff]);
        image.put(MXCSR, &(0x1f80 | (bits >> 3 & 3) << 13).to_le_bytes());
        let mut word = number;
        let mut next = || {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            word ^ word >> 29
        };
        for n in 0..8 {
            // A number as it is normalized, so that nothing has a reason to change it.
            image.put(STACK + 16 * n, &(next() | 1 << 63).to_le_bytes());
            image.put(STACK + 16 * n + 8, &(0x3f00 + (next() & 0xff) as u16).to_le_bytes());
        }
        for at in (XMM..END).step_by(8) {
            image.put(at, &next().to_le_bytes());
        }
        image
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// The first register or mode that is another one in `other`: where it is in the image. What the x87 unit did last
    /// does not count.
    pub fn differs(&self, other: &Image) -> Option<usize> {
        let counts = |at: usize| match at {
            ..5 | MXCSR..28 => true,
            STACK..XMM => (at - STACK) % 16 < 10,
            XMM..END => true,
            _ => false,
        };
        (0..END).find(|&at| counts(at) && self.0.get(at) != other.0.get(at))
    }

    /// Has all of that in the registers while it computes for `loops` and then gives way, so many `turns`. Afterwards
    /// this is what was in them at the end.
    pub fn hold(&mut self, turns: u32, loops: u32) {
        let mut before = Image([0; 512]);
        #[cfg(target_os = "none")]
        // SAFETY: both are 512 bytes, aligned to 16. The state has no exception that is not masked, and reserved bits
        // are zero, as `patterned` has made it and as FXSAVE stores it. The stub puts back what was in the registers
        // before, and keeps the sysv64 convention; the system call in it is sleep(0).
        unsafe {
            lib9_probe_float(self, u64::from(turns.max(1)), &mut before, u64::from(loops.max(1)))
        };
        #[cfg(not(target_os = "none"))]
        let _ = (turns, loops, &mut before);
    }
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    // lib9_probe_float(rdi = image, rsi = turns, rdx = room for what is in the registers, rcx = loops).
    ".globl lib9_probe_float",
    "lib9_probe_float:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "mov rbx, rdi",
    "mov r12, rsi",
    "mov r13, rdx",
    "mov r14, rcx",
    "fxsave64 [r13]",
    "fxrstor64 [rbx]",
    "2:",
    "mov rax, r14",
    "3:",
    "dec rax",
    "jnz 3b",
    // The argument, and what is where a return address would be.
    "push 0",
    "push 0",
    "mov ebp, {sleep}",
    "syscall",
    "add rsp, 16",
    "dec r12",
    "jnz 2b",
    "fxsave64 [rbx]",
    "fxrstor64 [r13]",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    sleep = const abi::syscall::SLEEP,
);

#[cfg(target_os = "none")]
unsafe extern "sysv64" {
    fn lib9_probe_float(image: *mut Image, turns: u64, before: *mut Image, loops: u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_modes_count_and_nothing_else() {
        let one = Image::patterned(77);
        assert_eq!(one.differs(&Image::patterned(77)), None);
        assert!(one.differs(&Image::patterned(78)).is_some());
        for (at, counts) in [
            (0, true),
            (3, true),
            (4, true),
            (5, false),
            (8, false),
            (16, false),
            (24, true),
            (28, false),
            (32, true),
            (41, true),
            (42, false),
            (153, true),
            (160, true),
            (415, true),
            (416, false),
        ] {
            let mut other = one.clone();
            other.0[at] ^= 1;
            assert_eq!(one.differs(&other), counts.then_some(at), "{at}");
        }
    }

    #[test]
    fn every_exception_is_masked_whatever_the_number_is() {
        for number in 0..200 {
            let image = Image::patterned(number);
            let word = |at: usize| u16::from_le_bytes([image.0[at], image.0[at + 1]]);
            assert_eq!((word(CONTROL) & 0x7f, word(STATUS) & 0xff, word(MXCSR) & 0x1fff), (0x7f, 0, 0x1f80));
            assert_eq!(word(MXCSR + 2), 0);
        }
    }
}
