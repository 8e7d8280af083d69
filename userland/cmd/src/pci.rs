//! The `ctl` files of PCI functions: `class.sub.if vendor/device interrupt bar:address size ...`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Whether it is `vendor/device`, as [`Function::id`] has it.
pub fn is_id(text: &str) -> bool {
    let number = |text: &str| text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.split_once('/').is_some_and(|(vendor, device)| number(vendor) && number(device))
}

/// One function. Functions order by address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Bus, device, function.
    pub address: (u32, u32, u32),
    /// `class.sub.if` in hex.
    pub class: String,
    /// `vendor/device` in hex.
    pub id: String,
    /// The rest of the line: the interrupt, base registers.
    pub rest: Vec<String>,
}

impl Function {
    /// From the file's name without `ctl` (`0.4.0`) and the first line of its contents.
    pub fn parse(name: &str, text: &str) -> Option<Function> {
        let mut parts = name.split('.').map(|n| n.parse().ok());
        let mut part = || parts.next().flatten();
        let address = (part()?, part()?, part()?);
        let mut words = text.lines().next()?.split_whitespace().map(String::from);
        Some(Function { address, class: words.next()?, id: words.next()?, rest: words.collect() })
    }

    /// The line that is printed.
    pub fn line(&self) -> String {
        let (bus, device, function) = self.address;
        let place = format!("{bus}.{device}.{function}:");
        let (interrupt, bars) = self.rest.split_first().map_or(("", &[][..]), |(i, b)| (i.as_str(), b));
        let line = format!(
            "{place:<8} {:<4} {} {} {interrupt:>3} {}",
            self.kind(),
            self.class,
            self.id,
            bars.join(" ")
        );
        String::from(line.trim_end())
    }

    /// Whether it leads to another bus or to the processor.
    pub fn is_bridge(&self) -> bool {
        self.class.starts_with("06")
    }

    /// The four letters Plan 9 has for a class.
    fn kind(&self) -> &'static str {
        match self.class.get(..2).unwrap_or("") {
            "01" => "disk",
            "02" => "net",
            "03" => "vid",
            "04" => "mult",
            "05" => "mem",
            "06" => "brg",
            "07" => "comm",
            "08" => "base",
            "09" => "inp",
            "0a" => "dock",
            "0b" => "cpu",
            "0c" => "usb",
            _ => "misc",
        }
    }

    /// What the device is called, as far as QEMU's machines have it.
    pub fn name(&self) -> String {
        let known = match self.id.to_ascii_lowercase().as_str() {
            "8086/1237" => "Intel 440FX host bridge",
            "8086/7000" => "Intel PIIX3 ISA bridge",
            "8086/7010" => "Intel PIIX3 IDE",
            "8086/7113" => "Intel PIIX4 power management",
            "8086/29c0" => "Intel Q35 host bridge",
            "8086/2918" => "Intel ICH9 LPC bridge",
            "8086/2922" => "Intel ICH9 AHCI",
            "8086/2930" => "Intel ICH9 SMBus",
            "8086/100e" => "Intel 82540EM ethernet",
            "8086/10d3" => "Intel 82574L ethernet",
            "1234/1111" => "QEMU VGA",
            "1af4/1000" | "1af4/1041" => "virtio net",
            "1af4/1001" | "1af4/1042" => "virtio block",
            "1af4/1002" | "1af4/1045" => "virtio balloon",
            "1af4/1003" | "1af4/1043" => "virtio console",
            "1af4/1004" | "1af4/1048" => "virtio scsi",
            "1af4/1005" | "1af4/1044" => "virtio rng",
            "1af4/1009" | "1af4/1049" => "virtio 9p",
            "1af4/1050" => "virtio gpu",
            "1af4/1052" => "virtio input",
            "1b36/0001" => "QEMU PCI bridge",
            "1b36/000c" => "QEMU PCIe root port",
            "1b36/000d" => "QEMU xHCI",
            _ => return format!("{} {}", self.kind(), self.id),
        };
        known.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let f =
            Function::parse("0.4.0", "00.02.00 1af4/1009  11 0:0000c001 64 1:febd1000 4096\nmore\n").unwrap();
        assert_eq!(f.line(), "0.4.0:   misc 00.02.00 1af4/1009  11 0:0000c001 64 1:febd1000 4096");
        assert_eq!(f.name(), "virtio 9p");
        let g = Function::parse("0.10.0", "06.00.00 8086/1237 0").unwrap();
        assert_eq!(g.line(), "0.10.0:  brg  06.00.00 8086/1237   0");
        assert!(f < g);
        assert_eq!(Function::parse("x", "06.00.00 8086/1237 0"), None);
        assert_eq!(Function::parse("0.1.0", ""), None);
    }
}
