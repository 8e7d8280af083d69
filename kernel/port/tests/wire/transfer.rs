//! Files read and written in large pieces, as a program's memory is, and results to compare.

use std::sync::Arc;

use machine::page::{Page, Pinned};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::Dst;
use port::testkit::Hosted;

/// Pages for a large read, as a program's are: the device writes into them.
pub fn pages(bytes: usize) -> Vec<Pinned> {
    let page = |at| Pinned::new(Page::new_zeroed().unwrap(), 0, 4096.min(bytes - at));
    (0..bytes).step_by(4096).map(page).collect()
}

pub fn bytes_of(pages: &[Pinned]) -> Vec<u8> {
    let mut out = Vec::new();
    for p in pages {
        let at = out.len();
        out.resize(at + p.len(), 0);
        p.read(0, &mut out[at..]);
    }
    out
}

pub fn open(t: &Hosted, name: &str, mode: u32) -> i32 {
    sysfile::open(&t.up, name, mode).unwrap()
}

/// A read of `len` bytes into pages.
pub fn read(up: &Arc<Proc>, fd: i32, len: usize, at: i64) -> Result<Vec<u8>, String> {
    let pages = pages(len);
    let n = sysfile::pread(up, fd, &mut Dst::Pages(&pages), at).map_err(|e| e.text().to_string())?;
    let mut bytes = bytes_of(&pages);
    bytes.truncate(n);
    Ok(bytes)
}

pub const UNIT: usize = 131_072;

/// A program's memory, so that writes are pinned as they are in life.
pub fn with_memory(t: &Hosted, contents: &[u8]) -> u64 {
    use machine::space::Prot;
    use port::mem::{Kind, Segment};
    let len = (contents.len() as u64).next_multiple_of(4096);
    let prot = Prot { write: true, exec: false };
    let base = 0x40_0000;
    t.up.mem.add(Segment::new(Kind::Bss, base, base + len, prot, None)).unwrap();
    t.up.mem.copy_out(base, contents).unwrap();
    base
}

/// The result, or the text of the error.
pub fn text<T>(r: port::Result<T>) -> Result<T, String> {
    r.map_err(|e| e.text().to_string())
}
