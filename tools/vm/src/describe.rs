//! What a machine is made of.
//!
//! A description is plain data: nothing is started or looked up until [`Vm::command_line`] or `Vm::start`.
//! QEMU's documents: qemu(1), docs/system/i386/microvm, docs/system/devices/virtio-pmem and hw/9pfs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::parts::{Accel, Board, Flavour, Serial, Share};

/// A machine that has not been started.
#[derive(Clone, Debug)]
pub struct Vm {
    pub(crate) qemu: PathBuf,
    pub(crate) board: Board,
    pub(crate) board_options: Vec<String>,
    pub(crate) firmware: Option<PathBuf>,
    pub(crate) kernel: Option<PathBuf>,
    pub(crate) append: Vec<String>,
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) memory_mib: u32,
    pub(crate) smp: u32,
    pub(crate) accel: Accel,
    pub(crate) cpu: Option<String>,
    pub(crate) shares: Vec<Share>,
    pub(crate) debug_exit: bool,
    pub(crate) reboots: bool,
    pub(crate) default_devices: bool,
    pub(crate) serial: Serial,
    pub(crate) virtio_console: bool,
    pub(crate) display: Option<String>,
    pub(crate) qmp: bool,
    pub(crate) extra: Vec<OsString>,
}

impl Vm {
    /// A bare machine: no devices but the board's own, 256 MiB, one processor, translated. QEMU is
    /// `qemu-system-x86_64`, or what the environment variable `QEMU` names.
    pub fn new(board: Board) -> Vm {
        Vm {
            qemu: crate::qemu(),
            board,
            board_options: Vec::new(),
            firmware: None,
            kernel: None,
            append: Vec::new(),
            initrd: None,
            memory_mib: 256,
            smp: 1,
            accel: Accel::default(),
            cpu: None,
            shares: Vec::new(),
            debug_exit: false,
            reboots: false,
            default_devices: false,
            serial: Serial::default(),
            virtio_console: false,
            display: None,
            qmp: false,
            extra: Vec::new(),
        }
    }

    /// The board it was made with.
    pub fn board(&self) -> Board {
        self.board
    }

    /// Whether it starts with another firmware than the board's own.
    pub fn has_firmware(&self) -> bool {
        self.firmware.is_some()
    }

    /// An option of the board, as `acpi=off`.
    pub fn board_option(mut self, option: impl Into<String>) -> Vm {
        self.board_options.push(option.into());
        self
    }

    /// The same machine on another board, with all its virtio devices in one flavour: those on PCI become devices in
    /// memory slots on microvm, in the same order.
    pub fn on(mut self, board: Board, flavour: Flavour) -> Vm {
        self.board = board;
        for share in &mut self.shares {
            share.flavour = flavour;
        }
        let mut is_device = false;
        for arg in &mut self.extra {
            if is_device && let Some(device) = arg.to_str() {
                *arg = moved(device, board, flavour).into();
            }
            is_device = arg == "-device";
        }
        if board == Board::Microvm && flavour == Flavour::Modern && self.shares.is_empty() {
            self = self.arg("-global").arg(MODERN_SLOTS);
        }
        self
    }

    /// The folders that it sees.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The QEMU program itself, instead of `$QEMU` or `qemu-system-x86_64`.
    pub fn qemu(mut self, path: impl Into<PathBuf>) -> Vm {
        self.qemu = path.into();
        self
    }

    /// That program.
    pub fn program(&self) -> &Path {
        &self.qemu
    }

    /// The firmware image; QEMU looks for a plain name such as `qboot.rom` among its own.
    pub fn firmware(mut self, image: impl Into<PathBuf>) -> Vm {
        self.firmware = Some(image.into());
        self
    }

    /// The small firmware that starts a kernel tens of milliseconds sooner and leaves PCI devices unassigned.
    pub fn qboot(self) -> Vm {
        self.firmware("qboot.rom")
    }

    /// The kernel, an ELF file with a PVH note.
    pub fn kernel(mut self, path: impl Into<PathBuf>) -> Vm {
        self.kernel = Some(path.into());
        self
    }

    /// Words for the end of the kernel's command line, already quoted as the kernel wants them.
    pub fn append(mut self, words: impl Into<String>) -> Vm {
        self.append.push(words.into());
        self
    }

    /// The file that the firmware puts in memory beside the kernel.
    pub fn initrd(mut self, path: impl Into<PathBuf>) -> Vm {
        self.initrd = Some(path.into());
        self
    }

    /// The size of the memory, in MiB.
    pub fn memory_mib(mut self, size: u32) -> Vm {
        self.memory_mib = size;
        self
    }

    /// The number of processors.
    pub fn smp(mut self, count: u32) -> Vm {
        self.smp = count;
        self
    }

    /// How many processors it has.
    pub fn processors(&self) -> u32 {
        self.smp
    }

    /// What executes the guest.
    pub fn accel(mut self, accel: Accel) -> Vm {
        self.accel = accel;
        self
    }

    /// The processor's model (`max`, `qemu64,-smap`...); unsaid, it is QEMU's own choice, or `host` under KVM.
    pub fn cpu(mut self, model: impl Into<String>) -> Vm {
        self.cpu = Some(model.into());
        self
    }

    /// One more folder of the host. Devices come in the order in which this is called.
    pub fn share(mut self, share: Share) -> Vm {
        self.shares.push(share);
        self
    }

    /// A device through which the guest ends QEMU with an exit status: value `v` written to port 0xF4 gives `2v + 1`.
    pub fn debug_exit(mut self) -> Vm {
        self.debug_exit = true;
        self
    }

    /// A reset starts it again, where it ends QEMU otherwise.
    pub fn reboots(mut self) -> Vm {
        self.reboots = true;
        self
    }

    /// Adds the devices that QEMU gives a machine when nothing is said: a screen, a network card, a CD drive...
    pub fn default_devices(mut self) -> Vm {
        self.default_devices = true;
        self
    }

    /// Where the serial line goes.
    pub fn serial(mut self, serial: Serial) -> Vm {
        self.serial = serial;
        self
    }

    /// Has no serial line: what would be its other end is that of a virtio console's first port, and the kernel is
    /// told. The device comes behind the shares and before what [`Vm::arg`] adds later.
    pub fn virtio_console(mut self) -> Vm {
        self.virtio_console = true;
        let model = moved("virtio-serial-pci", self.board, Flavour::Transitional);
        let device = ["-device", &model, "-device", "virtconsole,chardev=console"];
        self.extra.extend(device.map(OsString::from));
        self.append("console=virtio")
    }

    /// One more network card, behind all devices so far, and what it is connected to: the words of QEMU's `-netdev` but
    /// for the `id`. Without an address it has QEMU's usual one.
    pub fn network(mut self, backend: &str, mac: Option<&str>) -> Vm {
        let id = format!("net{}", self.extra.iter().filter(|arg| *arg == "-netdev").count());
        let (kind, rest) =
            backend.split_once(',').map_or((backend, String::new()), |(k, r)| (k, format!(",{r}")));
        let mac = mac.map_or(String::new(), |mac| format!(",mac={mac}"));
        // Without a ROM, in which the firmware would look for something to boot.
        let device = format!("virtio-net-pci,netdev={id}{mac},romfile=");
        let device = if self.board == Board::Microvm {
            moved(&device, self.board, Flavour::Transitional)
        } else {
            device
        };
        self.extra.extend(["-netdev".into(), format!("{kind},id={id}{rest}").into()]);
        self.extra.extend(["-device".into(), device.into()]);
        self
    }

    /// Adds a VGA and shows its picture as QEMU's `-display` says: `gtk`, `vnc=:1`, or `none` for nobody but a
    /// screendump.
    pub fn display(mut self, display: impl Into<String>) -> Vm {
        self.display = Some(display.into());
        self
    }

    /// Lets the program talk to QEMU itself while the guest runs: see `Guest::qmp`.
    pub fn with_qmp(mut self) -> Vm {
        self.qmp = true;
        self
    }

    /// Any other argument of QEMU, passed on as it is after all the others.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Vm {
        self.extra.push(arg.into());
        self
    }
}

/// Makes the slots of microvm speak virtio 1.
pub(crate) const MODERN_SLOTS: &str = "virtio-mmio.force-legacy=false";

/// A virtio device, as `-device` has it, for a board; other devices stay as they are.
fn moved(device: &str, board: Board, flavour: Flavour) -> String {
    let (model, properties) = device.split_once(',').map_or((device, ""), |(m, p)| (m, p));
    let class =
        model.strip_prefix("virtio-").and_then(|m| m.strip_suffix("-pci").or(m.strip_suffix("-device")));
    let Some(class) = class else { return device.into() };
    let of_pci = |p: &&str| ["disable-", "addr=", "vectors=", "romfile="].iter().any(|of| p.starts_with(of));
    let mut words = vec![if board == Board::Microvm {
        format!("virtio-{class}-device")
    } else {
        format!("virtio-{class}-pci")
    }];
    words.extend(properties.split(',').filter(|p| !p.is_empty() && !of_pci(p)).map(String::from));
    match flavour {
        _ if board == Board::Microvm => {}
        Flavour::Transitional => {}
        Flavour::Modern => words.push("disable-legacy=on".into()),
        Flavour::Legacy => words.push("disable-modern=on".into()),
    }
    words.join(",")
}
