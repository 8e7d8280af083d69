//! Where the portable kernel meets this machine: the traits it asks for, over `machine` and `virtio`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use io::message::Transport;
use machine::events::{self, Event};
use machine::firmware::acpi;
use machine::sync::Rendez;
use machine::{boot, clock, mem, power, thread};
use port::call::{life, sysfile};
use port::dev::cons::{Power, Wrong, cmdline};
use port::dev::root::Layout;
use port::kmesg::Kmesg;
use port::proc::create;
use port::{Kernel, exec};

mod console_places;
mod keyboard_mouse;

pub use console_places::{Places, console, console_port, last_words};
pub use keyboard_mouse::keyboard_and_mouse;

/// The first program, unless the command line says `boot=`.
const INIT: &str = "/rc/bin/init";
/// The first program where the root is to be another tree.
const BOOTROOT: &str = "/bin/bootroot";
/// How often slots are looked at whose wishes nothing tells, in nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;
/// How often the time of day is compared with the board's clock, in nanoseconds.
const COMPARE_NS: u64 = 3_000_000_000;

/// The log, which is printed nowhere yet.
pub fn log() -> Arc<Kmesg> {
    Kmesg::new(None)
}

/// The good words of the command line; tells the bad ones.
pub fn command_line(kmesg: &Kmesg) -> Vec<(String, String)> {
    let (line, cut) = (&boot::info().cmdline, boot::info().cmdline_cut);
    let (words, bad) = match cut {
        Some(whole) => cmdline::parse_cut(line, whole, boot::MOST_COMMAND_LINE),
        None => cmdline::parse(line),
    };
    kmesg.print(format_args!("\nelwood {}\n", env!("CARGO_PKG_VERSION")));
    for line in bad {
        kmesg.print(format_args!("boot: {line}\n"));
    }
    words
}

/// What machine this is.
pub fn tell_machine(kmesg: &Kmesg) {
    let info = boot::info();
    let mib = mem::total_bytes() >> 20;
    let mhz = clock::cycle_hz() / 1_000_000;
    kmesg.print(format_args!(
        "boot: {}, {mib} MiB, {mhz} MHz, {} modules\n",
        info.loader,
        info.modules.len()
    ));
    match acpi::source() {
        acpi::Source::Copy => {
            kmesg.print(format_args!("acpi: the tables in memory are damaged; fw_cfg has a copy\n"))
        }
        acpi::Source::Lost => {
            kmesg.print(format_args!("acpi: the tables in memory are damaged, and there is no copy\n"))
        }
        acpi::Source::Memory | acpi::Source::Nowhere => {}
    }
    for m in &info.refused {
        kmesg.print(format_args!(
            "boot: the module of {} bytes at {:#x} is not used: {}\n",
            m.len, m.start, m.reason
        ));
    }
}

/// Starts the other processors, as far as the word `ncpu` (or `*ncpu`, as Plan 9 has it) allows.
pub fn processors(kernel: &Kernel) {
    let limit = cmdline::ncpu(&kernel.config);
    let all = machine::start_others(limit.unwrap_or(usize::MAX));
    for id in &all.silent {
        kernel.kmesg.print(format_args!("cpu: the processor with APIC id {id} does not start\n"));
    }
    let used = machine::cpu::count();
    match all.told_by {
        Some(who) => kernel.kmesg.print(format_args!("cpu: {used} of {} used ({who})\n", all.found)),
        None => kernel.kmesg.print(format_args!("cpu: {used} used: nothing tells of others\n")),
    }
}

/// What the virtio devices are looked for with; the word `nomsi` wants interrupts by lines.
pub fn machine(words: &[(String, String)]) -> virtio::Config {
    virtio::Config::of_machine(words.iter().any(|(name, value)| name == "nomsi" && value != "0"), words)
}

/// What was found on it.
pub fn tell_devices(kmesg: &Kmesg, system: &virtio::System) {
    match &system.pci {
        Some(pci) => kmesg.print(format_args!("pci: {} functions\n", pci.functions().len())),
        None => kmesg.print(format_args!("pci: none\n")),
    }
    for line in &system.complaints {
        kmesg.print(format_args!("virtio: {line}\n"));
    }
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = system.table.write_text(&mut text);
    for line in text.lines() {
        kmesg.print(format_args!("{line}\n"));
    }
}

/// Mount tags and transports of the 9P devices.
pub fn transports(system: &virtio::System) -> Vec<(String, Arc<dyn Transport>)> {
    system.nine_p.iter().map(|d| (d.tag.clone(), d.transport.clone())).collect()
}

/// The switch of the machine.
struct Switch;

impl Power for Switch {
    fn off(&self, failed: bool) {
        if failed {
            // QEMU ends with 2 * 0 + 1 when it has the device for it.
            power::exit_qemu(0);
        }
        power::off()
    }

    fn reset(&self) {
        power::reset()
    }

    fn panic(&self, how: Wrong) {
        match how {
            Wrong::Found => panic!("asked for through /dev/reboot"),
            Wrong::Stack => drop(deeper(0)),
            Wrong::Memory => drop(alloc::vec::Vec::<u8>::with_capacity(isize::MAX as usize)),
        }
    }
}

/// Calls itself until there is no more stack.
fn deeper(n: u64) -> u64 {
    core::hint::black_box(if core::hint::black_box(n) == u64::MAX { n } else { deeper(n + 1) })
}

/// What a panic says of the process that it happens in.
pub fn witness(kernel: &Arc<Kernel>) {
    let kernel = kernel.clone();
    machine::console::set_witness(Box::new(move |pid, out| drop(kernel.tell_of(pid, out))));
}

/// Power off and reset.
pub fn power() -> Arc<dyn Power> {
    Arc::new(Switch)
}

/// Listens for what the board tells: the power button, and slots whose devices are to be taken out.
pub fn listen(kernel: &Kernel, removals: Option<virtio::Removals>) {
    let kmesg = &kernel.kmesg;
    let slots = removals.map(|removals| serve_slots(kmesg, removals));
    let ending = kernel.ending.clone();
    let told = events::listen(Box::new(move |event| match event {
        Event::PowerButton => ending.press(),
        Event::PciSlots => {
            if let Some(wake) = &slots {
                wake();
            }
        }
    }));
    if let Err(why) = told {
        kmesg.print(format_args!("power: no button: {why}\n"));
    }
}

/// Has a thread empty the slots of which that is wanted: what it answers wakes it.
fn serve_slots(kmesg: &Arc<Kmesg>, mut removals: virtio::Removals) -> Arc<dyn Fn() + Send + Sync> {
    // Something may have been wanted before anybody listened.
    let wanted = Arc::new((AtomicBool::new(true), Rendez::new()));
    let woken = wanted.clone();
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        woken.0.store(true, Ordering::SeqCst);
        woken.1.wakeup();
    });
    removals.listen(&wake, &|line| kmesg.print(line));
    let told = kmesg.clone();
    // Without ACPI nothing tells that a slot wants something, and QEMU's registers are there all the same.
    let is_told = acpi::events().is_some();
    let body = move || {
        let is_wanted = || wanted.0.swap(false, Ordering::SeqCst);
        loop {
            if is_told {
                wanted.1.sleep(is_wanted);
            } else {
                wanted.1.sleep_surely_until(clock::now_ns().saturating_add(LOOK_NS), is_wanted);
            }
            removals.serve(&|line| told.print(line));
        }
    };
    if thread::spawn("slots", 0, Box::new(body)).is_err() {
        kmesg.print(format_args!("pci: no memory for the thread that empties slots\n"));
    }
    wake
}

/// Lets the time of day follow the board's clock where that jumps: after QEMU was stopped, the host slept, or a
/// snapshot was loaded. Without a board's clock, or memory for a thread, it goes by the counter alone.
pub fn follow_board(kmesg: &Arc<Kmesg>) {
    let Some(mut board) = clock::board() else { return };
    let told = kmesg.clone();
    let never = Rendez::new();
    let body = move || {
        loop {
            never.sleep_surely_until(clock::now_ns().saturating_add(COMPARE_NS), || false);
            if let Some(jump) = clock::catch_up(&mut board) {
                let way = if jump < 0 { "back" } else { "further" };
                let s = jump.unsigned_abs();
                told.print(format_args!("clock: the board's jumped by {s} s, the date goes {way} with it\n"));
            }
        }
    };
    if thread::spawn("clock", 0, Box::new(body)).is_err() {
        kmesg.print(format_args!("clock: no memory for the thread that looks at the board's\n"));
    }
}

/// Starts the first process, and sees to it that the machine does not outlive it. A machine without one says so and
/// ends.
pub fn start(kernel: &Arc<Kernel>) {
    let ms = clock::now_ns() / 1_000_000;
    kernel.kmesg.print(format_args!("boot: {ms} ms\n"));
    follow_board(&kernel.kmesg);
    let mut args = cmdline::boot(&kernel.config).unwrap_or_default();
    let layout = cmdline::layout(&kernel.config);
    let usual = if layout == Layout::InBoot { BOOTROOT } else { INIT };
    let init = if args.is_empty() { String::from(usual) } else { args.remove(0) };
    let told = kernel.kmesg.clone();
    let name = init.clone();
    kernel.first_ended.call_once(|| {
        Box::new(move |why| {
            told.print(format_args!("boot: {name} has ended: {why}\n"));
            Switch.off(true);
        })
    });
    let begun = create::first_process(kernel).and_then(|up| {
        life::start(&up, move |up, ctx| {
            if layout == Layout::InBoot {
                sysfile::boot_as_root(up)?;
            }
            let console = sysfile::console(up);
            ctx.regs.put(&exec::load::first(up, console, &init, &args)?);
            Ok(())
        })
    });
    if let Err(e) = begun {
        kernel.kmesg.print(format_args!("boot: no first process: {e}\n"));
        Switch.off(true);
    }
}
