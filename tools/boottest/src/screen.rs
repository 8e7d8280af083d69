//! The PC's own console from outside: keys through QMP, and the picture of the screen read back as text.
//!
//! The picture is what QEMU's `screendump` writes: a portable pixmap (P6, 8 bits a colour). It is cut into cells of 8
//! by 16, and each cell looked up in the font that the kernel draws with. So what is tested is what a person would
//! see.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use vm::{Pattern, Qmp};

const WIDTH: usize = 8;
const HEIGHT: usize = 16;
/// Where the cursor's two lines are in a cell.
const CURSOR: std::ops::Range<usize> = 13..15;
/// Milliseconds of the machine's time that a key is held: a keyboard has room for four characters or so.
const HOLD_MS: u32 = 30;
/// Between two looks at the screen.
const PAUSE: Duration = Duration::from_millis(100);

/// What the kernel draws with.
const FONT: &str = include_str!("../../../kernel/pc/src/screen/font.txt");

/// Keys that are not called as their character: character, name, shifted.
const NAMES: &[(&str, &[&str])] = &[
    (" \n\t\x08\x7f", &["spc", "ret", "tab", "backspace", "delete"]),
    (
        "-=[]\\;'`,./",
        &[
            "minus",
            "equal",
            "bracket_left",
            "bracket_right",
            "backslash",
            "semicolon",
            "apostrophe",
            "grave_accent",
            "comma",
            "dot",
            "slash",
        ],
    ),
];
const SHIFTED: (&str, &str) = ("!@#$%^&*()_+{}|:\"~<>?", "1234567890-=[]\\;'`,./");

/// The keys that type `c`, by QEMU's names.
fn keys_of(c: char) -> Result<Vec<String>> {
    if c.is_ascii_lowercase() || c.is_ascii_digit() {
        return Ok(vec![c.into()]);
    }
    if c.is_ascii_uppercase() {
        return Ok(vec!["shift".into(), c.to_ascii_lowercase().into()]);
    }
    if let Some(name) = NAMES.iter().find_map(|(chars, names)| names.get(chars.chars().position(|x| x == c)?))
    {
        return Ok(vec![(*name).into()]);
    }
    if let Some(plain) = SHIFTED.0.chars().position(|x| x == c).and_then(|n| SHIFTED.1.chars().nth(n)) {
        let mut keys = keys_of(plain)?;
        keys.insert(0, "shift".into());
        return Ok(keys);
    }
    ensure!(('\x01'..='\x1a').contains(&c), "no key for {c:?}");
    Ok(vec!["ctrl".into(), char::from(c as u8 + b'a' - 1).into()])
}

/// Types `text`; QEMU takes its time over it.
pub fn type_keys(qmp: &mut Qmp, text: &str) -> Result<()> {
    for c in text.chars() {
        let keys: Vec<_> = keys_of(c)?.iter().map(|k| json!({ "type": "qcode", "data": k })).collect();
        qmp.execute("send-key", json!({ "keys": keys, "hold-time": HOLD_MS }))?;
    }
    Ok(())
}

/// Waits until the screen shows `pattern`.
pub fn wait(qmp: &mut Qmp, pattern: &Pattern, deadline: Instant) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("screen.ppm");
    loop {
        qmp.execute("screendump", json!({ "filename": file }))?;
        let text = read(&std::fs::read(&file)?)?;
        if pattern.is_in(&text) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the screen does not show {pattern}, but:\n{}", text.trim_end());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The text in a picture: rows without the blanks at their ends. What is no glyph is U+FFFD.
fn read(picture: &[u8]) -> Result<String> {
    let (columns, rows, pixels) = pixels(picture)?;
    let font = font();
    let mut text = String::new();
    for row in 0..rows / HEIGHT {
        let mut line = String::new();
        for column in 0..columns / WIDTH {
            let bits = |y: usize| {
                let start = (row * HEIGHT + y) * columns + column * WIDTH;
                let lit = |x: usize| pixels.get(3 * (start + x)).is_some_and(|red| *red > 0x40);
                (0..WIDTH).fold(0u8, |all, x| all << 1 | u8::from(lit(x)))
            };
            let mut cell: [u8; HEIGHT] = std::array::from_fn(bits);
            if cell[CURSOR].iter().all(|line| *line == 0xff) {
                cell[CURSOR].fill(0);
            }
            line.push(font.get(&cell).copied().unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        text += line.trim_end();
        text.push('\n');
    }
    Ok(text)
}

/// Width, height and bytes (red, green, blue) of a pixmap.
fn pixels(picture: &[u8]) -> Result<(usize, usize, &[u8])> {
    let mut parts = picture.splitn(4, |b| *b == b'\n');
    let mut part = || parts.next().context("a short picture");
    ensure!(part()? == b"P6", "no pixmap");
    let size = std::str::from_utf8(part()?)?.split_once(' ').context("no size")?;
    ensure!(part()? == b"255", "other than 8 bits a colour");
    let (columns, rows) = (size.0.parse()?, size.1.parse()?);
    Ok((columns, rows, part()?))
}

/// The characters by their glyphs, those only that are drawn in rows.
fn font() -> BTreeMap<[u8; HEIGHT], char> {
    let mut font = BTreeMap::from([([0; HEIGHT], ' ')]);
    for line in FONT.lines() {
        let mut words = line.split(' ');
        let mut name = words.next().unwrap_or_default().chars();
        let (Some(c), None) = (name.next(), name.next()) else { continue };
        let Some(first) = words.next().and_then(|w| w.parse::<usize>().ok()) else { continue };
        let mut glyph = [0; HEIGHT];
        for (row, word) in glyph.iter_mut().skip(first).zip(words) {
            *row = u8::from_str_radix(word, 16).unwrap_or(0);
        }
        font.insert(glyph, c);
    }
    font
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_as_text() {
        let font = font();
        let glyph = |c| font.iter().find(|(_, x)| **x == c).map(|(g, _)| *g).unwrap();
        let mut cells = [glyph('H'), glyph('i'), glyph(';'), [0; HEIGHT], [0xaa; HEIGHT]];
        cells[3][CURSOR].fill(0xff);
        let mut picture = b"P6\n40 16\n255\n".to_vec();
        for y in 0..HEIGHT {
            for cell in &cells {
                for x in 0..WIDTH {
                    picture.extend([if cell[y] << x & 0x80 != 0 { 0xa8 } else { 0 }; 3]);
                }
            }
        }
        assert_eq!(read(&picture).unwrap(), "Hi; \u{fffd}\n");
        assert!(read(b"P6\n40 16\n").is_err());
    }

    #[test]
    fn every_character_has_its_keys() {
        for c in (' '..='~').chain(['\n', '\t', '\x03', '\x7f']) {
            let keys = keys_of(c).unwrap();
            assert!(matches!(keys.len(), 1 | 2), "{c}: {keys:?}");
        }
        assert_eq!(keys_of('"').unwrap(), ["shift", "apostrophe"]);
        assert_eq!(keys_of('\x03').unwrap(), ["ctrl", "c"]);
        assert!(keys_of('é').is_err());
    }
}
