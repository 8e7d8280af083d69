//! What this kernel is made of. Delete a line of the table, and the device is gone.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use io::pci::or_none;
use machine::mem;
use machine::uart::Uart;
use port::dev::cons::cmdline;
use port::dev::root::{Archive, Root};
use port::dev::{
    cap, cons, dup, env, ether, hardware, ip, kprof, pci, pipe, proc, ram, rtc, sd, shr, srv, tls, uart,
    virtcon,
};
use port::kmesg::Kmesg;
use port::mnt::MntDev;
use port::{Dev, Kernel};

use crate::glue;

/// The archive that is `/`: `boot/root` and the programs, packed by the Makefile. It lies at a page, so that its
/// programs run where they are.
static ROOT: &AtPage<[u8]> = &AtPage(*include_bytes!(env!("ELWOOD_ROOT")));

#[repr(C, align(4096))]
struct AtPage<T: ?Sized>(T);

/// The kernel with all its devices.
pub fn kernel(
    kmesg: Arc<Kmesg>,
    words: Vec<(String, String)>,
    places: glue::Places,
    system: virtio::System,
) -> Arc<Kernel> {
    let console = cons::Cons::new(glue::power());
    let mnt = MntDev::channels();
    let phantom = mnt.phantom(glue::transports(&system));
    let hardware = hardware::Hardware::new();
    let tags = phantom.clone();
    hardware.add("mtags", 0o444, Box::new(move |out| tags.write_mtags(out)));
    let (table, consoles) = (Arc::new(system.table), system.consoles);
    let removals = virtio::Removals::new(system.pci.as_ref(), &table);
    let details = table.clone();
    hardware.add("virtio", 0o444, Box::new(move |out| table.write_text(out)));
    hardware.add("virtiostat", 0o444, Box::new(move |out| details.write_details(out)));
    hardware.add_ports(0x3f8, 0x3ff, "eia0");

    let (root, wrong) = Root::new(archives(), cmdline::places(&words), cmdline::layout(&words));
    for line in wrong {
        kmesg.print(format_args!("root: {line}\n"));
    }
    let ports = virtio::finder(consoles);
    glue::console_port(&kmesg, &places, &ports, &console.input); // a port can be the console
    let mouse = glue::keyboard_and_mouse(&kmesg, &console.input, &hardware); // the keyboard types on the console
    let com1: uart::LineOf = (Arc::new(Uart::com1()), places.uart.then(|| console.input.clone()));
    let cards = ether::card::cards(system.ethers);
    let mut devices: Vec<Arc<dyn Dev>> = vec![
        root,                                      // #/ the root and its archives
        console.clone(),                           // #c console, time, the kernel's numbers
        dup::Dup::new(),                           // #d descriptors as files
        env::Env::new(),                           // #e environment
        proc::ProcDev::new(),                      // #p processes
        srv::Srv::new(),                           // #s posted channels
        shr::Shr::new(),                           // #σ shares, where services are mounted for everybody
        pipe::Pipe::new(),                         // #| pipes
        mnt,                                       // #M 9P servers behind channels
        phantom,                                   // #9 QEMU's 9P devices, and channels in its dialects
        hardware,                                  // #P irqalloc, mtags, virtio
        pci::PciDev::new(or_none(system.pci)),     // #$ PCI functions
        uart::Uart::new(vec![com1]),               // #t serial lines
        mouse,                                     // #m the mouse
        virtcon::VirtCon::new(ports, places.port), // #C virtio consoles
        sd::Sd::new(system.disks),                 // #S disks and their partitions
        ether::EtherDev::new(&cards),              // #l network cards
        ram::RamDev::new(mem::total_bytes() / 2),  // #R files in memory, /tmp
        kprof::Kprof::new('K'),                    // #K where the kernel's time goes
        cap::Cap::new(),                           // #¤ capabilities: to become another user
        rtc::Rtc::new(),                           // #r time of day, and a memory for keys
        tls::Tls::new(),                           // #a records of TLS
        kprof::Kprof::new('κ'),                    // #κ the same
    ];
    match ip::Ip::new(cards) {
        Ok(ip) => devices.push(ip), // #I the IP stack
        Err(e) => kmesg.print(format_args!("ip: {e}\n")),
    }
    let kernel = Kernel::new(devices, words, kmesg);
    if let Err(e) = console.start(&kernel) {
        kernel.kmesg.print(format_args!("console: no input: {e}\n"));
    }
    glue::listen(&kernel, removals); // to the power button, and to slots that are emptied
    kernel
}

/// The embedded archive, and those that the loader brought, laid over it in order.
fn archives() -> Vec<Archive> {
    let modules = machine::boot::info().modules.iter().map(|m| Archive::Module(m.bytes, m.start));
    core::iter::once(Archive::Static(&ROOT.0)).chain(modules).collect()
}
