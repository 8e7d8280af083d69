//! The kernel's own memory, when there is little of it, or only in pieces.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{MOUNT, q35};
use crate::case::{Case, re};

/// Files of the large folder.
const MANY: usize = 3000;

pub fn cases() -> Vec<Case> {
    // Everything goes on while half of memory is free as every second page: pipes that are full, executing, mounts,
    // large folders and files, names.
    let fragments = [64, 32].map(|mib| {
        Case::new(format!("memory/fragments-{mib}"), q35().memory_mib(mib))
            .share("host", many)
            .line("usertests -x fragments rc")
            .gives(re("^[0-9]+ KB in single pages$"))
            .line("cat /dev/swap | sed -n '/user/p'")
            .gives(re("^[0-9]+/[0-9]+ user$"))
            .line(MOUNT)
            .is("")
            .line("ls /n/host/many | wc -l; cmp /n/host/large /n/host/same && echo same")
            .gives(re(&format!("^ *{MANY}$")))
            .gives("same")
            .line("usertests pipe exec.args exec.many mem.copies ns bind dir")
            .gives(re("^usertests: [0-9]+ tests, 0 failed, [0-9]+ ms$"))
            .line("exit")
            .line("echo and out of it")
            .is("and out of it\n")
            .budget(120)
    });
    fragments.into_iter().chain([bombs()]).collect()
}

/// What the owner types works while the owner's own programs, made by lines before, take all memory that they can have:
/// pipes that nobody reads, processes, a file in memory.
fn bombs() -> Case {
    let number = || re("^ *[0-9]+$");
    Case::new("memory/bombs", q35().memory_mib(32))
        .line("while(){cat /dev/zero | sleep 1000 &}")
        .gives("kernel allocate failed")
        .line("ps | wc -l")
        .gives(number())
        .line("kill sleep cat | rc")
        .line("cat /dev/zero >/tmp/x")
        .gives("cat: error writing")
        .line("for(i in 1 2 3 4 5 6 7 8 9) echo x >/tmp/x$i >[2]/dev/null")
        .line("ps | wc -l; rm -f /tmp/x*")
        .gives(number())
        .line("date -n")
        .gives(number())
        .budget(120)
}

fn many(folder: &Path) -> Result<()> {
    let many = folder.join("many");
    fs::create_dir(&many)?;
    for n in 0..MANY {
        fs::write(many.join(format!("a file with a rather long name, number {n}")), "")?;
    }
    super::load::noise(&folder.join("large"), 3_000_001)?;
    Ok(fs::copy(folder.join("large"), folder.join("same")).map(drop)?)
}
