//! `/dev/reboot`: the end of the machine, in order or as it would come by itself.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;

use crate::error::Result;
use crate::proc::ending;
use crate::proc::process::Proc;

/// Ending the machine, which the binary knows how to do.
pub trait Power: Send + Sync {
    /// Power off; `failed` when that is not a success. Returns only when the machine cannot do it.
    fn off(&self, failed: bool);
    /// Start again from the firmware.
    fn reset(&self);
    /// End as a kernel that is wrong does.
    fn panic(&self, how: Wrong);
}

/// In what way a kernel can be wrong, for who wants to see how it tells that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It finds that itself.
    Found,
    /// Its stack is too small.
    Stack,
    /// It asks for memory that there is not.
    Memory,
}

/// Does what is written into the file. It returns where the machine cannot end, or where it is ending already.
///
/// # Errors
/// Words that mean nothing.
pub(super) fn write(power: &dyn Power, up: &Arc<Proc>, text: &str) -> Result<()> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let act: fn(&dyn Power) = match words.as_slice() {
        ["halt"] => |power| power.off(false),
        ["halt", "fail"] => |power| power.off(true),
        ["reboot"] => |power| power.reset(),
        ["panic"] => |power| power.panic(Wrong::Found),
        ["panic", "stack"] => |power| power.panic(Wrong::Stack),
        ["panic", "memory"] => |power| power.panic(Wrong::Memory),
        ["halt" | "reboot" | "panic", ..] => return Err(error::ECMDARGS.into()),
        _ => return Err(error::EBADCTL.into()),
    };
    if up.kernel.ending.has_begun() {
        return ending::wait_for(up);
    }
    if words != ["panic"] {
        ending::finish_within(&up.kernel, ending::DEVICES_NS);
    }
    up.kernel.kmesg.flush();
    act(power);
    Ok(())
}
