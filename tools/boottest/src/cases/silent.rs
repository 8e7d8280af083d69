//! A file server that falls silent while a program's pages are to come from it: who needs them waits, and nobody else.

use std::path::Path;

use anyhow::Result;

use super::{MOUNT, q35};
use crate::case::{Case, PROMPT, re};

pub fn cases() -> Vec<Case> {
    vec![paging(), interrupted()]
}

/// How the server is stopped, and started.
const SERVER: &str =
    "fn server {for(p in `{ps | grep ramfs | sed 's/^[^ ]+ +([0-9]+).*/\\1/'}) echo $1 >/proc/$p/ctl}";

/// Does a line of ps end like this?
const SEEN: &str = "fn seen {ps | grep $1^'$' >/dev/null}";

/// A program that waits for a byte on its standard input and then uses memory that is not in the first 64 KiB of it.
fn program() -> Vec<u8> {
    const BASE: u64 = 0x20_0000;
    const SIZE: u64 = 400_000;
    let mut code = vec![0xbd, 50, 0, 0, 0, 0x48, 0x89, 0xe0]; // mov $PREAD, %ebp; mov %rsp, %rax
    code.extend([0x6a, 0xff, 0x6a, 1, 0x50, 0x6a, 0]); // push $-1; push $1; push %rax; push $0
    code.extend([0x6a, 0, 0x0f, 0x05]); // push $0 (where a return address would be); syscall
    code.extend([0x8a, 0x04, 0x25]); // mov (end of the file), %al
    code.extend(((BASE + SIZE - 1) as u32).to_le_bytes());
    code.extend([0xbd, 8, 0, 0, 0, 0x6a, 0, 0x6a, 0, 0x0f, 0x05]); // exits(0)

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [BASE + 120, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // One segment, to be read and executed.
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, BASE, BASE, SIZE, SIZE, 4096] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file.resize(SIZE as usize, 0);
    file
}

fn programs(folder: &Path) -> Result<()> {
    std::fs::write(folder.join("late"), program())?;
    Ok(std::fs::write(folder.join("late2"), program())?)
}

/// A machine with the programs on a ramfs.
fn served(name: &str) -> Case {
    Case::new(name, q35())
        .share("host", programs)
        .line(format!(
            "{MOUNT}; ramfs -c -m /mnt/two; cp /n/host/late /n/host/late2 /mnt/two; chmod 755 /mnt/two/late*"
        ))
        .is("")
        .line(format!("{SERVER}; {SEEN}"))
        .is("")
}

/// Everybody may look at the process, and it can be killed; when the server goes on, so do those who waited.
fn paging() -> Case {
    served("silent/paging")
        .line(
            // The server stops when it is next asked for something. Programs that begin are seen at a fault, too.
            "{while(! {seen 'Pread +late' && seen 'Pread +late2'}) sleep 1; \
             server stop & while(! seen 'Pwrite +echo') sleep 1; echo} | /mnt/two/late & \
             {while(! {seen 'Stopped +ramfs' && seen 'Fault +late'}) sleep 1; echo} | /mnt/two/late2 & \
             while(! {seen 'Stopped +ramfs' && seen 'Fault +late2'}) sleep 1; ps",
        )
        .gives(re("Fault +late\n"))
        .gives(re("Fault +late2\n"))
        .line("pid=`{ps | grep 'late$' | sed 's/^[^ ]+ +([0-9]+).*/\\1/'}; cd /proc/$pid; ls | wc -l")
        .gives(re("^ *20\n$"))
        .line("cat status segment args ns fd noteid ppid >/tmp/all; ls -s /tmp/all")
        .gives("all")
        .line("cd /; echo kill >/proc/$pid/ctl; while(seen late) sleep 1; ls -d /proc/$pid")
        .gives("does not exist")
        .line("seen 'Fault +late2'; echo status $status")
        .is("status |\n")
        .line("server start; while(seen late2) sleep 1")
        .is("")
        .line("unmount /mnt/two; while(seen ramfs) sleep 1")
        .is("")
}

/// An interrupt always leads to a prompt.
fn interrupted() -> Case {
    served("silent/interrupted")
        .types(
            "{while(! seen 'Pread +late') sleep 1; server stop & while(! seen 'Pwrite +echo') sleep 1; echo; \
             while(! {ps | grep 'Fault +late$' >[1=2]}) sleep 1} | /mnt/two/late\n",
        )
        .sees(re("Fault +late\n"))
        .types("\x7f")
        .sees(PROMPT)
        // A call of the shell's own.
        .types("echo going; cd /mnt/two/far\n")
        .sees("\ngoing\n")
        .types("\x7f")
        .sees(PROMPT)
        .line("while(seen late) sleep 1")
        .is("")
}
