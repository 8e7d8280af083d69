//! Two texts that were made of one, made one again, as merge3 does it.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Blanks, Change, changes};

/// A piece of what is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Lines that are so.
    Lines(Vec<&'a [u8]>),
    /// Both have changed them, each otherwise: theirs, what they were, ours.
    Conflict([Vec<&'a [u8]>; 3]),
}

/// One side: its lines, and what became of the original's.
struct Side<'a, 'l> {
    lines: &'l [&'a [u8]],
    changes: Vec<Change>,
    at: usize,
}

impl<'a> Side<'a, '_> {
    fn next(&self) -> Option<&Change> {
        self.changes.get(self.at)
    }

    /// What this side has in place of these lines of the original, which its changes up to `upto` are a part of;
    /// nothing when there are none.
    fn take(&mut self, region: &Range<usize>, upto: usize) -> Option<Vec<&'a [u8]>> {
        let mine = self.changes.get(self.at..upto)?;
        self.at = upto;
        let (first, last) = (mine.first()?, mine.last()?);
        let start = first.new.start - (first.old.start - region.start);
        let end = last.new.end + (region.end - last.old.end);
        Some(self.lines.get(start..end).unwrap_or_default().to_vec())
    }
}

/// Do changes of these lines meet? What is put between lines meets what is changed on either side of it.
fn touches(a: &Range<usize>, b: &Range<usize>) -> bool {
    if a.is_empty() || b.is_empty() {
        a.start <= b.end && b.start <= a.end
    } else {
        a.start < b.end && b.start < a.end
    }
}

/// Applies to `base` what was done to it in `theirs` and in `ours`.
pub fn merge<'a>(theirs: &[&'a [u8]], base: &[&'a [u8]], ours: &[&'a [u8]]) -> Vec<Piece<'a>> {
    let side = |lines| Side { lines, changes: changes(base, lines, Blanks::All), at: 0 };
    let mut sides: [Side<'a, '_>; 2] = [side(theirs), side(ours)];
    let original = |lines: Range<usize>| base.get(lines).unwrap_or_default().to_vec();
    let (mut pieces, mut done) = (Vec::new(), 0);
    loop {
        let begins =
            sides.iter().filter_map(Side::next).min_by_key(|change| (change.old.start, change.old.end));
        let Some(first) = begins else { break };
        let mut region = first.old.clone();
        // What meets it belongs to it, of either side, and what meets that.
        let mut at = [sides[0].at, sides[1].at];
        while let Some((n, met)) = sides.iter().enumerate().find_map(|(n, side)| {
            let change = side.changes.get(at[n]).filter(|change| touches(&change.old, &region));
            change.map(|change| (n, change.old.clone()))
        }) {
            region = region.start.min(met.start)..region.end.max(met.end);
            at[n] += 1;
        }
        pieces.push(Piece::Lines(original(done..region.start)));
        done = region.end;
        let [theirs, ours] = [0, 1].map(|n| sides[n].take(&region, at[n]));
        pieces.push(match (theirs, ours) {
            (Some(theirs), Some(ours)) if theirs != ours => Piece::Conflict([theirs, original(region), ours]),
            (Some(lines), _) | (None, Some(lines)) => Piece::Lines(lines),
            (None, None) => break,
        });
    }
    pieces.push(Piece::Lines(original(done..base.len())));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::lines;
    use alloc::string::String;

    /// The pieces as a text: a conflict as `<theirs|base|ours>`.
    fn merged(theirs: &str, base: &str, ours: &str) -> String {
        let [theirs, base, ours] = [theirs, base, ours].map(|t| t.replace(' ', "\n") + "\n");
        let [t, b, o] = [&theirs, &base, &ours].map(|text| lines(text.as_bytes()));
        let joined = |lines: &[&[u8]]| String::from_utf8(lines.concat()).unwrap().replace('\n', " ");
        let mut out = String::new();
        for piece in merge(&t, &b, &o) {
            match piece {
                Piece::Lines(lines) => out += &joined(&lines),
                Piece::Conflict(sides) => {
                    out += &alloc::format!("<{}> ", sides.map(|s| String::from(joined(&s).trim())).join("|"));
                }
            }
        }
        out.trim().into()
    }

    #[test]
    fn changes_of_both_are_there() {
        for (theirs, base, ours, is) in [
            ("a b c", "a b c", "a b c", "a b c"),
            ("A b c d", "a b c d", "a b c D", "A b c D"),
            ("a x b c d", "a b c d", "a b d", "a x b d"),
            ("a b c d new", "a b c d", "old a b c d", "old a b c d new"),
            ("a B c", "a b c", "a B c", "a B c"),
            ("a c", "a b c", "a c", "a c"),
            ("a X Y c d", "a b c d", "a b c Z", "a X Y c Z"),
        ] {
            assert_eq!(merged(theirs, base, ours), is, "{theirs} / {base} / {ours}");
            assert_eq!(merged(ours, base, theirs), is, "{ours} / {base} / {theirs}");
        }
    }

    #[test]
    fn what_both_change_is_shown() {
        assert_eq!(merged("a X c", "a b c", "a Y c"), "a <X|b|Y> c");
        assert_eq!(merged("a X b c", "a b c", "a Y b c"), "a <X||Y> b c");
        assert_eq!(merged("a c", "a b c", "a Y c"), "a <|b|Y> c");
        // One side's two changes meet one of the other's.
        assert_eq!(merged("1 B 3 D 5", "1 2 3 4 5", "1 x y 5"), "1 <B 3 D|2 3 4|x y> 5");
        assert_eq!(merged("X b", "a b", "a b c"), "X b c");
        // Neighbours do not meet.
        assert_eq!(merged("1 A 3 4", "1 2 3 4", "1 2 B 4"), "1 A B 4");
    }
}
