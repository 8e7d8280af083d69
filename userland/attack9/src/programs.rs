//! Broken executables: mutations of the headers of an ELF file and of an a.out, of `#!` lines, and of what follows.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::{fd, file, proc};
use ninep::testserver::hostile::Random;

use crate::watch::{self, Before, FOLDER, Said};

/// How long such a program may run, in ms.
const LIFE: u64 = 700;

/// Numbers that headers are given.
const EDGES: &[u64] = &[
    0,
    1,
    7,
    56,
    0xfff,
    0x1000,
    0x1001,
    0x1f_ffff,
    0x20_0000,
    0x20_0028,
    0x4000_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_feff_f000,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0xffff_ffff_8000_0000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Attacks for so many seconds.
pub fn run(seed: u64, seconds: u64) -> Said {
    let before = Before::now()?;
    let aout = aout();
    let elf = elf(&aout)?;
    let mut random = Random(seed);
    let until = watch::now_ms() + seconds * 1000;
    let mut programs = 0;
    while watch::now_ms() < until {
        for n in 0..4 {
            let bytes = match random.below(8) {
                0..4 => spoil(&mut random, &elf, true),
                4..7 => spoil(&mut random, &aout, false),
                _ => script(&mut random),
            };
            let name = format!("{FOLDER}/p{n}");
            if store(&name, &bytes).is_ok() {
                programs += 1;
                watch::start(|| {
                    let _ = proc::exec(&name, &["p", "one", "two"]);
                });
            }
        }
        watch::finish(&before, LIFE)?;
    }
    before.clean()?;
    Ok(format!("{programs} programs"))
}

fn store(name: &str, bytes: &[u8]) -> lib9::Result<()> {
    let fd = fd::create(name, abi::OWRITE, 0o777)?;
    let wrote = fd::write_all(fd, bytes);
    fd::close(fd)?;
    wrote
}

/// All commands in one, where the machine has room for it: in our hands twice, in each of the files, and once more
/// where one of those runs. With less, what is set aside for small programs would be all that is left, and this one,
/// which is large then, could not look at `/proc` any more.
fn elf(aout: &[u8]) -> Result<Vec<u8>, String> {
    const COPIES: u64 = 8;
    let said = file::read_string("/dev/swap").map_err(|e| format!("/dev/swap: {e}"))?;
    let memory: u64 = said.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let commands = fd::stat("/bin/echo").map_err(|e| format!("/bin/echo: {e}"))?;
    if commands.length.saturating_mul(COPIES) > memory {
        return Ok(aout.to_vec());
    }
    match file::read("/bin/echo") {
        Err(e) if e.is(abi::error::ENOMEM) || e.is(abi::error::ENOVMEM) => Ok(aout.to_vec()),
        elf => elf.map_err(|e| format!("/bin/echo: {e}")),
    }
}

/// A small Plan 9 executable, that turns round and round.
fn aout() -> Vec<u8> {
    let text = [0xeb, 0xfe];
    let mut out = Vec::new();
    for word in [0x8a97u32, text.len() as u32, 100, 5000, 0, 0x20_0028, 0, 0, 0, 0x20_0028] {
        out.extend(word.to_be_bytes());
    }
    out.extend(text);
    out.resize(out.len() + 100, 7);
    out
}

/// Changes some fields of the header: of an ELF file mostly those of a program header.
fn spoil(random: &mut Random, good: &[u8], elf: bool) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..1 + random.below(4) {
        let width = if elf { *random.of(&[2usize, 4, 8, 8]).unwrap_or(&8) } else { 4 };
        let at = match (elf, random.below(4)) {
            (false, _) => 4 * random.below(10) as usize,
            (true, 0) => 16 + 2 * random.below(24) as usize,
            (true, _) => 64 + 4 * random.below(14 * 6) as usize,
        };
        let value = match random.below(4) {
            0 => random.number(),
            1 => random.below(1 << 24),
            _ => random.of(EDGES).copied().unwrap_or(0),
        };
        let raw = if elf { value.to_le_bytes() } else { value.swap_bytes().rotate_left(32).to_le_bytes() };
        for (place, byte) in bytes.iter_mut().skip(at).take(width).zip(raw) {
            *place = byte;
        }
    }
    match random.below(10) {
        0 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        1 => bytes.truncate(random.below(200) as usize),
        2 => {
            // What is executed, too.
            for _ in 0..30 {
                let at = random.below(bytes.len() as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.number() as u8;
                }
            }
        }
        _ => {}
    }
    bytes
}

/// A script whose interpreter is none, or another script, or itself.
fn script(random: &mut Random) -> Vec<u8> {
    let lines: [&[u8]; 9] = [
        b"#!",
        b"#!\n",
        b"#! /tmp/attack/p0\n",
        b"#!/tmp/attack/p1 a b c\n",
        b"#!/bin/rc -x 'y\n",
        b"#!/dev/null\n",
        b"#!/tmp\n",
        b"#!\xff\xfe\n",
        b"#!/bin/echo ''''''\n",
    ];
    let mut line = random.of(&lines).map(|l| l.to_vec()).unwrap_or_default();
    if random.once_in(3) {
        line.resize(random.below(9000) as usize, b'a');
    }
    line
}
