//! Where the portable kernel meets this machine: the traits it asks for, over `machine` and `virtio`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::firmware::acpi;
use machine::message::Transport;
use machine::page::Pinned;
use machine::sync::{Interrupted, QLock};
use machine::uart::Uart;
use machine::{boot, clock, mem, power};
use pci::Pci;
use port::call::sysproc;
use port::dev::cons::{Power, cmdline};
use port::dev::pnp::{Address, Function, PciBus};
use port::dev::sd;
use port::dev::uart::Serial;
use port::dev::virtcon;
use port::kmesg::Kmesg;
use port::proc::life;
use port::{Kernel, exec};
use virtio::{Block, Console, Direction, DiskError, Location};

mod console_places;
mod desk;

pub use console_places::{Places, console, console_port, last_words};
pub use desk::desk;

/// The first program, unless the command line says `boot=`.
const INIT: &str = "/rc/bin/init";
/// Where it reads and writes.
const CONSOLE: &str = "#c/cons";

/// The first serial line.
struct Com1(Uart);

impl Serial for Com1 {
    fn write(&self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn set_receiver(&self, receiver: Box<dyn Fn(&[u8]) + Send + Sync>) {
        self.0.set_receiver(receiver);
    }

    fn baud(&self) -> u32 {
        115_200
    }
}

/// COM1.
pub fn com1() -> Arc<dyn Serial> {
    Arc::new(Com1(Uart::com1()))
}

/// The log, which is printed nowhere yet.
pub fn log() -> Arc<Kmesg> {
    Kmesg::new(None)
}

/// The good words of the command line; tells the bad ones.
pub fn command_line(kmesg: &Kmesg) -> Vec<(String, String)> {
    let (words, bad) = cmdline::parse(&boot::info().cmdline);
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
    for line in system.table.text().lines() {
        kmesg.print(format_args!("{line}\n"));
    }
}

/// Mount tags and transports of the 9P devices.
pub fn transports(system: &virtio::System) -> Vec<(String, Arc<dyn Transport>)> {
    system.nine_p.iter().map(|d| (d.tag.clone(), d.transport.clone())).collect()
}

/// A port of a virtio console, the number of its device among the consoles, and where that sits.
struct Port(u32, Location, Arc<virtio::Port>);

impl virtcon::Port for Port {
    fn id(&self) -> u32 {
        self.0 << 16 | self.2.number()
    }

    fn name(&self) -> String {
        self.2.name().into()
    }

    fn place(&self) -> String {
        let device = self.1.file_name();
        match self.2.number() {
            0 => device,
            n => alloc::format!("{device}.{n}"),
        }
    }

    fn label(&self) -> Option<String> {
        self.2.label()
    }

    fn is_console(&self) -> bool {
        self.2.is_console()
    }

    fn present(&self) -> bool {
        self.2.present()
    }

    fn connected(&self) -> bool {
        self.2.connected()
    }

    fn watch(&self, watcher: Box<dyn Fn() + Send + Sync>) {
        self.2.watch(watcher);
    }

    fn open(&self) -> u64 {
        self.2.open()
    }

    fn read(&self, connection: u64, max: usize) -> Result<Vec<u8>, Interrupted> {
        self.2.read(connection, max)
    }

    fn write(&self, connection: u64, bytes: &[u8]) -> Result<bool, Interrupted> {
        self.2.write(connection, bytes)
    }

    fn writing(&self) -> &QLock<()> {
        self.2.writing()
    }
}

/// The ports of the virtio consoles, as there are at each moment.
pub fn ports(consoles: Vec<(Location, Arc<Console>)>) -> virtcon::Finder {
    Arc::new(move || {
        let all =
            (0..).zip(&consoles).flat_map(|(n, (at, c))| c.ports().into_iter().map(move |p| Port(n, *at, p)));
        all.map(|p| Arc::new(p) as Arc<dyn virtcon::Port>).collect()
    })
}

/// A virtio disk.
struct Disk(Arc<Block>);

/// What a program is told.
fn told(error: DiskError) -> port::Error {
    port::Error::new(match error {
        DiskError::Failed => abi::error::EIO,
        DiskError::Protected => sd::EPROTECTED,
        DiskError::NoMemory => abi::error::ENOMEM,
        DiskError::Abandoned => abi::error::EINTR,
    })
}

impl sd::Disk for Disk {
    fn name(&self) -> String {
        self.0.name().into()
    }

    fn serial(&self) -> String {
        self.0.serial()
    }

    fn sector_size(&self) -> u32 {
        self.0.sector_size()
    }

    fn sectors(&self) -> u64 {
        self.0.sectors()
    }

    fn writable(&self) -> bool {
        self.0.writable()
    }

    fn read(&self, sector: u64, to: Vec<Pinned>, leave: &dyn Fn() -> bool) -> port::Result<()> {
        self.0.transfer(Direction::Read, sector, to, leave).map_err(told)
    }

    fn write(&self, sector: u64, from: Vec<Pinned>, leave: &dyn Fn() -> bool) -> port::Result<()> {
        self.0.transfer(Direction::Write, sector, from, leave).map_err(told)
    }

    fn flush(&self, leave: &dyn Fn() -> bool) -> port::Result<()> {
        self.0.flush(leave).map_err(told)
    }
}

/// The virtio disks for `#S`.
pub fn disks(disks: Vec<Arc<Block>>) -> Vec<Arc<dyn sd::Disk>> {
    disks.into_iter().map(|d| Arc::new(Disk(d)) as Arc<dyn sd::Disk>).collect()
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

    fn panic(&self) {
        panic!("asked for through /dev/reboot")
    }
}

/// Power off and reset.
pub fn power() -> Arc<dyn Power> {
    Arc::new(Switch)
}

/// PCI as `#$` shows it.
struct Bus(Option<Arc<Pci>>);

impl Bus {
    fn at(a: Address) -> pci::PciAddress {
        pci::address(a.bus, a.device, a.function)
    }
}

impl PciBus for Bus {
    fn functions(&self) -> Vec<Function> {
        let Some(pci) = &self.0 else { return Vec::new() };
        let bar =
            |(n, bar): (usize, &Option<pci::bar::Bar>)| bar.as_ref().map(|b| (n as u8, b.register(), b.size));
        let function = |f: &pci::Function| Function {
            at: Address { bus: f.address.bus(), device: f.address.device(), function: f.address.function() },
            class: f.class,
            vendor: f.vendor,
            device: f.device,
            irq: f.line,
            bars: f.bars.iter().enumerate().filter_map(bar).collect(),
        };
        pci.functions().iter().map(function).collect()
    }

    fn config_size(&self, _at: Address) -> usize {
        256
    }

    fn read_config(&self, at: Address, offset: usize) -> u8 {
        let mut byte = [0xff];
        if let Some(pci) = &self.0 {
            pci.raw(Self::at(at), offset as u64, &mut byte);
        }
        byte[0]
    }

    fn write_config(&self, at: Address, offset: usize, bytes: &[u8]) {
        if let Some(pci) = &self.0 {
            pci.write_raw(Self::at(at), offset as u64, bytes);
        }
    }
}

/// The PCI bus for `#$`.
pub fn pci_bus(pci: Option<Arc<Pci>>) -> Arc<dyn PciBus> {
    Arc::new(Bus(pci))
}

/// Starts the first process, and sees to it that the machine does not outlive it. A machine without one says so and ends.
pub fn start(kernel: &Arc<Kernel>) {
    let ms = clock::now_ns() / 1_000_000;
    kernel.kmesg.print(format_args!("boot: {ms} ms\n"));
    let said = kernel.config.iter().rfind(|(name, _)| name == "boot");
    let init = said.map_or(String::from(INIT), |(_, path)| path.clone());
    let told = kernel.kmesg.clone();
    let name = init.clone();
    kernel.first_ended.call_once(|| {
        Box::new(move |why| {
            told.print(format_args!("boot: {name} has ended: {why}\n"));
            Switch.off(true);
        })
    });
    let begun = sysproc::first_process(kernel).and_then(|up| {
        life::start(&up, move |up, ctx| {
            ctx.regs = exec::load::first(up, CONSOLE, &init)?;
            Ok(())
        })
    });
    if let Err(e) = begun {
        kernel.kmesg.print(format_args!("boot: no first process: {e}\n"));
        Switch.off(true);
    }
}
