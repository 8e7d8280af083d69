//! Executable headers as functions of bytes: Plan 9 a.out for amd64 and static ELF64.
//!
//! Both become the same [`Layout`]: runs of the file that are text or data, one bss behind the last of
//! them, and an entry point. All arithmetic is checked: the bytes come from anywhere.

use alloc::vec::Vec;

use abi::error::{EBADEXEC, ENOMEM};
use abi::layout::{DATA_ALIGN, PAGE, USTKSIZE, USTKTOP, UTZERO};
use machine::heap;

use crate::mem::{Layout, Run};

/// Bytes of the file's front that [`parse`] wants to see: enough for an ELF header with 32 program headers.
pub(crate) const HEAD: usize = 4096;

/// Magic of an amd64 a.out.
const AOUT_AMD64: u32 = 0x8a97;
/// Length of its header.
const AOUT_HEADER: u64 = 40;
/// What system an ELF file is for, by its header: none in particular, or none at all.
const OSABI_NONE: u8 = 0;
const OSABI_STANDALONE: u8 = 255;

/// Reads the header of an executable from the front of the file, whose length is `length`.
///
/// # Errors
/// `exec header invalid` for anything else, for another machine, for a truncated file, for addresses outside
/// what a process has; no memory for what there is in it.
pub(crate) fn parse(head: &[u8], length: u64) -> Result<Layout, &'static str> {
    let layout = if head.starts_with(b"\x7fELF") { elf(head)? } else { aout(head)? };
    check(&layout, length)?;
    Ok(layout)
}

fn aout(head: &[u8]) -> Result<Layout, &'static str> {
    let word =
        |i: usize| head.get(i..i + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).ok_or(EBADEXEC);
    if word(0)? != AOUT_AMD64 {
        return Err(EBADEXEC);
    }
    let (text, data, bss) = (u64::from(word(4)?), u64::from(word(8)?), u64::from(word(12)?));
    let entry = u64::from(word(32)?) << 32 | u64::from(word(36)?);
    let text_end = UTZERO + AOUT_HEADER + text;
    if !(UTZERO + AOUT_HEADER..text_end).contains(&entry) {
        return Err(EBADEXEC);
    }
    let data_base = text_end.next_multiple_of(DATA_ALIGN);
    let data_top = (data_base + data).next_multiple_of(PAGE);
    let mut runs = alloc::vec![Run {
        base: UTZERO,
        top: text_end.next_multiple_of(PAGE),
        offset: 0,
        len: AOUT_HEADER + text,
        write: false,
        exec: true,
    }];
    if data > 0 {
        let offset = AOUT_HEADER + text;
        runs.push(Run { base: data_base, top: data_top, offset, len: data, write: true, exec: false });
    }
    let bss_top = (data_base + data + bss).next_multiple_of(PAGE).max(data_top);
    Ok(Layout { runs, bss: (data_top, bss_top), entry })
}

fn elf(head: &[u8]) -> Result<Layout, &'static str> {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;
    const PT_NOTE: u32 = 4;
    let half = |at: usize| get(head, at).map(u16::from_le_bytes);
    let word = |at: usize| get(head, at).map(u32::from_le_bytes);
    let long = |at: usize| get(head, at).map(u64::from_le_bytes);
    // 64 bits, little-endian, version 1; an executable for x86-64, and for no other system that it names.
    if !matches!(head.get(7), Some(&(OSABI_NONE | OSABI_STANDALONE))) {
        return Err(EBADEXEC);
    }
    if head.get(4..7) != Some(&[2, 1, 1]) || half(16)? != 2 || half(18)? != 62 || half(54)? != 56 {
        return Err(EBADEXEC);
    }
    let entry = long(24)?;
    let table = usize::try_from(long(32)?).map_err(|_| EBADEXEC)?;
    let mut runs: Vec<Run> = Vec::new();
    let mut end = 0u64;
    for i in 0..usize::from(half(56)?) {
        let at = table.checked_add(i * 56).filter(|&at| at < HEAD).ok_or(EBADEXEC)?;
        match word(at)? {
            PT_LOAD => {}
            PT_DYNAMIC | PT_INTERP => return Err(EBADEXEC),
            PT_NOTE if is_foreign(notes(head, long(at + 8)?, long(at + 32)?)) => return Err(EBADEXEC),
            _ => continue,
        }
        let (flags, offset, va) = (word(at + 4)?, long(at + 8)?, long(at + 16)?);
        let (file, mem) = (long(at + 32)?, long(at + 40)?);
        if mem == 0 {
            continue;
        }
        let skew = va % PAGE;
        let (write, exec) = (flags & 2 != 0, flags & 1 != 0);
        let limit = USTKTOP - USTKSIZE;
        if file > mem || va >= limit || mem > limit - va || (write && exec) {
            return Err(EBADEXEC);
        }
        end = end.max((va + mem).next_multiple_of(PAGE));
        let (offset, len) = match file {
            0 => (0, 0),
            _ => (offset.checked_sub(skew).ok_or(EBADEXEC)?, skew + file),
        };
        let (base, top) = (va - skew, (va + mem).next_multiple_of(PAGE));
        heap::try_push(&mut runs, Run { base, top, offset, len, write, exec }).map_err(|_| ENOMEM)?;
    }
    runs.sort_unstable_by_key(|r| r.base);
    // The zeros at the end of the last, when it may be written, are the bss, which grows.
    if let Some(last) = runs.last_mut().filter(|r| r.write) {
        last.top = (last.base + last.len).next_multiple_of(PAGE);
    }
    runs.retain(|r| r.top > r.base);
    let bss = runs.last().map_or(end, |r| r.top);
    // A file without initialised data still has its bss where it was linked: behind the read-only part.
    Ok(Layout { runs, bss: (bss, end.max(bss)), entry })
}

/// What there is of a file's notes in its front.
fn notes(head: &[u8], offset: u64, len: u64) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(head.len());
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    head.get(start..start.saturating_add(len).min(head.len())).unwrap_or_default()
}

/// Whether notes say that the program is for another system. They are told apart by owner and kind: linkers leave some
/// (GNU's build id for one) in programs for nobody in particular. Go leaves its own in ELF files only, and what it
/// makes for Plan 9 is no ELF file.
fn is_foreign(mut notes: &[u8]) -> bool {
    const GNU_ABI_TAG: u32 = 1;
    loop {
        let word = |at: usize| get(notes, at).map(u32::from_le_bytes);
        let (Ok(name), Ok(value), Ok(kind)) = (word(0), word(4), word(8)) else { return false };
        let (Ok(name), Ok(value)) = (usize::try_from(name), usize::try_from(value)) else { return false };
        let padded = |n: usize| n.checked_next_multiple_of(4);
        let owner = notes.get(12..).and_then(|rest| rest.get(..name)).unwrap_or_default();
        match owner {
            b"GNU\0" if kind == GNU_ABI_TAG => return true,
            b"Go\0\0" | b"Android\0" | b"FreeBSD\0" | b"NetBSD\0" | b"OpenBSD\0" | b"DragonFly\0" => {
                return true;
            }
            _ => {}
        }
        let end = padded(name).and_then(|n| padded(value)?.checked_add(n)?.checked_add(12));
        let Some(rest) = end.and_then(|end| notes.get(end..)) else { return false };
        notes = rest;
    }
}

fn check(layout: &Layout, length: u64) -> Result<(), &'static str> {
    let mut at = UTZERO;
    for run in &layout.runs {
        let in_file = run.offset.checked_add(run.len).is_some_and(|end| end <= length);
        if run.base < at || run.top < run.base || !in_file {
            return Err(EBADEXEC);
        }
        at = run.top;
    }
    let entry_ok = layout.runs.iter().any(|r| r.exec && (r.base..r.base + r.len).contains(&layout.entry));
    if !entry_ok || layout.bss.0 < at || layout.bss.1 > USTKTOP - USTKSIZE {
        return Err(EBADEXEC);
    }
    Ok(())
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], &'static str> {
    bytes.get(at..).and_then(|b| b.get(..N)).and_then(|b| b.try_into().ok()).ok_or(EBADEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go_hello() -> Vec<u8> {
        let words: [u32; 8] = [0x8a97, 0x149eb0, 0x86a0, 0x24290, 0x13fa5, 0x2746e0, 0, 0];
        let mut b: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        b.extend(0x2746e0u64.to_be_bytes());
        b
    }

    #[test]
    fn gos_hello() {
        let l = parse(&go_hello(), 1467677).unwrap();
        assert_eq!(l.entry, 0x2746e0);
        assert_eq!(
            l.runs[0],
            Run { base: 0x200000, top: 0x34a000, offset: 0, len: 0x149ed8, write: false, exec: true }
        );
        assert_eq!(l.runs[1].base, 0x400000);
        assert_eq!(l.runs[1].offset, 0x149ed8);
        assert_eq!(l.bss, (0x409000, 0x42d000));
        assert_eq!(parse(&go_hello(), 1000), Err(EBADEXEC));
        let mut bad = go_hello();
        bad[36..40].copy_from_slice(&0x100u32.to_be_bytes());
        assert_eq!(parse(&bad, 1467677), Err(EBADEXEC));
    }

    /// Kind, flags, offset, address, bytes in the file, bytes in memory.
    type Header = (u32, u32, u64, u64, u64, u64);

    fn elf_file(headers: &[Header]) -> Vec<u8> {
        let mut b = alloc::vec![0u8; 64];
        b[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        b[16] = 2;
        b[18] = 62;
        b[24..32].copy_from_slice(&0x200100u64.to_le_bytes());
        b[32] = 64;
        b[54] = 56;
        b[56] = headers.len() as u8;
        for &(kind, flags, offset, va, file, mem) in headers {
            b.extend(kind.to_le_bytes());
            b.extend(flags.to_le_bytes());
            for v in [offset, va, va, file, mem, 4096] {
                b.extend(v.to_le_bytes());
            }
        }
        b
    }

    #[test]
    fn elf_becomes_the_same_layout() {
        let f = elf_file(&[
            (1, 5, 0, 0x200000, 0x1800, 0x1800),
            (1, 6, 0x1800, 0x202800, 0x100, 0x5000),
            (0x6474e551, 6, 0, 0, 0, 0),
        ]);
        let l = parse(&f, 0x1900).unwrap();
        assert_eq!(l.runs.len(), 2);
        assert_eq!(
            l.runs[1],
            Run { base: 0x202000, top: 0x203000, offset: 0x1000, len: 0x900, write: true, exec: false }
        );
        assert_eq!(l.bss, (0x203000, 0x208000));
    }

    #[test]
    fn zeros_are_where_they_were_linked() {
        let text = (1, 5, 0, 0x200000, 0x1800, 0x1800);
        // Writable memory in the middle cannot grow, but has its zeros.
        let f =
            elf_file(&[text, (1, 6, 0x1800, 0x202800, 0x100, 0x5000), (1, 4, 0x2000, 0x300000, 0x10, 0x10)]);
        let l = parse(&f, 0x2010).unwrap();
        assert_eq!((l.runs[1].top, l.runs[1].len), (0x208000, 0x900));
        assert_eq!(l.bss, (0x301000, 0x301000));
        // Nothing but zeros.
        let f = elf_file(&[text, (1, 6, 0x1900, 0x202900, 0, 0x5000)]);
        let l = parse(&f, 0x1800).unwrap();
        assert_eq!((l.runs.len(), l.bss), (1, (0x202000, 0x208000)));
    }

    #[test]
    fn bad_files_are_refused() {
        let ok = (1, 5, 0, 0x200000, 0x1800, 0x1800);
        let bad: [&[Header]; 7] = [
            &[],
            &[(1, 7, 0, 0x200000, 0x1800, 0x1800)],
            &[ok, (3, 4, 0, 0, 16, 16)],
            &[ok, (1, 6, 0, 0x201000, 16, 16)],
            &[ok, (1, 6, 0, u64::MAX - 10, 5, 100)],
            &[ok, (1, 6, u64::MAX - 2, 0x300000, 5, 100)],
            &[(1, 5, 0, 0, 0x300000, 0x300000)],
        ];
        for headers in bad {
            assert_eq!(parse(&elf_file(headers), 0x30_0000), Err(EBADEXEC), "{headers:x?}");
        }
        let whole = elf_file(&[ok]);
        assert!(parse(&whole, 0x1800).is_ok());
        for n in 0..112 {
            assert!(parse(&whole[..n], 0x1800).is_err());
        }
    }

    #[test]
    fn programs_of_other_systems_are_refused() {
        let ok = (1, 5, 0, 0x200000, 0x1800, 0x1800);
        let whole = elf_file(&[ok]);
        for abi in 0..=255 {
            let mut f = whole.clone();
            f[7] = abi;
            assert_eq!(parse(&f, 0x1800).is_ok(), matches!(abi, 0 | 255), "{abi}");
        }
        let note = |owner: &[u8], kind: u32, value: &[u8]| {
            let mut b: Vec<u8> = (owner.len() as u32).to_le_bytes().to_vec();
            b.extend((value.len() as u32).to_le_bytes());
            b.extend(kind.to_le_bytes());
            for part in [owner, value] {
                b.extend(part);
                b.resize(b.len().next_multiple_of(4), 0);
            }
            b
        };
        let harmless = [note(b"GNU\0", 3, &[7; 19]), note(b"GNU\0", 5, &[0; 16]), note(b"", 9, b"")].concat();
        let with = |notes: &[u8]| {
            // Two headers end at 176.
            let mut f = elf_file(&[ok, (4, 4, 176, 0, notes.len() as u64, notes.len() as u64)]);
            f.extend(notes);
            parse(&f, 0x1800)
        };
        assert!(with(&harmless).is_ok());
        let foreign = [(&b"GNU\0"[..], 1), (b"Go\0\0", 4), (b"NetBSD\0", 1), (b"OpenBSD\0", 1)];
        for (owner, kind) in foreign {
            let notes = [&harmless[..], &note(owner, kind, &[0; 16])].concat();
            assert_eq!(with(&notes), Err(EBADEXEC), "{owner:?}");
            // One that is cut is none.
            assert!(with(&notes[..harmless.len() + 11]).is_ok());
        }
        // Notes that are somewhere else, or without an end.
        for (offset, len) in [(u64::MAX, u64::MAX), (5000, 100), (170, u64::MAX)] {
            assert!(parse(&elf_file(&[ok, (4, 4, offset, 0, len, len)]), 0x1800).is_ok());
        }
        assert!(with(&[0xff; 64]).is_ok());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let base = elf_file(&[(1, 5, 0, 0x200000, 0x1800, 0x1800), (1, 6, 0x1800, 0x202800, 0x100, 0x5000)]);
        for _ in 0..20_000 {
            let mut f = if seed & 1 == 0 { base.clone() } else { go_hello() };
            for _ in 0..4 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = seed as usize % f.len();
                f[at] = (seed >> 32) as u8;
            }
            let _ = parse(&f, seed % 0x4000);
        }
    }
}
