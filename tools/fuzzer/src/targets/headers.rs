//! Any file executed in a process of the portable kernel, with little memory: it is refused or taken, and afterwards
//! all memory has come back.

use machine::host;
use port::exec::argv::Argv;
use port::exec::load;
use port::proc::exit;
use port::testkit::{Hosted, Ram};

/// Tries these bytes: the first says how many pages there are.
pub fn run(bytes: &[u8]) {
    let Some((&pages, file)) = bytes.split_first() else { return };
    host::new_machine();
    let t = Hosted::with(vec![Ram::new()], vec![], &[]);
    if port::call::sysfile::bind(&t.up, "#R", "/", abi::MREPL | abi::MCREATE).is_err() {
        return;
    }
    if t.create("/x", file).is_err() {
        return;
    }
    let before = machine::mem::free_bytes();
    host::limit_pages(2 + usize::from(pages) / 4);
    let p = t.process();
    let words: Vec<Vec<u8>> = (0..usize::from(pages) % 40).map(|n| vec![b'x'; n * 100]).collect();
    if let Ok(regs) = Argv::of(&words).and_then(|words| load::exec(&p, "/x", words)) {
        assert!(regs.pc < abi::layout::USTKTOP && regs.sp < abi::layout::USTKTOP);
    }
    exit::exit(&p, "");
    drop(p);
    host::limit_pages(host::DEFAULT_PAGES);
    assert_eq!(machine::mem::free_bytes(), before, "memory that stays");
    // A kernel with a process in it is never given up.
    exit::exit(&t.up, "");
}
