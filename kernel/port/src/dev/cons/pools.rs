//! `/dev/pools`: how many there are of everything that the kernel keeps, a line for each kind.

use alloc::format;
use alloc::string::String;

use abi::layout::PAGE;
use machine::{census, mem};

use super::text::number;
use crate::kernel::Kernel;
use crate::pools::SHOWN;

/// The text. What devices keep comes last, in the order of the devices.
pub(crate) fn text(kernel: &Kernel) -> String {
    let mut out = String::new();
    let mut show = |name: &str, n: u64| out += &format!("{}{name}\n", number(n));
    show("frame", (mem::total_bytes() - mem::free_bytes()) / PAGE);
    show("frame.kernel", mem::kernel_bytes() / PAGE);
    for (name, kind) in SHOWN {
        show(name, census::count(kind));
    }
    let (images, pages) = kernel.images.counts();
    show("image", images);
    show("image.page", pages);
    show("alarm", kernel.alarms.count());
    for dev in kernel.devs() {
        dev.pools(&mut show);
    }
    out
}
