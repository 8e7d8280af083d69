//! Threads: who runs where, and when.
//!
//! `thread` is what others see; `local` is what there is of each processor, its queues and its timer, `scheduler` moves
//! threads in and out of it, and `balance` between processors. Those four are one mechanism and call one another. Below
//! them are `ready`, `runq`, `usage` and `shares`, which are arithmetic, `fpu`, the part of a thread's state that is
//! stored late, and `switch`, the change of stacks, which begins a new thread in `scheduler::thread_main`. `ticks` says
//! when the timer is wanted by those who look where time goes, and `watch` has the processor's debug registers.

pub(crate) mod balance;
pub(crate) mod fpu;
pub(crate) mod local;
pub(crate) mod ready;
mod runq;
pub(crate) mod scheduler;
mod shares;
mod switch;
pub mod thread;
pub(crate) mod ticks;
mod usage;
pub mod watch;
