//! Where a base address register of a function says that its registers are (PCI 3.0 section 6.2.5), as far as that can
//! be seen without writing to it.
//!
//! A register's zeros are hard-wired below its size, so what is behind it ends no later than the next multiple of the
//! largest power of two that divides the address. Who says that there is so much may get what is behind another
//! device's registers: addresses that nobody has claimed and where no memory is, which is harmless (`claims`).

/// Offsets of the header's type and of the first base address register.
const HEADER: u16 = 0x0C;
const FIRST: u16 = 0x10;
/// The lowest port that is a function's: those below are the PC's own.
const FIRST_PORT: u16 = 0x1000;

/// What register `bar` holds. `None`: the function has no such register, or is not there.
fn register(read: &dyn Fn(u16) -> u32, bar: u8) -> Option<u32> {
    let count = match read(HEADER) >> 16 & 0x7F {
        0 => 6,
        1 => 2,
        _ => 0,
    };
    (bar < count).then(|| read(FIRST + 4 * u16::from(bar)))
}

/// The address of a register of memory.
pub(super) fn memory(read: &dyn Fn(u16) -> u32, bar: u8) -> Option<u64> {
    let low = register(read, bar)?;
    let high = match low & 7 {
        0 | 2 => 0,
        4 => register(read, bar + 1)?,
        _ => return None,
    };
    Some(u64::from(high) << 32 | u64::from(low & !0xF)).filter(|&base| base != 0)
}

/// The number of the first port of a register of ports.
pub(super) fn ports(read: &dyn Fn(u16) -> u32, bar: u8) -> Option<u16> {
    let low = register(read, bar).filter(|low| low & 3 == 1)?;
    u16::try_from(low & !3).ok().filter(|&base| base >= FIRST_PORT)
}

/// `offset` behind `base`, if `len` from there on can be what a register with that address decodes.
pub(super) fn inside(base: u64, offset: u64, len: usize) -> Option<u64> {
    let most = base & base.wrapping_neg();
    let end = offset.checked_add(len as u64)?;
    (end <= most).then(|| base + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function with these registers, its header of this type.
    fn with(header: u32, registers: [u32; 6]) -> impl Fn(u16) -> u32 {
        move |offset| match offset {
            HEADER => header << 16,
            _ => registers[usize::from((offset - FIRST) / 4)],
        }
    }

    #[test]
    fn a_register_says_where_and_of_what_kind() {
        let f = with(0x80, [0xFEB0_0000, 0xC041, 0x000C, 0x80, 0, 6]);
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6].map(|n| memory(&f, n)),
            [Some(0xFEB0_0000), None, Some(0x80_0000_0000), Some(0x80), None, None, None]
        );
        assert_eq!([0, 1, 2].map(|n| ports(&f, n)), [None, Some(0xC040), None]);
        // A bridge has bus numbers where a third would be, and others have none at all.
        let f = with(1, [0xFEB0_0000, 0xFEC0_0000, 0xFED0_0000, 0, 0, 0]);
        assert_eq!([1, 2].map(|n| memory(&f, n)), [Some(0xFEC0_0000), None]);
        assert_eq!(memory(&with(2, [0xFEB0_0000; 6]), 0), None);
        // Nobody is there.
        let gone = |_| u32::MAX;
        assert_eq!((memory(&gone, 0), ports(&gone, 0)), (None, None));
        // The kernel's own ports, and what is too large for one.
        for low in [0x21, 0x511, 0xFF1, 0x1_0001] {
            assert_eq!(ports(&with(0, [low, 0, 0, 0, 0, 0]), 0), None, "{low:#x}");
        }
    }

    #[test]
    fn no_more_than_the_address_allows_is_behind_it() {
        assert_eq!(inside(0xFEB0_4000, 0x1000, 0x3000), Some(0xFEB0_5000));
        for (offset, len) in [(0x1000, 0x3001), (0x4000, 1), (u64::MAX, 1), (0, usize::MAX)] {
            assert_eq!(inside(0xFEB0_4000, offset, len), None, "{offset:#x} {len:#x}");
        }
    }
}
