//! What a virtio driver needs of the way its device is attached.
//!
//! Virtio 1.3 sections 2.1 (status), 2.2 (features) and 3.1 (initialisation). A transport is PCI modern ([`modern`]),
//! PCI legacy ([`legacy`]) or registers in memory ([`mmio`]); the drivers and the ring see only this trait. Every ring
//! is laid out so that a legacy transport can take it too, a legacy device is one that does not offer [`VERSION_1`],
//! and a device interrupt is a [`Cause`], whichever of messages or a shared line carried it.

mod device_config;
pub mod legacy;
pub mod mmio;
pub mod modern;
pub mod pci_interrupts;
pub mod recorder;

use crate::Failure;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::clock;
use machine::irq::IrqHandle;
use machine::sync::Patience;
use pci::intx::Connected;
use pci::{Command, CommandRegister};

/// Status: the driver has noticed the device.
pub const ACKNOWLEDGE: u8 = 1;
/// Status: there is a driver for it.
pub const DRIVER: u8 = 2;
/// Status: the driver is ready.
pub const DRIVER_OK: u8 = 4;
/// Status: the choice of features is final.
pub const FEATURES_OK: u8 = 8;
/// Status: the device has met an error it cannot leave without a reset.
pub const NEEDS_RESET: u8 = 0x40;
/// Status: the driver has given up.
pub const FAILED: u8 = 0x80;

/// Feature: chains in tables of their own.
pub const INDIRECT_DESC: u64 = 1 << 28;
/// Feature: the interface of virtio 1.0 and later.
pub const VERSION_1: u64 = 1 << 32;
/// Feature: the addresses given to the device are those of its bus. They are the physical ones here, as no IOMMU is
/// ever switched on, so this is always taken; a device may insist on it.
pub const ACCESS_PLATFORM: u64 = 1 << 33;

/// What an interrupt was about, as bits of the ISR register. With one vector for both, both bits are set always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(pub u8);

impl Cause {
    /// A queue has used buffers.
    pub const QUEUE: Cause = Cause(1);
    /// The configuration, or the status, has changed.
    pub const CONFIG: Cause = Cause(2);
    /// It cannot be told which.
    pub const ANY: Cause = Cause(3);

    /// Whether this cause may be `other`.
    pub fn includes(self, other: Cause) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a driver does at an interrupt: Locks and wakeups only.
pub type Handler = Arc<dyn Fn(Cause) + Send + Sync>;

/// A driver's interrupts; dropping them disables them.
pub struct Interrupts {
    /// What they are, as `msix:65,66` (vectors) or `intx:11` (the GSI of the line).
    pub text: String,
    /// Keeps the handlers of messages.
    pub handles: Vec<IrqHandle>,
    /// Keeps the handler on a line.
    pub line: Option<Connected>,
}

/// Where the three parts of a split ring are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingAddress {
    /// Number of entries, a power of two.
    pub size: u16,
    /// Physical address of the descriptors, aligned to a page.
    pub descriptors: u64,
    /// Physical address of the ring of available chains: directly behind the descriptors.
    pub available: u64,
    /// Physical address of the ring of used chains: at the page boundary behind that.
    pub used: u64,
}

/// Unit of a legacy ring's address, and alignment of its used part.
pub(crate) const LEGACY_PAGE: u64 = 4096;
/// A feature that QEMU's legacy devices offer to see whether a driver takes what it does not know.
const TRAP: u64 = 1 << 30;

impl RingAddress {
    /// The number of the page at which a legacy device finds this ring.
    ///
    /// # Errors
    /// When it is not laid out as such a device expects it, or out of its reach.
    pub(crate) fn legacy_page(&self) -> Result<u32, Failure> {
        let available = self.descriptors + 16 * u64::from(self.size);
        let used = (available + 6 + 2 * u64::from(self.size)).next_multiple_of(LEGACY_PAGE);
        if (self.available, self.used) != (available, used) || !self.descriptors.is_multiple_of(LEGACY_PAGE) {
            return Err(Failure::new("ring is not laid out for a legacy device"));
        }
        u32::try_from(self.descriptors / LEGACY_PAGE)
            .map_err(|_| Failure::new("ring is out of a legacy device's reach"))
    }
}

/// The way a device is attached. All operations may be called from any thread.
pub trait VirtioTransport: Send + Sync {
    /// `modern` or `legacy`.
    fn kind(&self) -> &'static str;

    /// Feature bits the device offers.
    fn offered(&self) -> u64;

    /// Tells the device which of them the driver takes.
    fn accept(&self, features: u64);

    /// The status register.
    fn status(&self) -> u8;

    /// Writes the status register. Not for resetting: see [`VirtioTransport::reset`].
    fn set_status(&self, status: u8);

    /// Resets the device and waits until that is done. When this returns, even with an error, the device does
    /// not touch memory any more: one that does not confirm its reset is cut off.
    ///
    /// # Errors
    /// When the device does not confirm.
    fn reset(&self) -> Result<(), Failure>;

    /// Most entries that a queue can have; 0 when there is no such queue.
    fn queue_limit(&self, queue: u16) -> u16;

    /// The number of entries to make a queue with, a power of two: not more than `most` if that can be chosen.
    /// 0 when there is no such queue.
    fn queue_size(&self, queue: u16, most: u16) -> u16 {
        // A device that offers something between two powers gets the lower one.
        self.queue_limit(queue).min(most).checked_ilog2().map_or(0, |n| 1 << n)
    }

    /// Gives a queue its ring and lets it run, with its interrupt.
    ///
    /// # Errors
    /// When the device refuses the ring or the interrupt.
    fn queue_start(&self, queue: u16, ring: &RingAddress) -> Result<(), Failure>;

    /// Tells the device that a queue has new chains. Callable from an interrupt handler.
    fn notify(&self, queue: u16);

    /// Connects the device's interrupts to a handler, once. They are lost in a reset and come back with
    /// [`VirtioTransport::arm`] and [`VirtioTransport::queue_start`].
    ///
    /// # Errors
    /// When the device has no interrupt that this kernel can use.
    fn connect(&self, name: &str, handler: Handler) -> Result<Interrupts, Failure>;

    /// Lets the device interrupt for configuration changes and for its own failure. After each reset.
    ///
    /// # Errors
    /// When the device refuses.
    fn arm(&self) -> Result<(), Failure>;

    /// Reads the device's configuration, byte by byte and all of one generation.
    ///
    /// # Errors
    /// When there is not that much, or it never stands still.
    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure>;

    /// Writes four bytes of the device's configuration at once; `offset` is a multiple of 4.
    ///
    /// # Errors
    /// When there is not that much.
    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure>;
}

/// Brings a device from reset to the point where its queues can be set up, and gives the features taken: those
/// of `wanted` that it offers.
///
/// # Errors
/// When the device cannot be reset, does not offer all of `needed`, or does not accept the choice.
pub fn negotiate(device: &dyn VirtioTransport, wanted: u64, needed: u64) -> Result<u64, Failure> {
    device.reset()?;
    device.set_status(ACKNOWLEDGE);
    device.set_status(ACKNOWLEDGE | DRIVER);
    let offered = device.offered();
    if offered & needed != needed {
        return Err(Failure::text(alloc::format!(
            "offers features {offered:#x}, without {:#x}",
            needed & !offered
        )));
    }
    let taken = offered & (wanted | needed | VERSION_1 | ACCESS_PLATFORM);
    device.accept(taken);
    if taken & VERSION_1 != 0 {
        device.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if device.status() & FEATURES_OK == 0 {
            return Err(Failure::text(alloc::format!("refuses features {taken:#x}")));
        }
    }
    device.arm()?;
    Ok(taken)
}

/// The last step: the device may use its queues.
///
/// # Errors
/// When the device says that it needs a reset already.
pub fn ready(device: &dyn VirtioTransport) -> Result<(), Failure> {
    device.set_status(device.status() | DRIVER_OK);
    match device.status() {
        s if s & NEEDS_RESET != 0 => Err(Failure::new("device needs a reset right after its start")),
        s if s & DRIVER_OK == 0 => Err(Failure::new("device does not start")),
        _ => Ok(()),
    }
}

/// The status when nobody is there to answer.
pub(crate) const GONE: u8 = 0xFF;
/// How long a device may take to reset, in nanoseconds. QEMU finishes what is in progress first.
const RESET_NS: u64 = if cfg!(test) { 50_000_000 } else { 2_000_000_000 };

/// Of one look at it counts no more than this.
const RESET_LOOK_NS: u64 = 1_000_000;

/// Waits until a device that has been told to reset says by its status that it is done.
pub(crate) fn await_reset(status: impl Fn() -> u8) -> Result<(), Failure> {
    // A device is not slow because the whole machine stood still.
    let mut patience = Patience::new(RESET_NS);
    loop {
        patience.nap(clock::now_ns().saturating_add(RESET_LOOK_NS));
        let status = status();
        if status == 0 {
            return Ok(());
        }
        if status == GONE || patience.is_over() {
            return Err(Failure::new("device does not finish its reset"));
        }
        core::hint::spin_loop();
    }
}

/// Waits until a PCI function that has been told to reset is done, and lets it start transfers again, with `bits` of
/// its command register. One that does not confirm cannot reach memory any more: it may start none.
fn await_pci_reset(command: &Command, bits: CommandRegister, status: impl Fn() -> u8) -> Result<(), Failure> {
    await_reset(status).inspect_err(|_| command.clear(CommandRegister::BUS_MASTER_ENABLE))?;
    command.set(bits | CommandRegister::BUS_MASTER_ENABLE);
    Ok(())
}

/// Starts a driver; a device of which the driver cannot make anything is left alone for good.
///
/// # Errors
/// What `start` says.
pub(crate) fn start<T>(
    transport: &dyn VirtioTransport,
    start: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    start().inspect_err(|_| give_up(transport))
}

/// Connects a driver's handler, and lets the device interrupt.
///
/// # Errors
/// When the device has no interrupt that this kernel can use, or refuses it.
pub(crate) fn connect<D: Send + Sync + 'static>(
    transport: &dyn VirtioTransport,
    name: &str,
    driver: &Arc<D>,
    interrupt: impl Fn(&D, Cause) + Send + Sync + 'static,
) -> Result<Interrupts, Failure> {
    let driver = driver.clone();
    let interrupts = transport.connect(name, Arc::new(move |cause| interrupt(&driver, cause)))?;
    transport.arm()?;
    Ok(interrupts)
}

/// Leaves a device alone for good, and tells it so.
pub(crate) fn give_up(transport: &dyn VirtioTransport) {
    // Whatever it was doing it must not do any longer; if it cannot even be reset it is cut off.
    let _ = transport.reset();
    transport.set_status(FAILED);
}

/// Wraps a handler of causes as one of an interrupt line.
pub(crate) fn on(cause: Cause, handler: &Handler) -> Box<dyn Fn() + Send + Sync> {
    let handler = handler.clone();
    Box::new(move || handler(cause))
}
