//! The screen as text: 80 columns, 25 rows, glyphs of 8 by 16.
//!
//! QEMU: `-vga std`, `-vga cirrus`, `-vga vmware`, `-vga qxl`, `-device virtio-vga`: all of them are a VGA, too.
//! Registers as in the IBM VGA technical reference (and on osdev's VGA hardware page); the display interface of
//! Bochs, which firmware may have left in another mode, is switched off first.
//!
//! Nothing is expected of firmware: the whole mode is programmed and the font loaded, so it is the same after
//! SeaBIOS, after qboot, which leaves the VGA as it was reset, and after a loader with pictures. No PCI register is
//! needed.
//!
//! The visible rows are a window on `LINES` lines of memory: scrolling moves the window's start and clears a line,
//! and once in 179 lines everything is moved back to the beginning.
//!
//! Owner: whoever has the [`Text`]; it has no lock of its own. Works on both halves.

use machine::IoError;
use machine::io::{Mmio, Ports};
use machine::places::{pc_ports, pc_screen};

use crate::screen::Display;
use crate::screen::font::Glyph;

/// Cells in a row.
pub const COLUMNS: usize = 80;
/// Rows on the screen.
pub const ROWS: usize = 25;

/// Lines that the 32 KiB of text memory hold.
const LINES: usize = 0x8000 / 2 / COLUMNS;
/// Light grey on black.
const PLAIN: u16 = 0x0700;
const BLANK: u16 = PLAIN | b' ' as u16;

const PORTS: u16 = 0x3c0;
const ATTRIBUTE: u16 = 0x00;
const MISC: u16 = 0x02;
const SEQUENCER: u16 = 0x04;
const PALETTE_MASK: u16 = 0x06;
const PALETTE_WRITE: u16 = 0x08;
const PALETTE_DATA: u16 = 0x09;
const GRAPHICS: u16 = 0x0e;
const CRTC: u16 = 0x14;
const INPUT_STATUS: u16 = 0x1a;

const START_HIGH: u8 = 0x0c;
const CURSOR_HIGH: u8 = 0x0e;

/// Miscellaneous output: colour addresses, memory on, 25 MHz for 8-pixel cells, 400 lines.
const MISC_TEXT: u8 = 0x63;
/// Sequencer 1 to 4: 8-pixel cells; planes 0 and 1 written; font 0; odd and even addresses apart.
const SEQUENCER_TEXT: [u8; 4] = [0x01, 0x03, 0x00, 0x02];
/// CRT controller 0 to 24: 640 by 400, 80 words a row, 16 lines a cell, a cursor of two lines.
const CRTC_TEXT: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c,
    0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];
/// Graphics 0 to 8: text at 0xB8000, odd and even addresses chained.
const GRAPHICS_TEXT: [u8; 9] = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff];
/// Attribute 16 to 20: text, no blinking, all planes shown, no shift.
const ATTRIBUTE_TEXT: [u8; 5] = [0x00, 0x00, 0x0f, 0x00, 0x00];

const BOCHS: u16 = 0x1ce;
const BOCHS_ID: u16 = 0;
const BOCHS_ENABLE: u16 = 4;

/// A VGA in text mode.
pub struct Text {
    ports: Ports,
    memory: Mmio,
    /// The line at the top of the screen.
    top: usize,
}

impl Text {
    /// Finds the VGA, sets the mode, loads `font` and clears the screen. Nothing: there is no VGA.
    ///
    /// # Errors
    /// No memory for the mapping, or somebody has its registers.
    pub fn new(font: &[Glyph; 256]) -> Result<Option<Text>, IoError> {
        let ports = pc_ports(PORTS, 0x20)?;
        bochs_off();
        ports.out8(MISC, MISC_TEXT);
        // A register that holds what is written; an empty bus does not.
        for mark in [0x5a, 0xa5] {
            ports.out8(CRTC, CURSOR_HIGH);
            ports.out8(CRTC + 1, mark);
            if ports.in8(CRTC + 1) != mark {
                return Ok(None);
            }
        }
        let window = pc_screen()?;
        let mut text = Text { ports, memory: window.slice(0x1_8000, 0x8000), top: 0 };
        text.set_mode();
        text.load(font, &window);
        text.set_colours();
        for line in 0..ROWS {
            text.clear(line);
        }
        text.window();
        text.cursor(0, 0);
        // The picture is made of the palette from now on.
        text.ports.in8(INPUT_STATUS);
        text.ports.out8(ATTRIBUTE, 0x20);
        Ok(Some(text))
    }

    fn clear(&mut self, line: usize) {
        let blanks = u32::from(BLANK) << 16 | u32::from(BLANK);
        for at in (line * COLUMNS * 2..(line + 1) * COLUMNS * 2).step_by(4) {
            self.memory.write32(at, blanks);
        }
    }

    /// Tells the device which line is at the top.
    fn window(&mut self) {
        self.crtc16(START_HIGH, self.top * COLUMNS);
    }

    /// A number in two registers of the CRT controller, the higher byte in the first.
    fn crtc16(&self, register: u8, value: usize) {
        self.set(CRTC, register, (value >> 8) as u8);
        self.set(CRTC, register + 1, value as u8);
    }

    fn set(&self, port: u16, register: u8, value: u8) {
        self.ports.out8(port, register);
        self.ports.out8(port + 1, value);
    }

    fn set_all(&self, port: u16, first: u8, values: &[u8]) {
        for (register, value) in (first..).zip(values) {
            self.set(port, register, *value);
        }
    }

    fn set_mode(&self) {
        self.set(SEQUENCER, 0, 0x01); // stopped
        self.set_all(SEQUENCER, 1, &SEQUENCER_TEXT);
        self.set(SEQUENCER, 0, 0x03); // running
        self.set(CRTC, 0x11, 0); // registers 0 to 7 may be written
        self.set_all(CRTC, 0, &CRTC_TEXT);
        self.set_all(GRAPHICS, 0, &GRAPHICS_TEXT);
    }

    /// The glyphs are in plane 2, 32 bytes for each; the mode is bent for a moment to reach it.
    fn load(&self, font: &[Glyph; 256], window: &Mmio) {
        self.set(SEQUENCER, 2, 0x04); // plane 2 alone is written
        self.set(SEQUENCER, 4, 0x06); // addresses one after the other
        self.set(GRAPHICS, 4, 0x02);
        self.set(GRAPHICS, 5, 0x00);
        self.set(GRAPHICS, 6, 0x04); // 64 KiB at 0xA0000
        for (glyph, at) in font.iter().zip((0..).step_by(32)) {
            for (four, at) in glyph.chunks_exact(4).zip((at..).step_by(4)) {
                window.write32(at, four.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)));
            }
        }
        self.set_all(SEQUENCER, 2, &SEQUENCER_TEXT[1..]);
        self.set_all(GRAPHICS, 4, &GRAPHICS_TEXT[4..]);
    }

    /// The sixteen colours of old, each attribute its own.
    fn set_colours(&self) {
        self.ports.out8(PALETTE_MASK, 0xff);
        self.ports.out8(PALETTE_WRITE, 0);
        for colour in 0..16u8 {
            let bright = if colour & 8 != 0 { 0x15 } else { 0 };
            for (bit, brown) in [(4, 0x2a), (2, 0x15), (1, 0x2a)] {
                let full = if colour == 6 { brown } else { 0x2a };
                let level = if colour & bit != 0 { full } else { 0 };
                self.ports.out8(PALETTE_DATA, level + bright);
            }
        }
        // Reading the input status makes the next write choose a register; then the two alternate.
        self.ports.in8(INPUT_STATUS);
        for (register, value) in (0..).zip((0..16).chain(ATTRIBUTE_TEXT)) {
            self.ports.out8(ATTRIBUTE, register);
            self.ports.out8(ATTRIBUTE, value);
        }
    }
}

impl Display for Text {
    /// Outside the screen nothing happens.
    fn put(&mut self, row: usize, column: usize, code: u8) {
        if row < ROWS && column < COLUMNS {
            self.memory.write16(2 * ((self.top + row) * COLUMNS + column), PLAIN | u16::from(code));
        }
    }

    fn scroll(&mut self) {
        if self.top + ROWS == LINES {
            for word in (0..(ROWS - 1) * COLUMNS * 2).step_by(4) {
                let moved = self.memory.read32(word + (self.top + 1) * COLUMNS * 2);
                self.memory.write32(word, moved);
            }
            self.top = 0;
        } else {
            self.top += 1;
        }
        self.clear(self.top + ROWS - 1);
        self.window();
    }

    fn cursor(&mut self, row: usize, column: usize) {
        let at = (self.top + row.min(ROWS - 1)) * COLUMNS + column.min(COLUMNS - 1);
        self.crtc16(CURSOR_HIGH, at);
    }
}

/// Leaves a mode of the Bochs display interface, if there is one.
fn bochs_off() {
    // Two words at neighbouring ports, of which the second is at an odd address.
    let Ok(ports) = pc_ports(BOCHS, 3) else { return };
    ports.out16(0, BOCHS_ID);
    if ports.in16(1) & 0xfff0 == 0xb0c0 {
        ports.out16(0, BOCHS_ENABLE);
        ports.out16(1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::font::HEIGHT;
    use alloc::sync::Arc;
    use alloc::vec;
    use alloc::vec::Vec;
    use machine::host::io::{MmioBackend, PortBackend, host_register_mmio, host_register_ports};
    use std::sync::Mutex;

    /// Registers behind indexes, and the memory with its planes as the modes used here lay it out.
    struct Vga(Mutex<State>);

    struct State {
        index: [u8; 0x20],
        registers: [[u8; 32]; 0x20],
        cells: Vec<u8>,
        font: Vec<u8>,
    }

    impl PortBackend for Vga {
        fn read(&self, off: u16, _width: usize) -> u32 {
            let s = self.0.lock().unwrap();
            let off = usize::from(off);
            if off % 2 == 1 { u32::from(s.registers[off - 1][usize::from(s.index[off - 1])]) } else { 0 }
        }
        fn write(&self, off: u16, _width: usize, value: u32) {
            let mut s = self.0.lock().unwrap();
            let off = usize::from(off);
            if off % 2 == 0 {
                s.index[off] = value as u8 & 31;
            } else {
                let index = usize::from(s.index[off - 1]);
                s.registers[off - 1][index] = value as u8;
            }
        }
    }

    impl MmioBackend for Vga {
        fn read(&self, off: usize, width: usize) -> u64 {
            let s = self.0.lock().unwrap();
            (0..width).rev().fold(0, |v, i| v << 8 | u64::from(s.cells[off - 0x1_8000 + i]))
        }
        fn write(&self, off: usize, width: usize, value: u64) {
            let mut s = self.0.lock().unwrap();
            // 0xA0000 to 0xAFFFF with plane 2 alone, or 0xB8000 with both text planes.
            let fonts = s.registers[0x0e][6] & 0x0c == 4 && s.registers[0x04][2] == 4;
            for (i, byte) in value.to_le_bytes()[..width].iter().enumerate() {
                if fonts {
                    s.font[off + i] = *byte;
                } else {
                    s.cells[off - 0x1_8000 + i] = *byte;
                }
            }
        }
    }

    fn screen(vga: &Vga) -> Vec<Vec<u8>> {
        let s = vga.0.lock().unwrap();
        let start = usize::from(s.registers[0x14][0x0c]) << 8 | usize::from(s.registers[0x14][0x0d]);
        let row = |r: usize| (0..COLUMNS).map(|c| s.cells[2 * (start + r * COLUMNS + c)]).collect();
        (0..ROWS).map(row).collect()
    }

    #[test]
    fn text_stands_where_it_was_put_and_scrolls_round_the_memory() {
        machine::host::new_machine();
        let vga = Arc::new(Vga(Mutex::new(State {
            index: [0; 0x20],
            registers: [[0; 32]; 0x20],
            cells: vec![0; 0x8000],
            font: vec![0; 0x1_0000],
        })));
        host_register_ports(PORTS, 0x20, vga.clone());
        host_register_mmio(0xa_0000, 0x2_0000, vga.clone());
        let mut font = [[0; HEIGHT]; 256];
        font[65] = core::array::from_fn(|i| i as u8 + 1);
        let mut text = Text::new(&font).unwrap().unwrap();
        {
            let s = vga.0.lock().unwrap();
            assert_eq!(s.font[65 * 32..65 * 32 + 16], font[65]);
            assert_eq!(s.registers[0x0e][6], 0x0e, "text is back at 0xB8000");
        }
        assert!(screen(&vga).iter().flatten().all(|c| *c == b' '));
        // More lines than the memory has, so the window comes back to the beginning more than once.
        for n in 0..3 * LINES {
            text.put(ROWS - 1, n % COLUMNS, b'A' + (n % 26) as u8);
            text.put(ROWS, 0, b'!');
            text.put(0, COLUMNS, b'!');
            text.scroll();
            let s = screen(&vga);
            for back in 1..ROWS.min(n + 2) {
                let n = n + 1 - back;
                let mut want = vec![b' '; COLUMNS];
                want[n % COLUMNS] = b'A' + (n % 26) as u8;
                assert_eq!(s[ROWS - 1 - back], want, "line {n}");
            }
            assert!(s[ROWS - 1].iter().all(|c| *c == b' '));
        }
        text.cursor(24, 79);
        let s = vga.0.lock().unwrap();
        let start = usize::from(s.registers[0x14][0x0c]) << 8 | usize::from(s.registers[0x14][0x0d]);
        let cursor = usize::from(s.registers[0x14][0x0e]) << 8 | usize::from(s.registers[0x14][0x0f]);
        assert_eq!(cursor - start, COLUMNS * ROWS - 1);
    }

    #[test]
    fn an_empty_bus_is_no_screen() {
        machine::host::new_machine();
        assert!(Text::new(&[[0; HEIGHT]; 256]).unwrap().is_none());
    }
}
