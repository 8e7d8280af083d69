//! The commands that run all the time, bound together: one program, which does what the name it is called by says
//! (`cmd::program`).
//!
//! These are what the machine runs as it starts, and what scripts and people run most; they are made to be fast, and
//! are in the kernel's image as they are. The others are in `more`. `boot/mkroot` reads the table below and makes a
//! link in `/bin`, or in a folder of it, for each of its names.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "each command begins with its usage, in which brackets are no links"
)]

extern crate alloc;

use lib9::{Args, Result};

lib9::program!(main);

cmd::commands! {
    "basename" => basename,
    "bind" => bind,
    "cat" => cat,
    "chgrp" => chgrp,
    "chmod" => chmod,
    "cleanname" => cleanname,
    "cmp" => cmp,
    "cp" => cp,
    "cs" => cs, // in ndb
    "date" => date,
    "dd" => dd,
    "dns" => dns, // in ndb
    "echo" => echo,
    "grep" => grep,
    "hostexec" => hostexec,
    "ipconfig" => ipconfig, // in ip
    "kill" => kill,
    "ls" => ls,
    "mkdir" => mkdir,
    "mntgen" => mntgen,
    "mount" => mount,
    "mv" => mv,
    "none" => none,
    "ns" => ns,
    "ps" => ps,
    "pwd" => pwd,
    "read" => read,
    "rm" => rm,
    "sed" => sed,
    "seq" => seq,
    "slay" => slay,
    "sleep" => sleep,
    "sort" => sort,
    "srv" => srv,
    "tail" => tail,
    "tee" => tee,
    "test" => test,
    "time" => time,
    "touch" => touch,
    "tr" => tr,
    "uniq" => uniq,
    "unmount" => unmount,
    "wc" => wc,
}

fn main(args: &Args) -> Result<()> {
    cmd::program::run(args, find)
}
