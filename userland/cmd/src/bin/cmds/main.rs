//! The commands, bound together: one program, which does what the name it is called by says.
//!
//! A command alone is forty kilobytes of library and a few of its own, so what they share is here once. `boot/mkroot`
//! reads the table below and makes a link in `/bin`, or in a folder of it, for each of its names. Which one is meant
//! the name of the file says that is executed: `argv[0]` is what somebody called it, and a file that is bound over
//! another stays what it is. When that is no name of a command, as a copy's may be, `argv[0]` counts, and when that
//! is none either the first argument.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "each command begins with its usage, in which brackets are no links"
)]

extern crate alloc;

use alloc::vec::Vec;

use lib9::{Args, Result, error, proc};

lib9::program!(main);

/// Makes a module for each command, and a function that finds its `main` by its name.
macro_rules! commands {
    ($($name:literal => $module:ident,)*) => {
        $(mod $module;)*

        fn find(name: &str) -> Option<fn(&Args) -> Result<()>> {
            Some(match name {
                $($name => $module::main,)*
                _ => return None,
            })
        }
    };
}

commands! {
    "9pvpxy" => vpxy,
    "awk" => awk,
    "basename" => basename,
    "bind" => bind,
    "bootroot" => bootroot,
    "cal" => cal,
    "cat" => cat,
    "chgrp" => chgrp,
    "chmod" => chmod,
    "cleanname" => cleanname,
    "cmp" => cmp,
    "comm" => comm,
    "con" => con,
    "cp" => cp,
    "cs" => cs, // in ndb
    "csquery" => csquery, // in ndb
    "date" => date,
    "dd" => dd,
    "diff" => diff,
    "dns" => dns, // in ndb
    "dnsquery" => dnsquery, // in ndb
    "du" => du,
    "echo" => echo,
    "ed" => ed,
    "exportfs" => exportfs,
    "fmt" => fmt,
    "freq" => freq,
    "fstype" => fstype,
    "grep" => grep,
    "gunzip" => gunzip,
    "gzip" => gzip,
    "hget" => hget,
    "hoc" => hoc,
    "hostexec" => hostexec,
    "ipconfig" => ipconfig, // in ip
    "import" => import,
    "join" => join,
    "kill" => kill,
    "listen" => listen, // in aux
    "listen1" => listen1, // in aux
    "look" => look,
    "ls" => ls,
    "mc" => mc,
    "md5sum" => md5sum,
    "mkdir" => mkdir,
    "mntgen" => mntgen,
    "mount" => mount,
    "mtime" => mtime,
    "mv" => mv,
    "netstat" => netstat,
    "newns" => newns,
    "none" => none,
    "ns" => ns,
    "p" => p,
    "pci" => pci,
    "ping" => ping, // in ip
    "pr" => pr,
    "ps" => ps,
    "pwd" => pwd,
    "query" => query, // in ndb
    "read" => read,
    "ramfs" => ramfs,
    "rm" => rm,
    "sed" => sed,
    "seq" => seq,
    "sha1sum" => sha1sum,
    "slay" => slay,
    "sleep" => sleep,
    "snoop" => snoop,
    "sort" => sort,
    "split" => split,
    "srv" => srv,
    "stacks" => stacks,
    "strings" => strings,
    "sum" => sum,
    "tail" => tail,
    "tar" => tar,
    "tee" => tee,
    "test" => test,
    "time" => time,
    "touch" => touch,
    "tr" => tr,
    "uniq" => uniq,
    "unmount" => unmount,
    "virtio" => virtio,
    "wc" => wc,
    "xd" => xd,
}

fn main(args: &Args) -> Result<()> {
    // Nobody wants what cannot be written: it is not made for ever.
    lib9::out::end_when_failing();
    let mut record = [0; 256];
    let by_file = proc::file_name(&mut record).and_then(find);
    if let Some(main) = by_file.or_else(|| find(args.name())) {
        return main(args);
    }
    let words: Vec<_> = args.words().to_vec();
    match words.first().and_then(|word| find(word)) {
        Some(main) => main(&Args::new(words)),
        None => Err(error!("there is no command of this name")),
    }
}
