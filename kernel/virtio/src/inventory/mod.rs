//! Which virtio devices there are: what they are called ([`names`]), what tells them from others of their class
//! ([`identity`]), and what `/dev/virtio` shows of them ([`table`]).

pub mod identity;
pub mod names;
pub mod table;
