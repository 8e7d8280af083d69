//! The assembly by which the scheduler changes stacks.

use super::scheduler;

core::arch::global_asm!(
    include_str!("switch.S"),
    thread_main = sym scheduler::thread_main,
    options(att_syntax)
);

unsafe extern "C" {
    /// Leaves the stack in use, with its pointer in `save`, and goes on where the one at `load` was left.
    pub(crate) fn switch_stacks(save: *mut u64, load: u64);
    /// Where a stack that nobody has stood on yet begins.
    pub(crate) fn thread_entry();
}
