//! What programs read and write of each other through `/proc`.

use machine::host::Cpu;

use super::Sys;

/// Words of `/proc/n/status`.
pub fn state(cpu: &mut Cpu, pid: u64) -> String {
    let status = cpu.file(&format!("/proc/{pid}/status"));
    assert_eq!(status.len(), 176, "{status}");
    status[56..68].trim().to_string()
}

pub fn until_state(cpu: &mut Cpu, pid: u64, wanted: &str) {
    let mut last = String::new();
    for _ in 0..5000 {
        last = state(cpu, pid);
        if last == wanted {
            return;
        }
        cpu.sleep_ms(1);
    }
    panic!("{pid} is {last}, not {wanted}");
}

pub fn ctl(cpu: &mut Cpu, pid: u64, message: &str) -> u64 {
    cpu.echo(message, &format!("/proc/{pid}/ctl"))
}
