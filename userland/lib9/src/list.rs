//! How a file is shown: the mode as `ls -l` prints it.

use alloc::string::String;

use abi::{DMAPPEND, DMAUTH, DMDIR, DMEXCL, DMMOUNT, DMTMP};

/// A mode as eleven columns: kind, exclusive use, then `rwx` for owner, group and others.
pub fn mode(mode: u32) -> String {
    let kind = if mode & DMDIR != 0 {
        'd'
    } else if mode & DMAPPEND != 0 {
        'a'
    } else if mode & DMAUTH != 0 {
        'A'
    } else if mode & DMMOUNT != 0 {
        'M'
    } else {
        '-'
    };
    let exclusive = if mode & DMEXCL != 0 {
        'l'
    } else if mode & DMTMP != 0 {
        't'
    } else {
        '-'
    };
    let mut out = String::with_capacity(11);
    out.push(kind);
    out.push(exclusive);
    for shift in [6, 3, 0] {
        let bits = mode >> shift;
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            out.push(if bits & bit != 0 { letter } else { '-' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!(mode(DMDIR | 0o755), "d-rwxr-xr-x");
        assert_eq!(mode(0o640), "--rw-r-----");
        assert_eq!(mode(DMAPPEND | DMEXCL | 0o660), "alrw-rw----");
    }
}
