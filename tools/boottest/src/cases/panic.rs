//! How the kernel ends when it is wrong: what it tells of that.

use super::q35;
use crate::case::{Case, re};

pub fn cases() -> Vec<Case> {
    let wrong = |name: &str, how: &str| {
        Case::new(format!("panic/{name}"), q35())
            .panics()
            .line("echo up")
            .is("up\n")
            .types(format!("echo {how} >/dev/reboot\n"))
    };
    let who = || {
        re(concat!(
            "on the processor with APIC id [0-9]+, in the thread \"[^\"]+\" of process [0-9]+ \\(echo\\), ",
            "in the system call PWRITE\r?\ncalled from\r?\n"
        ))
    };
    let deeper = "  0xffffffff[0-9a-f]{8} pc64::glue::deeper\\+0x[0-9a-f]+\r?\n";
    vec![
        wrong("system-call", "panic")
            .sees("kernel panic: asked for through /dev/reboot")
            .sees(re("at kernel/pc64/src/glue.rs:[0-9]+:"))
            .sees(who())
            .sees(re("  0xffffffff[0-9a-f]{8} <pc64::glue::Switch as .*Power>::panic\\+0x"))
            .sees(re("  0xffffffff[0-9a-f]{8} port::call::.*\\+0x")),
        wrong("stack", "panic stack")
            .sees(re("kernel panic: stack overflow in 0x[0-9a-f]+ pc64::glue::deeper\\+0x"))
            .sees(who())
            .sees(re(&format!("({deeper}){{16}}  \\.\\.\\. and [0-9]+ more \\.\\.\\.")))
            .sees(re("  0xffffffff[0-9a-f]{8} port::call::.*\\+0x")),
        wrong("memory", "panic memory")
            .sees("kernel panic: memory allocation of 9223372036854775807 bytes failed")
            .sees(who())
            .sees(re("  0xffffffff[0-9a-f]{8} <pc64::glue::Switch as .*Power>::panic\\+0x")),
    ]
}
