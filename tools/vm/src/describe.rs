//! What a machine is made of, and the QEMU command line that says so.
//!
//! A description is plain data: nothing is started or looked up until [`Vm::command_line`] or `Vm::start`.
//! QEMU's documents: qemu(1), docs/system/i386/microvm, docs/system/devices/virtio-pmem and hw/9pfs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::parts::{Accel, Board, Flavour, Serial, Share};

/// A machine that has not been started.
#[derive(Clone, Debug)]
pub struct Vm {
    qemu: PathBuf,
    board: Board,
    board_options: Vec<String>,
    firmware: Option<PathBuf>,
    kernel: Option<PathBuf>,
    append: Vec<String>,
    initrd: Option<PathBuf>,
    memory_mib: u32,
    smp: u32,
    accel: Accel,
    cpu: Option<String>,
    shares: Vec<Share>,
    debug_exit: bool,
    default_devices: bool,
    serial: Serial,
    virtio_console: bool,
    display: Option<String>,
    pub(crate) qmp: bool,
    extra: Vec<OsString>,
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

    /// The processes' own view: program and arguments. Fails on a mount tag that QEMU or a mount line cannot take, and
    /// if the archive does not fit into memory beside the kernel.
    pub fn command_line(&self) -> Result<Vec<OsString>> {
        if let (Some(kernel), Some(archive)) = (&self.kernel, &self.initrd) {
            crate::fits::check(kernel, archive, self.memory_mib)?;
        }
        let kvm = match self.accel {
            Accel::Tcg => false,
            Accel::Kvm => true,
            Accel::Auto => crate::kvm_works(),
        };
        let mut args = Args(vec![self.qemu.clone().into()]);
        args.add(["-accel", if kvm { "kvm" } else { "tcg" }]);
        let options = self.board_options.iter().map(|o| format!(",{o}"));
        args.add(["-M", &format!("{}{}", self.board.name(), options.collect::<String>())]);
        match &self.cpu {
            Some(model) => args.add(["-cpu", model]),
            None if kvm => args.add(["-cpu", "host"]),
            None => {}
        }
        args.add(["-m", &self.memory_mib.to_string()]);
        args.add(["-smp", &self.smp.to_string()]);
        if !self.default_devices {
            args.add(["-nodefaults"]);
        }
        args.add(["-no-user-config", "-no-reboot"]);
        args.add(["-display", self.display.as_deref().unwrap_or("none")]);
        if self.display.is_some() {
            ensure!(self.board != Board::Microvm, "microvm has no screen");
            args.add(["-vga", "std"]);
        }
        match (self.virtio_console, self.serial) {
            (false, Serial::Stdio) => args.add(["-serial", "stdio"]),
            (false, Serial::StdioAndMonitor) => args.add(["-serial", "mon:stdio"]),
            (true, serial) => {
                args.add(["-serial", "none"]);
                let shared = serial == Serial::StdioAndMonitor;
                let mux = if shared { ",mux=on" } else { "" };
                args.add(["-chardev", &format!("stdio,id=console,signal=off{mux}")]);
                if shared {
                    args.add(["-mon", "chardev=console"]);
                }
            }
        }
        if let Some(image) = &self.firmware {
            args.add(["-bios".into(), OsString::from(image)]);
        }
        if let Some(kernel) = &self.kernel {
            args.add(["-kernel".into(), OsString::from(kernel)]);
        }
        if !self.append.is_empty() {
            args.add(["-append", &self.append.join(" ")]);
        }
        if let Some(initrd) = &self.initrd {
            args.add(["-initrd".into(), OsString::from(initrd)]);
        }
        if self.debug_exit {
            args.add(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        }
        self.add_shares(&mut args)?;
        args.0.extend(self.extra.iter().cloned());
        Ok(args.0)
    }

    fn add_shares(&self, args: &mut Args) -> Result<()> {
        if self.board == Board::Microvm && self.shares.iter().any(|s| s.flavour == Flavour::Modern) {
            ensure!(
                self.shares.iter().all(|s| s.flavour == Flavour::Modern),
                "on microvm all devices are of one virtio version"
            );
            args.add(["-global", MODERN_SLOTS]);
        }
        for (n, share) in self.shares.iter().enumerate() {
            let tag = &share.tag;
            ensure!(
                (1..=31).contains(&tag.len()) && !tag.contains([',', ':', ' ']),
                "mount tag '{tag}': 1 to 31 bytes without comma, colon and blank"
            );
            // In an option list a comma is written twice.
            let mut option =
                format!("local,id=share{n},security_model=none,multidevs=remap,path=").into_bytes();
            for &byte in share.path.as_os_str().as_bytes() {
                option.extend(std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
            }
            if share.readonly {
                option.extend(b",readonly=on");
            }
            args.add(["-fsdev".into(), OsString::from_vec(option)]);
            let (model, flavour) = match (self.board, share.flavour) {
                (Board::Microvm, _) => ("virtio-9p-device", ""),
                (_, Flavour::Transitional) => ("virtio-9p-pci", ""),
                (_, Flavour::Modern) => ("virtio-9p-pci", ",disable-legacy=on"),
                (_, Flavour::Legacy) => ("virtio-9p-pci", ",disable-modern=on"),
            };
            args.add(["-device", &format!("{model},fsdev=share{n},mount_tag={tag}{flavour}")]);
        }
        Ok(())
    }
}

/// Makes the slots of microvm speak virtio 1.
const MODERN_SLOTS: &str = "virtio-mmio.force-legacy=false";

/// A virtio device, as `-device` has it, for a board; other devices stay as they are.
fn moved(device: &str, board: Board, flavour: Flavour) -> String {
    let (model, properties) = device.split_once(',').map_or((device, ""), |(m, p)| (m, p));
    let class =
        model.strip_prefix("virtio-").and_then(|m| m.strip_suffix("-pci").or(m.strip_suffix("-device")));
    let Some(class) = class else { return device.into() };
    let of_pci = |p: &&str| p.starts_with("disable-") || p.starts_with("addr=") || p.starts_with("vectors=");
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

/// A growing argument list.
struct Args(Vec<OsString>);

impl Args {
    fn add<T: Into<OsString>, const N: usize>(&mut self, args: [T; N]) {
        self.0.extend(args.into_iter().map(Into::into));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(vm: &Vm) -> String {
        let args: Vec<_> =
            vm.command_line().unwrap().iter().map(|a| a.to_str().unwrap().to_owned()).collect();
        args.join(" ")
    }

    #[test]
    fn a_full_machine() {
        let vm = Vm::new(Board::Q35)
            .qemu("qemu")
            .qboot()
            .kernel("k.elf")
            .append("a=b")
            .append("init='echo x'")
            .initrd("r.tar")
            .memory_mib(64)
            .smp(2)
            .debug_exit()
            .share(Share::new("host", "/a,b").readonly())
            .share(Share::new("two", "/c").flavour(Flavour::Modern))
            .arg("-s");
        assert_eq!(
            text(&vm),
            "qemu -accel tcg -M q35 -m 64 -smp 2 -nodefaults -no-user-config -no-reboot -display none \
             -serial stdio -bios qboot.rom -kernel k.elf -append a=b init='echo x' -initrd r.tar \
             -device isa-debug-exit,iobase=0xf4,iosize=4 \
             -fsdev local,id=share0,security_model=none,multidevs=remap,path=/a,,b,readonly=on \
             -device virtio-9p-pci,fsdev=share0,mount_tag=host \
             -fsdev local,id=share1,security_model=none,multidevs=remap,path=/c \
             -device virtio-9p-pci,fsdev=share1,mount_tag=two,disable-legacy=on -s"
        );
    }

    #[test]
    fn microvm_has_one_virtio_version() {
        let modern = Share::new("a", "/").flavour(Flavour::Modern);
        let vm = Vm::new(Board::Microvm).share(modern);
        assert!(text(&vm).contains("-global virtio-mmio.force-legacy=false"));
        assert!(text(&vm).contains("-device virtio-9p-device,fsdev=share0,mount_tag=a"));
        assert!(vm.share(Share::new("b", "/").flavour(Flavour::Legacy)).command_line().is_err());
    }

    #[test]
    fn a_machine_moves_with_its_devices() {
        let vm = Vm::new(Board::Q35)
            .share(Share::new("a", "/"))
            .arg("-device")
            .arg("virtio-serial-pci,max_ports=4,disable-legacy=on")
            .arg("-device")
            .arg("virtconsole,chardev=c");
        let there = text(&vm.clone().on(Board::Microvm, Flavour::Modern).board_option("acpi=off"));
        for part in [
            "-M microvm,acpi=off ",
            "-device virtio-9p-device,fsdev=share0,mount_tag=a ",
            "-device virtio-serial-device,max_ports=4 ",
            "-device virtconsole,chardev=c",
            "-global virtio-mmio.force-legacy=false",
        ] {
            assert!(there.contains(part), "{part}: {there}");
        }
        let back = text(&vm.on(Board::Microvm, Flavour::Legacy).on(Board::Pc, Flavour::Legacy));
        assert!(back.contains("-M pc ") && back.contains("mount_tag=a,disable-modern=on"), "{back}");
        assert!(back.contains("-device virtio-serial-pci,max_ports=4,disable-modern=on"), "{back}");
        let bare = text(&Vm::new(Board::Pc).on(Board::Microvm, Flavour::Modern));
        assert_eq!(bare.matches(MODERN_SLOTS).count(), 1);
    }

    #[test]
    fn a_virtio_console_takes_the_serial_lines_place() {
        let vm = Vm::new(Board::Q35).virtio_console().append("a=b");
        let line = text(&vm);
        for part in [
            "-serial none -chardev stdio,id=console,signal=off ",
            "-append console=virtio a=b",
            "-device virtio-serial-pci -device virtconsole,chardev=console",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let line = text(&vm.on(Board::Microvm, Flavour::Legacy).serial(Serial::StdioAndMonitor));
        assert!(line.contains("mux=on -mon chardev=console"), "{line}");
        assert!(line.contains("-device virtio-serial-device -device virtconsole"), "{line}");
    }

    #[test]
    fn bad_tags_are_refused() {
        for tag in ["", "a:b", "a,b", "a b", "0123456789012345678901234567890123456789"] {
            assert!(Vm::new(Board::Pc).share(Share::new(tag, "/")).command_line().is_err(), "{tag}");
        }
    }
}
