//! The arguments of sort, in both of their styles: `+1.2n -3` and `-k 2.3n,3`.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::args::flag_value;

use super::Sorter;
use super::key::{How, Key, Place};

/// Reads the arguments; also returns the names of files. `None` when something is wrong.
pub fn parse(words: &[String]) -> Option<(Sorter, &[String])> {
    let mut s = Sorter::default();
    // Keys without letters of their own compare as the whole line would.
    let mut plain: Vec<usize> = Vec::new();
    let mut open: Option<usize> = None;
    let mut rest = words;
    while let [word, after @ ..] = rest {
        if let Some(place) = word.strip_prefix('+') {
            let (from, how) = old_place(place)?;
            open = Some(s.keys.len());
            add(&mut s, &mut plain, Key { from, to: None, how }, how != How::default());
            rest = after;
            continue;
        }
        let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else { break };
        rest = after;
        if letters == "-" {
            break;
        }
        if letters.starts_with(|c: char| c.is_ascii_digit()) {
            let (to, how) = old_place(letters)?;
            let key = s.keys.get_mut(open.take()?)?;
            key.to = Some(to);
            if how != How::default() {
                key.how = how;
                let last = s.keys.len() - 1;
                plain.retain(|k| *k != last);
            }
            continue;
        }
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'c' => s.check = true,
                'u' => s.unique = true,
                // Sorting what is sorted already gives the same as merging it.
                'm' => {}
                't' | 'k' | 'o' | 'T' | 'l' => {
                    let value = flag_value(letters.as_str(), &mut rest)?;
                    match letter {
                        't' => match value.as_bytes() {
                            [separator] => s.separator = Some(*separator),
                            _ => return None,
                        },
                        'k' => new_key(&mut s, &mut plain, value)?,
                        'o' => s.output = Some(value.into()),
                        // Everything is sorted in memory: no directory for temporary files, no number of them.
                        _ => {}
                    }
                    break;
                }
                letter if s.whole.letter(letter) => {}
                _ => return None,
            }
        }
    }
    // -o may stand behind the files, too.
    let mut files = rest;
    if let [names @ .., flag, output] = files
        && flag == "-o"
    {
        s.output = Some(output.clone());
        files = names;
    }
    for k in plain {
        if let Some(key) = s.keys.get_mut(k) {
            key.how = s.whole;
            key.from.blanks |= s.whole.blanks;
        }
    }
    Some((s, files))
}

fn add(s: &mut Sorter, plain: &mut Vec<usize>, key: Key, has_letters: bool) {
    if !has_letters {
        plain.push(s.keys.len());
    }
    s.keys.push(key);
}

/// `1.2bn`: fields and columns from 0, then letters.
fn old_place(text: &str) -> Option<(Place, How)> {
    let (field, rest) = digits(text)?;
    let (column, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest)?,
        None => (0, rest),
    };
    let mut how = How::default();
    for c in rest.chars() {
        how.letter(c).then_some(())?;
    }
    Some((Place { field, column, blanks: how.blanks }, how))
}

/// `2.3n,4.5`: fields and columns from 1; an end without a column is the end of its field.
fn new_key(s: &mut Sorter, plain: &mut Vec<usize>, text: &str) -> Option<()> {
    let (from, to) = text.split_once(',').map_or((text, None), |(f, t)| (f, Some(t)));
    let (mut from, mut how) = old_place(from)?;
    from.field = from.field.checked_sub(1)?;
    from.column = from.column.saturating_sub(1);
    let mut end = None;
    if let Some(to) = to {
        let (mut place, more) = old_place(to)?;
        if place.column > 0 {
            place.field = place.field.checked_sub(1)?;
        }
        if more != How::default() {
            how = more;
        }
        end = Some(place);
    }
    add(s, plain, Key { from, to: end, how }, how != How::default());
    Some(())
}

fn digits(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(line: &str) -> bool {
        parse(&lib9::tokenize(line)).is_some()
    }

    #[test]
    fn arguments() {
        for good in ["-k 2", "-k1,2n", "+1 -2", "-t x -o f a b", "-T /tmp -u", "-- -x", "a -o b"] {
            assert!(ok(good), "{good}");
        }
        for bad in ["-k", "-k 0", "-k x", "+x", "-2", "-z", "-t", "-t ab", "-tπ", "-t ''", "+1q"] {
            assert!(!ok(bad), "{bad}");
        }
        let words = lib9::tokenize("-r a b -o c");
        let (s, files) = parse(&words).unwrap();
        assert_eq!((s.output.as_deref(), files.len()), (Some("c"), 2));
    }
}
