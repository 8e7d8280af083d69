//! Time: `clock` counts it, `rtc` and `date` say what day it is, `timers` is the queue of those who sleep.

pub mod clock;
mod date;
mod rtc;
pub(crate) mod timers;
