//! Threads: who runs where, and when.
//!
//! `thread` is what others see; `scheduler` has the queues of each processor, and `balance` moves threads
//! between them. Those three are one mechanism in three files and call one another. Below them are `runq` and
//! `usage`, which are arithmetic, `fpu`, the part of a thread's state that is stored late, and `switch`, the
//! change of stacks, which begins a new thread in `scheduler::thread_main`.

pub(crate) mod balance;
pub(crate) mod fpu;
mod runq;
pub(crate) mod scheduler;
mod switch;
pub mod thread;
mod usage;
