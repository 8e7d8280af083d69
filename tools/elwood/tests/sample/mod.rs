//! A file that passes for a kernel, for tests in which no machine is started.

use std::path::PathBuf;

use tempfile::TempDir;

/// What is in it: a header, one segment that is nothing, one of notes, and in that a note of somebody else, whose name
/// and body are filled up, before the one that QEMU looks for.
pub fn bytes() -> Vec<u8> {
    let mut file = [b"\x7fELF\x02\x01".as_slice(), &[0; 58]].concat();
    for (at, value) in [(16, 2), (18, 62), (32, 64), (56, 2)] {
        file[at] = value;
    }
    for kind in [1, 4] {
        let mut segment = [0; 56];
        (segment[0], segment[8], segment[32]) = (kind, 64 + 2 * 56, 40);
        file.extend(segment);
    }
    for (owner, len, body) in [(3, 1, b"GNU\0x\0\0\0"), (4, 4, b"Xen\0\x01\0\0\0")] {
        for number in [owner, len, 18] {
            file.extend([number, 0, 0, 0]);
        }
        file.extend(body);
    }
    file
}

/// The file, in a folder that goes with what is returned.
pub fn file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kernel.elf");
    std::fs::write(&path, bytes()).unwrap();
    (dir, path)
}
