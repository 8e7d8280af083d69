//! The glyphs of the screen: `font.txt`, and which characters have one.
//!
//! A VGA shows 256 glyphs. Those of Latin-1 have their own numbers; `EXTRA` are at the numbers of control characters,
//! the first of them standing for all that have no glyph.

/// Rows of a glyph.
pub const HEIGHT: usize = 16;
/// Rows from the top, the leftmost pixel in the highest bit.
pub type Glyph = [u8; HEIGHT];

/// What the glyphs look like.
const DRAWN: &str = include_str!("font.txt");

/// Characters outside Latin-1, at numbers from 0.
const EXTRA: [char; 27] = [
    '\u{fffd}', '☺', '←', '→', '↑', '↓', '•', '…', '–', '—', '‘', '’', '“', '”', '€', '─', '│', '┌', '┐',
    '└', '┘', '├', '┤', '┬', '┴', '┼', '█',
];

/// The number of the glyph that shows `c`.
pub fn code(c: char) -> u8 {
    match c {
        ' '..='~' | '\u{a0}'..='ÿ' => c as u8,
        _ => EXTRA.iter().position(|e| *e == c).unwrap_or(0) as u8,
    }
}

/// All glyphs by number. What is not drawn is blank.
pub fn glyphs() -> [Glyph; 256] {
    let mut glyphs = [[0; HEIGHT]; 256];
    for line in DRAWN.lines().filter(|l| !l.starts_with("//")) {
        let name = line.split(' ').next().unwrap_or_default();
        let mut chars = name.chars();
        if let (Some(c), None) = (chars.next(), chars.next())
            && (code(c) != 0 || Some(&c) == EXTRA.first())
            && let Some(slot) = glyphs.get_mut(usize::from(code(c)))
        {
            *slot = draw(line, 0);
        }
    }
    glyphs
}

/// Follows a line of the drawing; `up` is by how many rows it is moved up.
fn draw(line: &str, up: usize) -> Glyph {
    let mut glyph = [0; HEIGHT];
    let mut words = line.split(' ');
    let (name, place) = (words.next(), words.next().unwrap_or_default());
    if let Ok(first) = place.parse::<usize>() {
        for (row, word) in glyph.iter_mut().skip(first.saturating_sub(up)).zip(words) {
            *row = u8::from_str_radix(word, 16).unwrap_or(0);
        }
        return glyph;
    }
    let capital = name.and_then(|n| n.chars().next()).is_some_and(char::is_uppercase);
    let mark = words.next().unwrap_or_default();
    let below = mark == "cedilla";
    let up = if capital && !below { if mark == "ring" { 1 } else { 2 } } else { 0 };
    let (base, mark) = (find(place, 0), find(mark, up));
    core::array::from_fn(|row| base.get(row).unwrap_or(&0) | mark.get(row).unwrap_or(&0))
}

/// The drawing that begins with `name` and is made of rows.
fn find(name: &str, up: usize) -> Glyph {
    let line = DRAWN.lines().find(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.map_or([0; HEIGHT], |l| draw(l, up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_character_has_a_glyph_of_its_own() {
        let glyphs = glyphs();
        let mut seen: BTreeMap<Glyph, char> = BTreeMap::new();
        let all = ('!'..='~').chain('¡'..='ÿ').chain(EXTRA).filter(|c| *c != '\u{ad}' && *c != '¸');
        for c in all {
            let glyph = glyphs[usize::from(code(c))];
            assert_ne!(glyph, [0; HEIGHT], "{c} is not drawn");
            if let Some(other) = seen.insert(glyph, c) {
                panic!("{c} looks like {other}");
            }
        }
        assert_eq!(glyphs[usize::from(b' ')], [0; HEIGHT]);
        assert_eq!((code('κ'), code('\u{7}'), code('\u{80}'), code('☺')), (0, 0, 0, 1));
    }

    #[test]
    fn a_mark_is_over_its_letter_and_moves_up_for_a_capital() {
        let g = |c| glyphs()[usize::from(code(c))];
        assert_eq!(g('é')[..5], [0, 0, 0x08, 0x10, 0]);
        assert_eq!(g('é')[5..], g('e')[5..]);
        assert_eq!(g('É')[..3], [0x08, 0x10, 0]);
        assert_eq!(g('É')[3..], g('E')[3..]);
        assert_eq!(g('Ç')[12..], [0x10, 0x08, 0x30, 0]);
        assert_eq!(g('í')[3], 0x10);
        assert_eq!(g('í')[4], 0, "without its dot");
    }
}
