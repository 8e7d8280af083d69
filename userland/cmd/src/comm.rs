//! Lines that two sorted files have in common, as comm prints them.

use alloc::vec::Vec;
use core::cmp::Ordering;

use lib9::Result;

use crate::lines::Lines;

/// Prints in three columns the lines of `a` alone, of `b` alone, and of both; `shown` says which of the columns.
///
/// # Errors
/// A failure to read.
pub fn comm(
    a: &mut dyn Lines,
    b: &mut dyn Lines,
    shown: [bool; 3],
    print: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut more_x = a.next(&mut x)?;
    let mut more_y = b.next(&mut y)?;
    while more_x || more_y {
        let order = match (more_x, more_y) {
            (true, false) => Ordering::Less,
            (false, _) => Ordering::Greater,
            _ => x.cmp(&y),
        };
        let (column, line) = match order {
            Ordering::Less => (0, &x),
            Ordering::Greater => (1, &y),
            Ordering::Equal => (2, &x),
        };
        if shown.get(column) == Some(&true) {
            // A column that is not shown takes no place.
            for _ in shown.iter().take(column).filter(|s| **s) {
                print(b"\t");
            }
            print(line);
            print(b"\n");
        }
        if order.is_le() {
            more_x = a.next(&mut x)?;
        }
        if order.is_ge() {
            more_y = b.next(&mut y)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn run(a: &str, b: &str, shown: [bool; 3]) -> String {
        let mut out = Vec::new();
        comm(&mut a.as_bytes(), &mut b.as_bytes(), shown, &mut |b| out.extend_from_slice(b)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns() {
        let (a, b) = ("a\nb\nd\nd\n", "b\nc\nd");
        assert_eq!(run(a, b, [true; 3]), "a\n\t\tb\n\tc\n\t\td\nd\n");
        assert_eq!(run(a, b, [false, false, true]), "b\nd\n");
        assert_eq!(run(a, b, [false, true, true]), "\tb\nc\n\td\n");
        assert_eq!(run(a, b, [true, false, false]), "a\nd\n");
        assert_eq!(run("", "x\n\n", [true; 3]), "\tx\n\t\n");
        assert_eq!(run("", "", [true; 3]), "");
    }
}
