//! The parts that a description is made of: plain data, each with its name or its choices.

use std::path::{Path, PathBuf};

/// The kinds of PC that QEMU makes and Elwood boots on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// i440FX and PIIX3: PCI through ports 0xCF8 and 0xCFC.
    Pc,
    /// Q35 and ICH9: PCI Express with ECAM.
    Q35,
    /// No PCI, virtio over mmio slots, qboot as firmware.
    Microvm,
}

impl Board {
    /// QEMU's name for it, as `-M` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Board::Pc => "pc",
            Board::Q35 => "q35",
            Board::Microvm => "microvm",
        }
    }
}

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// QEMU's translator: works everywhere, the choice for tests.
    #[default]
    Tcg,
    /// The host's KVM.
    Kvm,
    /// KVM where [`crate::kvm_works`] says so, the translator elsewhere.
    Auto,
}

/// Which driver interface a virtio device offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Both of them on PCI (`virtio-9p-pci` as it comes); on microvm what QEMU has by default, which is version 1.
    #[default]
    Transitional,
    /// Virtio 1 only: `disable-legacy=on` on PCI, version 2 of the registers on microvm.
    Modern,
    /// Before virtio 1: `disable-modern=on` on PCI, version 1 of the registers on microvm.
    Legacy,
}

/// A folder of the host that the guest sees through virtio-9p.
#[derive(Clone, Debug)]
pub struct Share {
    pub(crate) tag: String,
    pub(crate) path: PathBuf,
    pub(crate) readonly: bool,
    pub(crate) flavour: Flavour,
}

impl Share {
    /// The folder `path` under the mount tag `tag` (1 to 31 bytes), writable.
    pub fn new(tag: impl Into<String>, path: impl Into<PathBuf>) -> Share {
        Share { tag: tag.into(), path: path.into(), readonly: false, flavour: Flavour::default() }
    }

    /// The same device for another folder.
    pub fn at(mut self, path: impl Into<PathBuf>) -> Share {
        self.path = path.into();
        self
    }

    /// Makes every change fail with `read-only file system`.
    pub fn readonly(mut self) -> Share {
        self.readonly = true;
        self
    }

    /// Chooses the driver interface of the device.
    pub fn flavour(mut self, flavour: Flavour) -> Share {
        self.flavour = flavour;
        self
    }

    /// The mount tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The folder on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the guest's first serial line goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serial {
    /// QEMU's standard input and output, bytes as they are: what [`Vm::start`](crate::Vm::start) uses.
    #[default]
    Stdio,
    /// The same, shared with QEMU's monitor: `ctrl-a x` ends QEMU, `ctrl-a c` changes between the two.
    StdioAndMonitor,
}
