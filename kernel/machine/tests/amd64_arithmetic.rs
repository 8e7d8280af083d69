//! The hardware half's arithmetic has no hardware in it: its modules are compiled here a second time, with the tests
//! that they carry.
#![allow(dead_code, missing_docs)]

extern crate alloc;

// What the modules find beside and above them in their own crate.
mod types {
    pub use machine::types::*;
}
#[path = "../src/ledger/group.rs"]
mod ledger;

#[path = "../src/amd64/mem/bitmap.rs"]
mod bitmap;
#[path = "../src/amd64/dev/chacha.rs"]
mod chacha;
#[path = "../src/amd64/mem/copy.rs"]
mod copy;
#[path = "../src/amd64/time/date.rs"]
mod date;
#[path = "../src/amd64/mem/freed.rs"]
mod freed;
#[path = "../src/amd64/mem/map.rs"]
mod map;
#[path = "../src/amd64/mem/modules.rs"]
mod modules;
#[path = "../src/amd64/sched/ready.rs"]
mod ready;
#[path = "../src/amd64/sched/runq.rs"]
mod runq;
#[path = "../src/amd64/sched/shares.rs"]
mod shares;
#[path = "../src/amd64/mem/slots.rs"]
mod slots;
#[path = "../src/amd64/trap/symbols.rs"]
mod symbols;
#[path = "../src/amd64/time/timers.rs"]
mod timers;
#[path = "../src/amd64/sched/usage.rs"]
mod usage;
