//! Programs with thousands of segments.

mod world;

use std::time::{Duration, Instant};

use abi::error;
use abi::syscall as call;
use machine::host::Cpu;
use port::mem::MAXSEGS;
use world::{FAILED, NONE, Sys, World, fork};

const LEN: u64 = 4096;

fn attach(cpu: &mut Cpu, class: u64, va: u64, len: u64) -> u64 {
    cpu.syscall(call::SEGATTACH, &[0, class, va, len])
}

/// As many segments as a process may have, one below the other, and what becomes of holes among them.
#[test]
fn thousands_of_segments() {
    let w = World::new();
    let begin = Instant::now();
    w.ok(|cpu| {
        let class = cpu.string("memory");
        let mut bases = Vec::new();
        loop {
            match attach(cpu, class, 0, LEN) {
                FAILED => break,
                base => bases.push(base),
            }
        }
        assert_eq!(cpu.errstr(), error::ENOVMEM);
        assert!(bases.len() <= MAXSEGS && bases.len() >= MAXSEGS - 8, "{}", bases.len());
        assert!(bases.windows(2).all(|w| w[1] + LEN == w[0]));
        // Each is there, and the last page of it.
        for &base in bases.iter().step_by(97) {
            cpu.store_u64(base + LEN - 8, base);
        }
        let child = bases.clone();
        let pid = fork(cpu, NONE, move |cpu| {
            for &base in child.iter().step_by(97) {
                assert_eq!(cpu.load_u64(base + LEN - 8), base);
                cpu.store_u64(base, 1);
            }
        });
        let record = cpu.wait();
        assert!(record.starts_with(&format!("{pid} ")) && record.ends_with(" ''"), "{record}");
        assert_eq!(cpu.load_u64(bases[97]), 0, "the child's own");
        // A hole is where the next one goes, if it fits.
        for n in [2000, 100, 101] {
            cpu.must(call::SEGDETACH, &[bases[n]]);
        }
        let last = *bases.last().unwrap();
        assert_eq!(attach(cpu, class, 0, 3 * LEN), last - 3 * LEN);
        assert_eq!(attach(cpu, class, 0, 2 * LEN), bases[101]);
        assert_eq!(attach(cpu, class, 0, LEN), bases[2000]);
        assert_eq!(cpu.fails(call::SEGATTACH, &[0, class, bases[5], LEN]), error::ESOVERLAP);
        // What has become shorter leaves room as well.
        cpu.must(call::SEGBRK, &[bases[101], bases[101] + LEN]);
        cpu.must(call::SEGDETACH, &[bases[7]]);
        cpu.must(call::SEGDETACH, &[bases[8]]);
        assert_eq!(attach(cpu, class, 0, LEN), bases[7]);
        assert_eq!(attach(cpu, class, 0, LEN), bases[8]);
    });
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}
