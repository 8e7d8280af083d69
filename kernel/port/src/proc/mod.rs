//! Processes: what one is ([`process`]), how it is made ([`create`]) and how it ends ([`exit`], [`broken`]); notes
//! ([`notes`]), those to a group ([`notegroup`]) and how a program gets them ([`notify`]), alarms ([`alarm`]) and
//! faults ([`fault`]); who pays for memory ([`bill`]), who waits for it ([`scarce`]), and who goes when it is out
//! ([`starve`]); how processes meet ([`rendezvous`]); the environment that they share ([`egrp`]); the words that
//! control one ([`procctl`]), and what of its memory is watched ([`watch`]).
//!
//! How a process runs, from user mode into the kernel and back, is in [`call::life`](crate::call::life).

pub(crate) mod alarm;
pub(crate) mod bill;
pub mod broken;
pub mod create;
pub(crate) mod ctl;
pub(crate) mod edf;
pub mod egrp;
pub mod ending;
pub mod exit;
pub mod fault;
pub mod notegroup;
pub mod notes;
pub mod notify;
pub mod procctl;
pub(crate) mod process;
pub(crate) mod rendezvous;
pub(crate) mod scarce;
pub(crate) mod starve;
pub(crate) mod trace;
pub(crate) mod watch;
