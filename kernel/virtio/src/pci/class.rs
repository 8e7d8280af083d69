//! Short names for the class of a PCI function, as the `pci` command shows them.
//!
//! PCI Code and ID Assignment Specification, section 1.

/// The short name of a class: base class and subclass.
pub fn name(base: u8, sub: u8) -> &'static str {
    match (base, sub) {
        (0x00, 0x01) => "vid",
        (0x00, _) => "old",
        (0x01, 0x00) => "scsi",
        (0x01, 0x01) => "ide",
        (0x01, 0x05) => "ata",
        (0x01, 0x06) => "sata",
        (0x01, 0x08) => "nvme",
        (0x01, _) => "disk",
        (0x02, _) => "net",
        (0x03, _) => "vid",
        (0x04, 0x01 | 0x03) => "aud",
        (0x04, _) => "mm",
        (0x05, _) => "mem",
        (0x06, 0x00) => "host",
        (0x06, 0x01) => "isa",
        (0x06, _) => "brg",
        (0x07, _) => "comm",
        (0x08, _) => "base",
        (0x09, _) => "in",
        (0x0A, _) => "dock",
        (0x0B, _) => "cpu",
        (0x0C, 0x03) => "usb",
        (0x0C, 0x05) => "smb",
        (0x0C, _) => "ser",
        (0x0D, _) => "wifi",
        (0x0E, _) => "i2o",
        (0x0F, _) => "sat",
        (0x10, _) => "crypt",
        (0x11, _) => "sig",
        (0x12, _) => "accel",
        _ => "???",
    }
}
