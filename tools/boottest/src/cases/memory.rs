//! The kernel's own memory, when there is little of it, or only in pieces.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{MOUNT, q35};
use crate::case::{Case, PROMPT, re};

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
            .line("usertests pipe exec.args mem.copies ns bind dir")
            .gives(re("^usertests: [0-9]+ tests, 0 failed, [0-9]+ ms$"))
            .line("exit")
            .line("echo and out of it")
            .is("and out of it\n")
            .budget(120)
    });
    fragments.into_iter().chain([bombs(), names()]).collect()
}

/// What the owner types works while the owner's own programs, made by lines before, take all memory that they can have:
/// pipes that nobody reads, processes, a file in memory.
fn bombs() -> Case {
    Case::new("memory/bombs", q35().memory_mib(32))
        .line("while(){cat /dev/zero >[2]/dev/null | sleep 1000 &}")
        .gives("kernel allocate failed")
        // Shells that were still on their way when their neighbours were killed go on, and what they say may come
        // between the characters of what is typed, until the end.
        .types("ps | wc -l\n")
        .sees(PROMPT)
        .types("kill sleep cat | rc\n")
        .sees(PROMPT)
        .types("cat /dev/zero >/tmp/x\n")
        .sees("cat: error writing")
        .sees(PROMPT)
        .types("for(i in 1 2 3 4 5 6 7 8 9) echo x >/tmp/x$i >[2]/dev/null\n")
        .sees(PROMPT)
        .types("ps | wc -l; rm -f /tmp/x*\n")
        .sees(re("(^|\n) *[0-9]+\n"))
        .sees(PROMPT)
        .types("date -n\n")
        .sees(re("(^|\n)[0-9]{10}\n"))
        .budget(120)
}

/// A folder with so many names that a list of them has no room: nobody innocent goes for it, and the folder does.
fn names() -> Case {
    Case::new("memory/names", q35().memory_mib(16))
        .line("mkdir /tmp/d; cd /tmp/d; seq 9000 | sed 's/.*/>x&/' | rc >[2]/dev/null; cd /")
        .line("echo /tmp/d/* >[2]/dev/null | wc -l")
        .gives(re("^ *[01]$"))
        .line("ps | grep -c mntgen")
        .is("2\n")
        .line("rm -r /tmp/d; ls /tmp | wc -l")
        .gives(re("^ *0$"))
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
