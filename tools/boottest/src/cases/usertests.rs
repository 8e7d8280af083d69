//! The kernel's rules, one by one: `usertests` in the guest, in parts so that what fails is found sooner.

use vm::{Board, Vm};

use super::q35;
use crate::case::{Case, PROMPT, re};

/// The parts: a name, and the groups of tests in it.
const PARTS: [(&str, &str); 7] = [
    ("calls", "calls pointers exec fd"),
    ("files", "file dir name bind ns chdir perm pipe"),
    ("processes", "fork wait sem rendezvous note"),
    ("memory", "mem stale proc time broken smp"),
    ("net", "net"),
    ("many", "many storm"),
    ("bills", "bill"),
];

pub fn cases() -> Vec<Case> {
    let on = |board: &'static str, vm: fn() -> Vm| {
        PARTS.map(|(name, groups)| {
            Case::new(format!("usertests/{name}{board}"), vm())
                .line(format!("usertests {groups}"))
                .gives(re("^usertests: [0-9]+ tests, 0 failed, [0-9]+ ms$"))
                .budget(180)
        })
    };
    let broken = Case::new("usertests/broken-process", q35())
        .line("usertests -x fault")
        .gives(re("^usertests [0-9]+: suicide: sys: trap: fault write addr=0x30 pc=0x[0-9a-f]+$"))
        .line("stacks")
        .gives(re("^[0-9]+: usertests Broken$"))
        .gives(re("^ *pc [0-9a-f]{16} +sp [0-9a-f]{16} flags [0-9a-f]{16} +trap 000000000000000e$"))
        .gives(re("di 0000000000000030"))
        .gives(re("^\tText   R    200000"))
        .gives(re("^calls$"))
        .gives(re("^\t[0-9a-f]{16}: [0-9a-f]{16}$"))
        .line("broke")
        .gives(re("^echo kill>/proc/[0-9]+/ctl # usertests$"))
        .line("broke | rc")
        .is("")
        // Kill knows which of them take no notes.
        .line("usertests -x fault")
        .gives("suicide")
        // It is the shell until it has executed. (A grep -s that goes at once lets ps fail, and the loop go on.)
        .line("sleep 600 & while(! ps | grep ' sleep$' >/dev/null) ~ x x; kill usertests; kill sleep")
        .gives(re("^echo kill>/proc/[0-9]+/ctl # usertests\necho kill>/proc/[0-9]+/note # sleep$"))
        .line("kill usertests sleep | rc; wait; kill usertests sleep >[2]/dev/null")
        .is("")
        .line("broke")
        .is("");
    // The test in progress does not count.
    let stopped = Case::new("usertests/interrupt", q35())
        .sees(PROMPT)
        .types("usertests fd.dup time.syscall many.processes\n")
        .sees("ok time.syscall\n")
        .types("\x03")
        .sees(re("^usertests: 2 tests, 0 failed, [0-9]+ ms\nusertests: interrupted\n"))
        .sees(PROMPT)
        .line("while(ps | grep usertests >/dev/null) sleep 1; ls /tmp")
        .is("");
    // There is memory for a thousand connections: they have it for what waits only.
    let many = Case::new("usertests/net/128", q35().memory_mib(128))
        .line("usertests -n 10 net.many")
        .gives(re("^ok net.many$"))
        .line("usertests net")
        .gives(re("^usertests: [0-9]+ tests, 0 failed, [0-9]+ ms$"))
        .budget(180);
    let narrow = Case::new("usertests/bills/64", q35().memory_mib(64))
        .line("usertests bill")
        .gives(re("^usertests: [0-9]+ tests, 0 failed, [0-9]+ ms$"))
        .budget(180);
    on("", q35)
        .into_iter()
        .chain([broken, narrow, stopped, many])
        .chain(on("/pc", || Vm::new(Board::Pc)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::PARTS;

    /// Every group of tests is in some part.
    #[test]
    fn nothing_is_left_out() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../userland/usertests/src");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for line in text.lines().map(str::trim) {
                let Some(rest) = line.strip_prefix("test(\"").or(line.strip_prefix("once(\"")) else {
                    continue;
                };
                let name = rest.split('"').next().unwrap();
                let group = name.split('.').next().unwrap();
                assert!(PARTS.iter().any(|(_, groups)| groups.split(' ').any(|g| g == group)), "{name}");
                seen += 1;
            }
        }
        assert!(seen > 200, "only {seen} tests found");
    }
}
