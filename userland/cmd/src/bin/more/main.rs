//! The commands that run now and then, bound together as those of `cmds` are (`cmd::program`). They are made to be
//! small, and are compressed in the kernel's image.
//!
//! `boot/mkroot` reads the table below and makes a link in `/bin`, or in a folder of it, for each of its names.
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
    "9pvpxy" => vpxy,
    "awk" => awk,
    "bootroot" => bootroot,
    "bunzip2" => bunzip2,
    "bzip2" => bzip2,
    "cal" => cal,
    "comm" => comm,
    "con" => con,
    "csquery" => csquery, // in ndb
    "diff" => diff,
    "dnsquery" => dnsquery, // in ndb
    "dossrv" => dossrv,
    "du" => du,
    "ed" => ed,
    "exportfs" => exportfs,
    "fmt" => fmt,
    "freq" => freq,
    "fstype" => fstype,
    "gunzip" => gunzip,
    "gzip" => gzip,
    "hget" => hget,
    "hoc" => hoc,
    "import" => import,
    "join" => join,
    "listen" => listen, // in aux
    "listen1" => listen1, // in aux
    "look" => look,
    "mc" => mc,
    "md5sum" => md5sum,
    "merge3" => merge3,
    "mtime" => mtime,
    "netstat" => netstat,
    "newns" => newns,
    "p" => p,
    "pci" => pci,
    "ping" => ping, // in ip
    "pr" => pr,
    "pstree" => pstree,
    "query" => query, // in ndb
    "ramfs" => ramfs,
    "sha1sum" => sha1sum,
    "snoop" => snoop,
    "split" => split,
    "stacks" => stacks,
    "strings" => strings,
    "sum" => sum,
    "tar" => tar,
    "telnet" => telnet,
    "unzip" => unzip,
    "virtio" => virtio,
    "xd" => xd,
    "zip" => zip,
}

fn main(args: &Args) -> Result<()> {
    cmd::program::run(args, find)
}
