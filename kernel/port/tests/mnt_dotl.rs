//! `#9` in 9P2000.L: the same stories once more. `wire` speaks the other dialect when it is part of this program,
//! and programs must not notice.
#![allow(clippy::duplicate_mod, reason = "each story brings its own `wire`")]

#[path = "mnt_cache.rs"]
mod cache;
#[path = "mnt_device.rs"]
mod device;
#[path = "mnt_errors.rs"]
mod errors;
#[path = "mnt_files.rs"]
mod files;
#[path = "mnt_flush.rs"]
mod flush;
#[path = "mnt_kept_lists.rs"]
mod kept_lists;
#[path = "mnt_kill.rs"]
mod kill;
#[path = "mnt_links.rs"]
mod links;
#[path = "mnt_lists.rs"]
mod lists;
#[path = "mnt_look.rs"]
mod look;
#[path = "mnt_pieces.rs"]
mod pieces;
#[path = "mnt_rename.rs"]
mod rename;
#[path = "mnt_rules.rs"]
mod rules;
#[path = "mnt_slow.rs"]
mod slow;
