//! Machines whose configuration spaces `tests/fixtures/capture.py` has captured, in its format.

/// `pc` with SeaBIOS.
pub const PC: &str = include_str!("../../tests/fixtures/pc.txt");
/// `pc` with qboot, which gives no addresses.
pub const PC_QBOOT: &str = include_str!("../../tests/fixtures/pc-qboot.txt");
/// `q35` with SeaBIOS.
pub const Q35: &str = include_str!("../../tests/fixtures/q35.txt");
/// `q35` with root ports and a bridge behind one of them, with SeaBIOS.
pub const PORTS: &str = include_str!("../../tests/fixtures/q35-ports.txt");
/// The same with qboot, which numbers buses from the last bridge on.
pub const PORTS_QBOOT: &str = include_str!("../../tests/fixtures/q35-ports-qboot.txt");
/// `q35` with one device behind a root port.
pub const ROOT_PORT: &str = include_str!("../../tests/fixtures/root-port.txt");
/// The same with qboot.
pub const ROOT_PORT_QBOOT: &str = include_str!("../../tests/fixtures/root-port-qboot.txt");
/// `q35` with virtio devices that have no legacy interface.
pub const NO_LEGACY: &str = include_str!("../../tests/fixtures/disable-legacy.txt");
/// `q35` with virtio devices that have the legacy interface alone.
pub const NO_MODERN: &str = include_str!("../../tests/fixtures/disable-modern.txt");
/// `microvm,pcie=on`, which has no ports.
pub const MICROVM: &str = include_str!("../../tests/fixtures/microvm.txt");

/// `q35` with root buses 64 and 128, a root port on each, and a device behind each port.
pub const EXTRA_ROOTS: &str = include_str!("../../tests/fixtures/extra-roots.txt");

/// All of those with one root bus.
pub const ALL: [&str; 10] =
    [PC, PC_QBOOT, Q35, PORTS, PORTS_QBOOT, ROOT_PORT, ROOT_PORT_QBOOT, NO_LEGACY, NO_MODERN, MICROVM];
