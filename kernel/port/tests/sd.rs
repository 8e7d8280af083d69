//! `#S` on a disk in memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use abi::{MREPL, ORDWR, OREAD, OTRUNC, OWRITE, error};
use io::{Disk, DiskError};
use machine::page::Pinned;
use port::call::sysfile::{bind, close, open, pread, pwrite};
use port::dev::sd::Sd;
use port::dev::sd::partitions::gpt;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

struct Ram {
    size: usize,
    sectors: AtomicU64,
    bytes: Mutex<Vec<u8>>,
    writable: bool,
    serial: &'static str,
    broken: AtomicBool,
    reads: AtomicU64,
    flushes: AtomicU64,
}

impl Ram {
    fn new(sectors: u64, size: usize) -> Ram {
        let bytes = (0..sectors as usize * size).map(|n| (n % 249) as u8).collect();
        Ram {
            size,
            sectors: AtomicU64::new(sectors),
            bytes: Mutex::new(bytes),
            writable: true,
            serial: "abc",
            broken: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
        }
    }

    fn start(&self, sector: u64, pins: &[Pinned]) -> core::result::Result<usize, DiskError> {
        let len: usize = pins.iter().map(Pinned::len).sum();
        assert!(len > 0 && len.is_multiple_of(self.size), "{len} bytes");
        if self.broken.load(SeqCst) || sector + (len / self.size) as u64 > self.sectors() {
            return Err(DiskError::Failed);
        }
        Ok(sector as usize * self.size)
    }
}

impl Disk for Ram {
    fn name(&self) -> String {
        "virtio-block-3".into()
    }

    fn serial(&self) -> String {
        self.serial.into()
    }

    fn sector_size(&self) -> u32 {
        self.size as u32
    }

    fn sectors(&self) -> u64 {
        self.sectors.load(SeqCst)
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn read(
        &self,
        sector: u64,
        to: Vec<Pinned>,
        _leave: &dyn Fn() -> bool,
    ) -> core::result::Result<(), DiskError> {
        self.reads.fetch_add(1, SeqCst);
        let mut at = self.start(sector, &to)?;
        for pin in &to {
            pin.write(0, &self.bytes.lock().unwrap()[at..at + pin.len()]);
            at += pin.len();
        }
        Ok(())
    }

    fn write(
        &self,
        sector: u64,
        from: Vec<Pinned>,
        _leave: &dyn Fn() -> bool,
    ) -> core::result::Result<(), DiskError> {
        let mut at = self.start(sector, &from)?;
        for pin in &from {
            let mut bytes = vec![0; pin.len()];
            pin.read(0, &mut bytes);
            self.bytes.lock().unwrap()[at..at + pin.len()].copy_from_slice(&bytes);
            at += pin.len();
        }
        Ok(())
    }

    fn flush(&self, _leave: &dyn Fn() -> bool) -> core::result::Result<(), DiskError> {
        self.flushes.fetch_add(1, SeqCst);
        Ok(())
    }
}

fn hosted(disks: &[Arc<Ram>]) -> Hosted {
    let disks = disks.iter().map(|d| d.clone() as Arc<dyn Disk>).collect();
    let t = Hosted::with(vec![Sd::new(disks)], vec![], &[]);
    bind(&t.up, "#S", "/dev", MREPL).unwrap();
    t
}

fn one(sectors: u64, size: usize) -> (Hosted, Arc<Ram>) {
    let disk = Arc::new(Ram::new(sectors, size));
    (hosted(std::slice::from_ref(&disk)), disk)
}

/// With a Plan 9 table of the whole disk: `a` is 10 to 20, `b` 20 to 40.
fn divided(size: usize) -> (Hosted, Arc<Ram>) {
    let disk = Ram::new(100, size);
    let table = b"part a 10 20\npart b 20 40\n\0";
    disk.bytes.lock().unwrap()[size..size + table.len()].copy_from_slice(table);
    let disk = Arc::new(disk);
    (hosted(std::slice::from_ref(&disk)), disk)
}

fn text(t: &Hosted, name: &str) -> String {
    String::from_utf8(t.read(name).unwrap()).unwrap()
}

fn fails(t: &Hosted, command: &str) -> String {
    t.write("/dev/sdF0/ctl", command.as_bytes()).unwrap_err().text().to_string()
}

#[test]
fn disks_are_directories_and_nothing_is_read_before_one_is_looked_into() {
    let (big, mut fixed) = (Ram::new(100, 512), Ram::new(8, 4096));
    fixed.writable = false;
    big.bytes.lock().unwrap()[..1024].fill(0);
    let disks = [Arc::new(big), Arc::new(fixed)];
    let t = hosted(&disks);
    assert_eq!(t.ls("/dev").unwrap(), ["sdctl", "sdF0", "sdF1"]);
    assert_eq!(text(&t, "/dev/sdctl"), "sdF0 virtio-block-3 100 512 rw\nsdF1 virtio-block-3 8 4096 ro\n");
    assert_eq!(disks[0].reads.load(SeqCst), 0);
    assert_eq!(t.ls("/dev/sdF0").unwrap(), ["ctl", "data"]);
    assert!(disks[0].reads.load(SeqCst) > 0 && disks[1].reads.load(SeqCst) == 0);
    assert_eq!(text(&t, "/dev/sdF1/ctl"), "inquiry virtio-block-3 abc\ngeometry 8 4096\npart data 0 8\n");
    let (data, fixed) = (t.stat("/dev/sdF0/data").unwrap(), t.stat("/dev/sdF1/data").unwrap());
    assert_eq!((data.length, data.mode, fixed.mode), (51200, 0o640, 0o440));
    assert!(open(&t.up, "/dev/sdF2/data", OREAD).is_err());
    for mode in [OWRITE, ORDWR, OREAD | OTRUNC] {
        assert!(open(&t.up, "/dev/sdF1/data", mode).unwrap_err().is(DiskError::Protected.text()));
    }
    assert!(open(&t.up, "/dev/sdF0/data", OWRITE | OTRUNC).is_ok());
}

#[test]
fn any_offset_and_any_length() {
    for size in [512, 4096] {
        let (t, disk) = divided(size);
        let fd = open(&t.up, "/dev/sdF0/b", ORDWR).unwrap();
        let (start, room) = (20 * size, 20 * size);
        for (offset, len) in
            [(0, size), (1, 1), (size - 1, 2), (7, 3 * size), (size, 5 * size + 3), (0, room), (room - 1, 1)]
        {
            let mut model = disk.bytes.lock().unwrap().clone();
            let mut got = vec![0; len];
            assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got), offset as i64).unwrap(), len);
            assert!(got == model[start + offset..][..len], "read of {len} at {offset}");
            let put: Vec<u8> = (0..len).map(|n| (n * 7 + offset) as u8).collect();
            assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&put), offset as i64).unwrap(), len);
            model[start + offset..][..len].copy_from_slice(&put);
            assert!(*disk.bytes.lock().unwrap() == model, "write of {len} at {offset}");
        }
        // At the end: cut there, then nothing, then an error.
        let mut got = vec![0; 100];
        assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got), room as i64 - 40).unwrap(), 40);
        assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got), room as i64).unwrap(), 0);
        assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got), i64::MAX).unwrap(), 0);
        let before = disk.bytes.lock().unwrap().clone();
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[1; 100]), room as i64 - 40).unwrap(), 40);
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[1; 100]), room as i64).unwrap_err().text(), error::EIO);
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[1; 100]), i64::MAX).unwrap_err().text(), error::EIO);
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[]), room as i64).unwrap(), 0);
        assert!(
            disk.bytes.lock().unwrap()[40 * size..] == before[40 * size..],
            "what is behind is another's"
        );
        // A disk that fails.
        disk.broken.store(true, SeqCst);
        assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got), 0).unwrap_err().text(), error::EIO);
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[1; 10]), 3).unwrap_err().text(), error::EIO);
    }
}

/// The host may call a disk what it likes.
#[test]
fn a_serial_is_one_word_of_its_line() {
    for (serial, shown) in [("", ""), ("it's\npart x 0 9", " 'it''s␊part x 0 9'")] {
        let mut disk = Ram::new(8, 512);
        disk.serial = serial;
        let t = hosted(&[Arc::new(disk)]);
        assert_eq!(
            text(&t, "/dev/sdF0/ctl"),
            format!("inquiry virtio-block-3{shown}\ngeometry 8 512\npart data 0 8\n")
        );
    }
}

#[test]
fn disks_are_switched_off_as_fshalt_does_it() {
    let (t, disk) = one(8, 512);
    let says = |message: &str| t.write("/dev/sdctl", message.as_bytes()).map_err(|e| e.text().to_string());
    assert_eq!(says("config spec F switch off\n"), Ok(25));
    assert_eq!(disk.flushes.load(SeqCst), 1);
    assert_eq!(says("config switch on spec F type virtio port 1"), Ok(42));
    assert_eq!(disk.flushes.load(SeqCst), 1);
    assert_eq!(t.ls("/dev/sdF0").unwrap(), ["ctl", "data"]);
    for (message, why) in [
        ("config spec C switch off", error::ENONEXIST),
        ("config spec F switch on", error::EBADARG),
        ("config spec F switch", error::EBADARG),
        ("config spec F", error::EBADARG),
        ("config spec FF switch off", error::EBADARG),
        ("config speed F switch off", error::EBADARG),
        ("format", error::EBADCTL),
    ] {
        assert_eq!(says(message), Err(why.to_string()), "{message}");
    }
}

#[test]
fn partitions_come_and_go_by_commands() {
    let (t, disk) = divided(512);
    let geometry = "inquiry virtio-block-3 abc\ngeometry 100 512\n";
    let all = "part data 0 100\npart a 10 20\npart b 20 40\n";
    assert_eq!(text(&t, "/dev/sdF0/ctl"), format!("{geometry}{all}"));
    t.write("/dev/sdF0/ctl", b"part new 5 100\n\ndelpart a\nflush\n").unwrap();
    assert_eq!(t.ls("/dev/sdF0").unwrap(), ["ctl", "data", "b", "new"]);
    assert_eq!((t.stat("/dev/sdF0/new").unwrap().length, disk.flushes.load(SeqCst)), (95 * 512, 1));
    t.write("/dev/sdF0/ctl", b"part new 5 100").unwrap();
    for (command, why) in [
        ("part new 6 100", error::EEXIST),
        ("part ctl 6 100", error::EEXIST),
        ("part x 6 101", error::ESECTORS),
        ("part x 6 6", error::ESECTORS),
        ("part x 7 6", error::ESECTORS),
        ("part x/y 6 7", error::EFILENAME),
        ("part 'x y' 6 7", error::EFILENAME),
        ("part x six 7", error::EBADARG),
        ("part x 6", error::ECMDARGS),
        ("delpart", error::ECMDARGS),
        ("delpart a", error::ENONEXIST),
        ("format", error::EBADCTL),
    ] {
        assert_eq!(fails(&t, command), why, "{command}");
    }
    let fd = open(&t.up, "/dev/sdF0/new", OREAD).unwrap();
    assert_eq!(fails(&t, "delpart new"), error::EINUSE);
    assert_eq!(fails(&t, "rescan"), error::EINUSE);
    close(&t.up, fd).unwrap();
    t.write("/dev/sdF0/ctl", b"delpart new").unwrap();
    t.write("/dev/sdF0/ctl", b"rescan").unwrap();
    assert_eq!(text(&t, "/dev/sdF0/ctl"), format!("{geometry}{all}"));
    t.write("/dev/sdF0/ctl", b"delpart data").unwrap();
    assert_eq!(t.ls("/dev/sdF0").unwrap(), ["ctl", "a", "b"]);
    t.write("/dev/sdF0/ctl", b"rescan").unwrap();
    assert_eq!(text(&t, "/dev/sdF0/ctl"), format!("{geometry}{all}"));
}

/// No call takes memory for all of them, nor for all words of a line (which the heap of tests sees to).
#[test]
fn as_many_disks_and_partitions_as_there_can_be() {
    let disks: Vec<Arc<Ram>> = (0..300).map(|_| Arc::new(Ram::new(8, 512))).collect();
    let t = hosted(&disks);
    assert_eq!(t.ls("/dev").unwrap().len(), 301);
    assert_eq!(text(&t, "/dev/sdctl").lines().count(), 300);
    t.stat("/dev/sdF299/data").unwrap();

    let (t, _) = one(1000, 512);
    t.stat("/dev/sdF0/data").unwrap();
    for n in 0..128 {
        let name = format!("a-name-that-is-nearly-as-long-as-it-may-be-for-a-partition-{n}");
        t.write("/dev/sdF0/ctl", format!("part {name} {n} {}", n + 1).as_bytes()).unwrap();
    }
    assert_eq!(t.ls("/dev/sdF0").unwrap().len(), 130);
    assert_eq!(text(&t, "/dev/sdF0/ctl").lines().count(), 131);
    assert_eq!(fails(&t, "part more 1 2"), error::ENODEV);
    assert_eq!(fails(&t, &"a ".repeat(4000)), error::ECMDARGS);
}

/// A GUID table with all the entries that there usually are, which are one after the other.
#[test]
fn a_table_of_128_partitions() {
    let disk = Ram::new(1000, 512);
    let named = |n| format!("{:-<36}", format!("partition-{n}"));
    {
        let mut bytes = disk.bytes.lock().unwrap();
        bytes.fill(0);
        bytes[450] = 0xEE;
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        let mut array = vec![0; 128 * 128];
        for (n, entry) in array.chunks_exact_mut(128).enumerate() {
            entry[0] = 77;
            entry[32..40].copy_from_slice(&(100 + n as u64).to_le_bytes());
            entry[40..48].copy_from_slice(&(100 + n as u64).to_le_bytes());
            for (at, unit) in named(n).encode_utf16().enumerate() {
                entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
            }
        }
        let sum = |bytes: &[u8]| gpt::crc32(bytes.iter().copied()).to_le_bytes();
        let mut header = vec![0; 92];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        header[24] = 1;
        header[40] = 40;
        header[48..56].copy_from_slice(&900u64.to_le_bytes());
        header[72] = 2;
        header[80] = 128;
        header[84] = 128;
        header[88..92].copy_from_slice(&sum(&array));
        let whole = sum(&header);
        header[16..20].copy_from_slice(&whole);
        bytes[512..512 + 92].copy_from_slice(&header);
        bytes[1024..1024 + array.len()].copy_from_slice(&array);
    }
    let t = hosted(&[Arc::new(disk)]);
    assert_eq!(t.ls("/dev/sdF0").unwrap().len(), 130);
    t.stat(&format!("/dev/sdF0/{}", named(127))).unwrap();
}

#[test]
fn the_size_may_change() {
    let (t, disk) = one(100, 512);
    assert_eq!(t.stat("/dev/sdF0/data").unwrap().length, 51200);
    disk.sectors.store(50, SeqCst);
    assert_eq!(t.stat("/dev/sdF0/data").unwrap().length, 25600);
    assert!(text(&t, "/dev/sdF0/ctl").ends_with("geometry 50 512\npart data 0 50\n"));
    assert_eq!(t.read("/dev/sdF0/data").unwrap().len(), 25600);
}

#[test]
fn what_is_wrong_with_a_table_is_told_once() {
    let disk = Ram::new(100, 512);
    disk.bytes.lock().unwrap()[512..540].copy_from_slice(b"part a 10 20\npart b 20 400\n\0");
    let disk = Arc::new(disk);
    let t = hosted(std::slice::from_ref(&disk));
    assert_eq!(t.ls("/dev/sdF0").unwrap(), ["ctl", "data", "a"]);
    t.ls("/dev/sdF0").unwrap();
    assert_eq!(t.screen.take().matches("sdF0: b: sectors 20 to 400 leave their partition").count(), 1);
}

#[test]
fn parts_of_one_sector_are_written_by_many() {
    let (t, disk) = one(4, 512);
    disk.bytes.lock().unwrap().fill(0);
    let writers: Vec<_> = (0..8u8)
        .map(|n| {
            t.start(move |up| {
                let fd = open(up, "/dev/sdF0/data", OWRITE).unwrap();
                for round in 0..100 {
                    let bytes = [n * 16 + round % 16; 60];
                    let at = 700 + i64::from(n) * 60;
                    assert_eq!(pwrite(up, fd, &Src::Kernel(&bytes), at).unwrap(), 60);
                }
            })
        })
        .collect();
    writers.iter().for_each(|(_, done)| done.wait());
    let bytes = disk.bytes.lock().unwrap();
    for n in 0..8usize {
        assert_eq!(bytes[700 + n * 60..][..60], [(n * 16 + 99 % 16) as u8; 60], "writer {n}");
    }
}
