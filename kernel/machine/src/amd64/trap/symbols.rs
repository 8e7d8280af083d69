//! The names of the kernel's functions, from the table that `boot/mksymbols` makes of the linked kernel. No hardware:
//! tested on the host.
//!
//! The table is text, a line for each function, ascending by address: how far it is behind the one before in
//! hexadecimal, how many bytes of the name before its own begins with in decimal, the rest of its name.

/// Longest name, in bytes.
const MOST: usize = 120;

/// A name that has been found.
pub struct Name {
    bytes: [u8; MOST],
    len: usize,
    /// Bytes from the start of the function.
    pub offset: u64,
}

impl Name {
    /// The name.
    pub fn text(&self) -> &str {
        let bytes = &self.bytes[..self.len];
        core::str::from_utf8(bytes)
            .unwrap_or_else(|e| core::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or("?"))
    }
}

/// The function in which an address is, or at whose end. `start` is where the table counts from.
pub fn find(table: &[u8], start: u64, address: u64) -> Option<Name> {
    let mut name = Name { bytes: [0; MOST], len: 0, offset: 0 };
    let mut at = start;
    let mut found = false;
    for line in table.split(|b| *b == b'\n') {
        let mut fields = line.splitn(3, |b| *b == b' ');
        let (Some(gap), Some(shared), Some(rest)) =
            (number(fields.next(), 16), number(fields.next(), 10), fields.next())
        else {
            break; // the end of the table, which zeros follow
        };
        let next = at.saturating_add(gap);
        if next > address {
            break;
        }
        let shared = usize::try_from(shared).map_or(MOST, |n| n.min(name.len));
        let rest = &rest[..rest.len().min(MOST - shared)];
        name.bytes[shared..shared + rest.len()].copy_from_slice(rest);
        name.len = shared + rest.len();
        at = next;
        found = true;
    }
    name.offset = address.checked_sub(at)?;
    found.then_some(name)
}

fn number(field: Option<&[u8]>, base: u32) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(field?).ok()?, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] =
        b"0 0 port::call::live\n1f0 12 dispatch\n10 20 ::{{closure}}\n30 0 <T as X>::run\n\0\0\0\0";

    fn at(address: u64) -> Option<(String, u64)> {
        find(TABLE, 0x1000, address).map(|n| (n.text().into(), n.offset))
    }

    #[test]
    fn an_address_is_in_the_function_that_begins_last_before_it() {
        assert_eq!(at(0x1000), Some(("port::call::live".into(), 0)));
        assert_eq!(at(0x11ef), Some(("port::call::live".into(), 0x1ef)));
        assert_eq!(at(0x11f0), Some(("port::call::dispatch".into(), 0)));
        assert_eq!(at(0x1210), Some(("port::call::dispatch::{{closure}}".into(), 0x10)));
        assert_eq!(at(0x9999), Some(("<T as X>::run".into(), 0x9999 - 0x1230)));
        assert_eq!(at(0xfff), None);
    }

    #[test]
    fn no_table_names_nothing_and_a_broken_one_harms_nobody() {
        for table in [&b""[..], &[0; 64], b"\n", b"x", b"1 2", b"zz 0 a", b"0 0", b"-1 0 a"] {
            assert!(find(table, 0, 100).is_none(), "{table:?}");
        }
        let long = ["0 999 ", &"n".repeat(500), "\nffffffffffffffff 0 x\n"].concat();
        assert_eq!(find(long.as_bytes(), 0, 5).unwrap().text(), "n".repeat(MOST));
        assert_eq!(find(b"0 0 \xc3\xa4\xc3\n", 0, 5).unwrap().text(), "\u{e4}");
    }
}
