//! What interrupts a processor, and how programs run.
//!
//! `desc` has the descriptor tables, whose gates lead to the stubs of `entry`. From there an interrupt goes to
//! `irq` and a fault of the kernel itself to `panic`, which tells it with `backtrace` and `symbols`; what interrupts a
//! program comes out of `user`'s `run`; `events` is what the board itself tells. `desc` and `entry` name one another,
//! since the stubs push the selectors that the tables define.

mod backtrace;
pub(crate) mod desc;
pub(crate) mod entry;
pub mod events;
pub mod irq;
mod panic;
mod symbols;
pub mod user;
