//! What `stacks` shows of a process: registers, calls, words of its stack, by name where the program has symbols.
//!
//! Functions of bytes: the program's file, a `Ureg`, memory as a function of its address.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::ureg::Ureg;

/// Most calls that are followed.
const DEEP: usize = 64;

/// The functions of a program, by address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    list: Vec<(u64, String)>,
    end: u64,
}

impl Symbols {
    /// Those of a Plan 9 executable for amd64; none for another file, or a stripped one.
    pub fn of(program: &[u8]) -> Symbols {
        Symbols::parse(program).unwrap_or_default()
    }

    fn parse(program: &[u8]) -> Option<Symbols> {
        let word = |at: usize| program.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        if word(0)? != 0x8a97 {
            return None;
        }
        let (text, data, size) = (word(4)? as usize, word(8)? as usize, word(16)? as usize);
        let from = 40usize.checked_add(text)?.checked_add(data)?;
        let mut rest = program.get(from..)?;
        rest = rest.get(..size).unwrap_or(rest);
        let mut list = Vec::new();
        // An address, most significant byte first; a letter with its top bit set; a name that ends in a zero byte.
        while let Some((address, more)) = rest.split_first_chunk::<8>() {
            let (&letter, more) = more.split_first()?;
            let letter = letter & 0x7f;
            // z and Z carry the pieces of a file name, pairs of bytes up to a pair of zeros.
            let len = if matches!(letter, b'z' | b'Z') {
                1 + more.get(1..)?.chunks_exact(2).position(|pair| pair == [0, 0])? * 2 + 1
            } else {
                more.iter().position(|&b| b == 0)?
            };
            let name = more.get(..len)?;
            if matches!(letter, b'T' | b't' | b'L' | b'l') {
                list.push((u64::from_be_bytes(*address), String::from_utf8_lossy(name).into_owned()));
            }
            rest = more.get(len + 1..)?;
        }
        list.sort();
        Some(Symbols { list, end: abi::layout::UTZERO + 40 + text as u64 })
    }

    /// `name+0x12` for an address in a function.
    pub fn name(&self, at: u64) -> Option<String> {
        let next = self.list.partition_point(|(address, _)| *address <= at);
        let (address, name) = self.list.get(next.checked_sub(1)?)?;
        let offset = at - address;
        match offset {
            _ if at >= self.end => None,
            0 => Some(name.clone()),
            _ => Some(format!("{name}+{offset:#x}")),
        }
    }
}

/// A segment, from a line of `/proc/n/segment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Text, Data, Bss, Stack...
    pub kind: String,
    /// First address.
    pub base: u64,
    /// First address behind it.
    pub top: u64,
}

/// The segments that `/proc/n/segment` lists.
pub fn segments(text: &str) -> Vec<Segment> {
    let segment = |line: &str| {
        // Letters for flags stand between name and addresses, when there are any.
        let mut words = line.split_whitespace();
        let kind = String::from(words.next()?);
        let mut words = words.rev();
        let (_, top, base) = (words.next()?, words.next()?, words.next()?);
        let address = |word: &str| u64::from_str_radix(word, 16).ok();
        Some(Segment { kind, base: address(base)?, top: address(top)? })
    };
    text.lines().filter_map(segment).collect()
}

/// Registers, four in a line; pc and sp first.
pub fn registers(u: &Ureg) -> String {
    let named = [
        ("pc", u.pc),
        ("sp", u.sp),
        ("flags", u.flags),
        ("trap", u.kind),
        ("ax", u.ax),
        ("bx", u.bx),
        ("cx", u.cx),
        ("dx", u.dx),
        ("si", u.si),
        ("di", u.di),
        ("bp", u.bp),
        ("r8", u.r8),
        ("r9", u.r9),
        ("r10", u.r10),
        ("r11", u.r11),
        ("r12", u.r12),
        ("r13", u.r13),
        ("r14", u.r14),
        ("r15", u.r15),
        ("err", u.error),
    ];
    let mut out = String::new();
    for row in named.chunks(4) {
        let cells: Vec<String> = row.iter().map(|(name, value)| format!("{name:>5} {value:016x}")).collect();
        out += &format!("{}\n", cells.join(" "));
    }
    out
}

/// The chain of calls that led to `u`, innermost first: where each goes on. Programs that keep frame pointers in BP
/// have one; it is followed as long as it rises within the stack.
pub fn calls(u: &Ureg, stack: &Segment, word: impl Fn(u64) -> Option<u64>) -> Vec<u64> {
    let mut out = alloc::vec![u.pc];
    let mut frame = u.bp;
    let mut low = u.sp;
    while out.len() < DEEP
        && frame >= low
        && frame.is_multiple_of(8)
        && (stack.base..stack.top.saturating_sub(16)).contains(&frame)
    {
        let (Some(next), Some(back)) = (word(frame), word(frame + 8)) else { break };
        if back == 0 {
            break;
        }
        out.push(back);
        low = frame + 16;
        frame = next;
    }
    out
}

/// Is `at` in the program's text?
pub fn is_text(segments: &[Segment], at: u64) -> bool {
    segments.iter().any(|s| s.kind == "Text" && (s.base..s.top).contains(&at))
}

/// A number in hex, with the name of the function that it points into.
pub fn with_name(symbols: &Symbols, at: u64) -> String {
    match symbols.name(at) {
        Some(name) => format!("{at:016x} {name}"),
        None => format!("{at:016x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(symbols: &[u8]) -> Vec<u8> {
        let words: [u32; 8] = [0x8a97, 0x100, 8, 0, symbols.len() as u32, 0, 0, 0];
        let mut b: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        b.resize(40 + 0x100 + 8, 0);
        b.extend(symbols);
        b
    }

    fn symbol(at: u64, letter: u8, name: &[u8]) -> Vec<u8> {
        let mut b = at.to_be_bytes().to_vec();
        b.push(letter | 0x80);
        b.extend(name);
        b.push(0);
        b
    }

    #[test]
    fn functions_have_names() {
        let mut table = symbol(0x20_0080, b'T', b"second");
        table.extend(symbol(1, b'z', &[0, 0, 1, 0, 2, 0]));
        table.extend(symbol(0x20_0028, b'T', b"first"));
        table.extend(symbol(0x40_0000, b'D', b"data"));
        let s = Symbols::of(&program(&table));
        assert_eq!(s.name(0x20_0028).unwrap(), "first");
        assert_eq!(s.name(0x20_0030).unwrap(), "first+0x8");
        assert_eq!(s.name(0x20_0081).unwrap(), "second+0x1");
        assert_eq!(s.name(0x20_0027), None);
        assert_eq!(s.name(0x40_0000), None);
        assert_eq!(Symbols::of(b"\x7fELF").name(0x20_0028), None);
        for n in 0..table.len() {
            let whole = program(&table);
            let _ = Symbols::of(&whole[..whole.len() - n]);
        }
    }

    #[test]
    fn segment_lines() {
        let text = "Text   R    200000   278000    2\nBss         283000   384000    1\n\
                    Stack     7ffffefff000 7ffffffff000    1\n";
        let s = segments(text);
        assert_eq!(s.len(), 3);
        assert_eq!(s[0], Segment { kind: "Text".into(), base: 0x20_0000, top: 0x27_8000 });
        assert_eq!(s[2].top, 0x7fff_ffff_f000);
        assert!(is_text(&s, 0x20_0001) && !is_text(&s, 0x28_3000));
    }

    #[test]
    fn frames_are_followed_while_they_rise() {
        let stack = Segment { kind: "Stack".into(), base: 0x1000, top: 0x2000 };
        let memory = |at: u64| match at {
            0x1100 => Some(0x1200),
            0x1108 => Some(0xa),
            0x1200 => Some(0x1100),
            0x1208 => Some(0xb),
            _ => None,
        };
        let u = Ureg { pc: 1, sp: 0x1080, bp: 0x1100, ..Ureg::default() };
        assert_eq!(calls(&u, &stack, memory), [1, 0xa, 0xb]);
        assert_eq!(calls(&Ureg { bp: 0x1ff8, ..u }, &stack, memory), [1]);
        assert_eq!(calls(&Ureg { bp: u64::MAX, ..u }, &stack, memory), [1]);
        assert_eq!(registers(&u).lines().count(), 5);
    }
}
