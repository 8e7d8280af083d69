//! The console device: ports that are byte pipes to the host.
//!
//! Created by `-device virtio-serial-pci` and on its bus `-device virtconsole,chardev=C` (port 0, a console) or
//! `-device virtserialport,chardev=C,name=N` (the others). Follows virtio 1.3 section 5.3. With `max_ports=1` there
//! is port 0 only, and no word of who is connected; otherwise ports come and go, have names, and tell when the host
//! connects and leaves (feature MULTIPORT).
//!
//! [`Port`] is what a user sees: it reads what has arrived, and writes and waits by itself, straight on its ring. The
//! interrupt handler takes what the device has filled, together with what it says of the host's comings and goings,
//! because the order of the two matters; and wakes whoever waits at a port, and the keeper. That is a thread that
//! answers the other control messages and resets a device that is broken.
//!
//! # Locks
//!
//! The control queues have one, which the handler holds while it looks, and each port has its own, see [`port`]:
//! control before port. Under both the alarm's may be taken.

pub(crate) mod control;
mod control_queues;
mod device;
mod inbox;
mod keeper;
mod placed;
pub mod port;
#[cfg(test)]
mod tests;

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::transport::{self, Interrupts, VirtioTransport};
use abi::quote::quote_among;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use device::Device;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;
pub use placed::finder;
pub use port::Port;

/// Feature: several ports, and control messages about them.
const MULTIPORT: u64 = 1 << 1;
/// Feature: a byte written into the configuration is printed by the first console port, whatever else works.
const EMERGENCY: u64 = 1 << 2;
/// Features that are taken where they are offered.
const WANTED: u64 = MULTIPORT | EMERGENCY;
/// Where the configuration has the greatest number of ports.
const CONFIG_PORTS: usize = 4;
/// Where it takes a byte that is to be printed.
const CONFIG_EMERGENCY: usize = 8;
/// Most ports that are used of a device. QEMU's have 31 unless asked for more.
const PORTS_MOST: u32 = 64;

/// Bytes of all names in the device's identity; what would be more is left out.
const IDENTITY_MOST: usize = 1024;

/// A console device that has been started.
pub struct Console {
    interrupts: Interrupts,
    device: Arc<Device>,
    /// What the last words go through, if the device takes them.
    emergency: Option<Arc<dyn VirtioTransport>>,
}

impl Console {
    /// Starts the console device behind `transport`, under a name as `virtio-console-2`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<Console>, Failure> {
        transport::start(&*transport, || Console::try_start(name, &transport))
    }

    fn try_start(name: &str, transport: &Arc<dyn VirtioTransport>) -> Result<Arc<Console>, Failure> {
        let taken = transport::negotiate(&**transport, WANTED, 0)?;
        let several = taken & MULTIPORT != 0;
        let count = if several { ports_most(&**transport)? } else { 1 };
        let alarm = Arc::new(Alarm::default());
        let mut ports = Vec::new();
        for n in 0..count {
            let name = if n == 0 { name.into() } else { alloc::format!("{name}.{n}") };
            ports.push(Port::new(name, n, transport, &alarm)?);
        }
        let device = Device::new(transport.clone(), taken, alarm, ports)?;
        let interrupts = transport::connect(&**transport, name, &device, Device::interrupt)?;
        device.run()?;
        let keeper = device.clone();
        thread::spawn(name, 0, Box::new(move || keeper.keep()))?;
        let emergency = (taken & EMERGENCY != 0).then(|| transport.clone());
        Ok(Arc::new(Console { interrupts, device, emergency }))
    }

    /// What prints on the first console port (one made with `virtconsole`) without a lock, a queue or an interrupt: for
    /// a kernel that has nothing else left. `None` when the device cannot.
    pub fn emergency(&self) -> Option<impl Fn(&[u8]) + Send + Sync + use<>> {
        let transport = self.emergency.clone()?;
        // A device that does not take it leaves nobody to be told.
        Some(move |bytes: &[u8]| {
            bytes.iter().for_each(|b| drop(transport.config_write(CONFIG_EMERGENCY, u32::from(*b))))
        })
    }

    /// The ports that are there, by number. Right after the start this waits until the device has told of them, for
    /// a second at most.
    pub fn ports(&self) -> Vec<Arc<Port>> {
        self.device.settle();
        self.device.ports().iter().filter(|p| p.present()).cloned().collect()
    }
}

impl Driver for Console {
    fn driver(&self) -> &'static str {
        "console"
    }

    fn status(&self) -> Status {
        // Where it could be taken for two, a label is quoted among the others.
        let shown =
            |label: String| if label.contains([',', '\'']) { quote_among(&label, &[',']) } else { label };
        let mut identity = String::new();
        for label in self.device.ports().iter().filter_map(|p| p.label().map(shown)) {
            let comma = if identity.is_empty() { "" } else { "," };
            if identity.len() + label.len() > IDENTITY_MOST {
                identity.push_str(comma);
                identity.push_str("...");
                break;
            }
            identity.push_str(comma);
            identity.push_str(&label);
        }
        Status {
            interrupts: self.interrupts.text.clone(),
            identity,
            failure: self.device.failure().map(String::from),
            counters: self.device.counters(),
        }
    }
}

impl Drop for Console {
    /// Tests only end devices: the keeper stops the device and goes.
    fn drop(&mut self) {
        self.device.stop();
    }
}

/// How many ports the device may have.
fn ports_most(transport: &dyn VirtioTransport) -> Result<u32, Failure> {
    let mut count = [0; 4];
    transport.config_read(CONFIG_PORTS, &mut count)?;
    match u32::from_le_bytes(count) {
        0 => Err(Failure::new("device has no ports")),
        n => Ok(n.min(PORTS_MOST)),
    }
}

/// The keeper's place to sleep, and what is told to it from anywhere.
#[derive(Default)]
struct Alarm {
    keeper: Rendez,
    why: Lock<Option<&'static str>>,
    stopped: AtomicBool,
}

impl Alarm {
    /// There may be something to do.
    fn wake(&self) {
        self.keeper.wakeup();
    }

    /// The device is broken. May be called from an interrupt handler and with a port's Lock held.
    fn raise(&self, why: &'static str) {
        self.why.lock().get_or_insert(why);
        self.keeper.wakeup();
    }

    fn why(&self) -> Option<&'static str> {
        *self.why.lock()
    }

    fn clear(&self) {
        *self.why.lock() = None;
    }

    fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.keeper.wakeup();
    }

    fn stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }
}
