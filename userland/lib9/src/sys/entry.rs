//! The first and last instructions of a program.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::TOS;
use crate::{Args, Result, eprintln, out};

core::arch::global_asm!(
    // At the start RSP points at argc and RAX holds the address of Tos (docs/facts/plan9-abi.md section 1.4). RBP 0
    // ends every chain of frames.
    ".globl _start",
    "_start:",
    "mov rdi, rsp",
    "mov rsi, rax",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

unsafe extern "Rust" {
    /// What `program!` made of the program's main.
    fn lib9_main(args: &Args) -> Result<()>;
}

/// The program's name for the panic handler, which must not allocate.
static NAME: (AtomicPtr<u8>, AtomicUsize) = (AtomicPtr::new(core::ptr::null_mut()), AtomicUsize::new(0));

unsafe extern "sysv64" fn entry(stack: *const u64, tos: usize) -> ! {
    TOS.store(tos, Ordering::Relaxed);
    // SAFETY: the kernel laid argc and that many pointers to zero-ended strings here, and nothing moves them.
    let argv: Vec<String> = unsafe {
        let argc = *stack as u32 as usize;
        slice::from_raw_parts(stack.add(1), argc)
            .iter()
            .map(|&word| CStr::from_ptr(word as *const core::ffi::c_char).to_string_lossy().into_owned())
            .collect()
    };
    let args = Args::new(argv);
    NAME.0.store(args.name().as_ptr().cast_mut(), Ordering::Relaxed);
    NAME.1.store(args.name().len(), Ordering::Relaxed);
    // SAFETY: `program!` is the only one to define it, with this signature; without it the program does not link.
    let result = unsafe { lib9_main(&args) };
    let status = result.and_then(|()| out::flush().map_err(|e| crate::error!("write error: {e}")));
    if let Err(error) = status {
        let _ = out::flush();
        eprintln!("{}: {error}", args.name());
        super::exits(error.text());
    }
    super::exits("")
}

/// Ends the program because standard output fails.
pub(crate) fn fail(error: &crate::Error) -> ! {
    eprintln!("{}: write error: {error}", name());
    super::exits(&alloc::format!("write error: {error}"))
}

fn name() -> &'static str {
    let (at, len) = (NAME.0.load(Ordering::Relaxed), NAME.1.load(Ordering::Relaxed));
    if at.is_null() {
        return "program";
    }
    // SAFETY: `entry` stored a str that lives as long as the process.
    unsafe { core::str::from_utf8_unchecked(slice::from_raw_parts(at, len)) }
}

/// Text of bounded size, for messages when the heap cannot be trusted.
struct Fixed {
    buf: [u8; 512],
    len: usize,
}

impl Write for Fixed {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for b in s.bytes() {
            if let Some(slot) = self.buf.get_mut(self.len) {
                *slot = b;
                self.len += 1;
            }
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static AGAIN: AtomicBool = AtomicBool::new(false);
    if !AGAIN.swap(true, Ordering::Relaxed) {
        let mut text = Fixed { buf: [0; 512], len: 0 };
        let _ = writeln!(text, "{}: {info}", name());
        let _ = super::pwrite(2, &text.buf[..text.len], -1);
    }
    super::exits("panic")
}
