//! The small devices: `#|`, `#e`, `#s`, `#σ`, `#c`, `#P`, `#t`, `#$`, `#¤`, `#r`, `#l`, `#I`.

mod cap;
mod cons;
mod env;
mod ether;
mod ip;
mod machine;
mod many;
mod pipe;
mod shr;
mod srv;
mod uart;

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use port::call::sysfile::{pread, pwrite};
use port::mem::iobuf::{Dst, Src};
use port::proc::notes::NoteClass;
use port::{Proc, Result};

fn get(up: &Arc<Proc>, fd: i32, max: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; max];
    let n = pread(up, fd, &mut Dst::Kernel(&mut buf), -1)?;
    buf.truncate(n);
    Ok(buf)
}

fn put(up: &Arc<Proc>, fd: i32, bytes: &[u8]) -> Result<usize> {
    pwrite(up, fd, &Src::Kernel(bytes), -1)
}

/// Long enough for another thread to go to sleep where it will.
fn settle() {
    sleep(Duration::from_millis(30));
}

fn notes(p: &Proc) -> Vec<(String, NoteClass)> {
    p.notes.lock().queue.iter().map(|n| (n.text.to_string(), n.class)).collect()
}
