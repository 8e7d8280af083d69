//! `/dev/pools`: how many there are of everything that the kernel keeps, a line for each kind.

use alloc::string::String;
use core::fmt::Write;

use abi::layout::PAGE;
use machine::heap::Text;
use machine::{census, mem};

use crate::error::Result;
use crate::kernel::Kernel;
use crate::pools::SHOWN;

/// The text. What devices keep comes last, in the order of the devices.
///
/// # Errors
/// No memory: there are lines for each session with a server, and programs make as many as they like.
pub(crate) fn text(kernel: &Kernel) -> Result<String> {
    let mut out = Text::new();
    // What is left out for want of memory is told at the end.
    let mut show = |name: &str, n: u64| drop(writeln!(out, "{n:>11} {name}"));
    show("frame", (mem::total_bytes() - mem::free_bytes()) / PAGE);
    show("frame.kernel", mem::kernel_bytes() / PAGE);
    show("frame.heap", mem::heap_bytes() / PAGE);
    for (name, bytes) in ["frame.map", "frame.table", "frame.stack"].into_iter().zip(mem::table_bytes()) {
        show(name, bytes / PAGE);
    }
    show("frame.aside", mem::aside_bytes() / PAGE);
    for (name, kind) in SHOWN {
        show(name, census::count(kind));
    }
    let (images, pages) = kernel.images.counts();
    show("image", images);
    show("image.page", pages);
    let (files, pages) = kernel.contents.counts();
    show("content", files);
    show("content.page", pages);
    show("content.name", kernel.contents.names.count());
    show("alarm", kernel.alarms.count());
    for dev in kernel.devs() {
        dev.pools(&mut show);
    }
    Ok(out.finish()?)
}
