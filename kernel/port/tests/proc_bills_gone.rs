//! What is on bills is gone with those that made it. How many bills there are is a number of the whole process, of all
//! the kernels that it has: so this test has one of its own, whatever runs the tests.

mod world;

use std::time::{Duration, Instant};

use abi::Rfork;
use abi::syscall as call;
use machine::host::Cpu;
use world::{BSS, NONE, Sys, World, fork};

fn touch(cpu: &mut Cpu, pages: u64) {
    cpu.must(call::BRK, &[BSS + (1 << 30)]);
    (0..pages).for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 1));
}

fn until(what: &str, mut it_is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !it_is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn nothing_is_left_on_any_bill_when_all_are_gone() {
    let accounts = machine::ledger::in_use();
    let w = World::new();
    let (kernel, held) = (w.t.kernel.clone(), machine::ledger::in_use());
    w.ok(|cpu| {
        cpu.must(call::RFORK, &[u64::from(Rfork::NAMEG.bits())]);
        for n in 0..20 {
            fork(cpu, if n % 2 == 0 { NONE } else { Rfork::FDG | Rfork::ENVG }, move |cpu| {
                touch(cpu, n);
                cpu.echo("value", "/dev/null");
                fork(cpu, Rfork::MEM, move |cpu| touch(cpu, 2 * n));
                cpu.wait();
                let at = cpu.push(&[0; 8]);
                cpu.must(call::PIPE, &[at]);
            });
        }
        (0..20).for_each(|_| cpu.wait_ok());
    });
    until("accounts", || machine::ledger::in_use() == held);
    drop((w, kernel));
    until("the first account", || machine::ledger::in_use() <= accounts.max(1));
}
