//! The QEMU command line that makes a [machine](crate::Vm).
//!
//! QEMU's documents: qemu(1), docs/system/i386/microvm and hw/9pfs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use anyhow::{Result, ensure};

use crate::describe::{MODERN_SLOTS, Vm};
use crate::parts::{Accel, Board, Flavour, Serial};

/// Bytes of a kernel's command line for which QEMU's PVH loader has room. It keeps the beginning of a longer one, or,
/// with SeaBIOS, writes it over what it is to tell the kernel.
const MOST_WORDS: usize = 4096;

impl Vm {
    /// The processes' own view: program and arguments. Fails on a mount tag that QEMU or a mount line cannot take, if
    /// the archive does not fit into memory beside the kernel, and if the kernel's command line is too long.
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
        args.add(["-no-user-config"]);
        if !self.reboots {
            args.add(["-no-reboot"]);
        }
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
        self.check_words()?;
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

    /// Fails if the kernel's command line, or one of the further arguments in its place, is longer than what arrives.
    fn check_words(&self) -> Result<()> {
        if self.kernel.is_none() {
            return Ok(());
        }
        let ours = self.append.join(" ").len();
        let mut theirs = self.extra.windows(2).filter(|pair| pair[0] == "-append" || pair[0] == "--append");
        let len = theirs.next_back().map_or(ours, |pair| pair[1].len());
        ensure!(
            len <= MOST_WORDS,
            "the kernel's command line (-append) would have {len} bytes, and QEMU's loader takes {MOST_WORDS} at most"
        );
        Ok(())
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
    use crate::parts::Share;

    #[test]
    fn a_kernels_command_line_has_a_limit() {
        let vm =
            |words: usize| Vm::new(Board::Q35).kernel("k.elf").append("a=b").append("x".repeat(words - 4));
        assert!(vm(MOST_WORDS).command_line().is_ok());
        let why = vm(MOST_WORDS + 1).command_line().unwrap_err().to_string();
        assert!(why.contains("4097 bytes") && why.contains("4096 at most"), "{why}");
        // What is said behind everything else counts, as it does for QEMU.
        let long = "y".repeat(5000);
        assert!(vm(100).arg("-append").arg(&long).command_line().is_err());
        assert!(vm(MOST_WORDS + 1).arg("-append").arg("short=1").command_line().is_ok());
        assert!(Vm::new(Board::Q35).append(long).command_line().is_ok(), "without a kernel it is nobody's");
    }

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
