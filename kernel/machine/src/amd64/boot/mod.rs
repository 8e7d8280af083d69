//! From one processor that the firmware left to all of them in the scheduler: `registers` is what each is given
//! first, `processors` starts the others, and `info` keeps what the loader said.

mod info;
pub(crate) mod processors;
pub(crate) mod registers;

pub(crate) use info::publish;
pub use info::{BootInfo, MOST_COMMAND_LINE, Range, RangeKind, entry_cycles, info};
