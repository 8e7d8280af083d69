//! Who may open which file of which device: the pages of section 3 say it, the devices show it, and it is kept. And two
//! users of the machine cannot touch what belongs to the other.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "virtcon/port.rs"]
mod port_of_test;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use abi::{Dir, MCREATE, MREPL, ORDWR, OREAD, OTRUNC, OWRITE, error};
use io::pci::{Address, Function};
use io::{Disk, DiskError, PciBus, Serial};
use machine::page::Pinned;
use port::Proc;
use port::call::sysfile::{bind, close, create, open, pipe, pwrite, remove, stat, wstat};
use port::dev::cap::Cap;
use port::dev::ether::{EtherDev, card};
use port::dev::ip::Ip;
use port::dev::kprof::Kprof;
use port::dev::mouse::Mouse;
use port::dev::pci::PciDev;
use port::dev::ram::RamDev;
use port::dev::rtc::Rtc;
use port::dev::sd::Sd;
use port::dev::shr::Shr;
use port::dev::tls::Tls;
use port::dev::uart::Uart;
use port::dev::virtcon::VirtCon;
use port::mem::iobuf::Src;
use port::testkit::Hosted;
use port::testkit::wire::{Faults, wire};

use port_of_test::{Fake, finder};

struct Bus;

impl PciBus for Bus {
    fn nth(&self, n: usize) -> Option<Function> {
        let at = Address { bus: 0, device: 3, function: 0 };
        let bars = [None; 6];
        let f = Function { at, class: [1, 6, 1], vendor: 0x8086, device: 0x2922, irq: 10, bars };
        (n == 0).then_some(f)
    }
    fn find(&self, at: Address) -> Option<Function> {
        self.nth(0).filter(|f| f.at == at)
    }
    fn config_size(&self, _: Address) -> usize {
        256
    }
    fn read_config(&self, _: Address, _: usize) -> u8 {
        0
    }
    fn write_config(&self, _: Address, _: usize, _: &[u8]) {}
}

struct Line;

impl Serial for Line {
    fn write(&self, _: &[u8]) {}
    fn set_receiver(&self, _: Box<dyn Fn(&[u8]) + Send + Sync>) {}
    fn baud(&self) -> u32 {
        115_200
    }
}

/// A disk of zeros.
struct Zeros;

impl Disk for Zeros {
    fn name(&self) -> String {
        "virtio-block-0".into()
    }
    fn serial(&self) -> String {
        String::new()
    }
    fn sector_size(&self) -> u32 {
        512
    }
    fn sectors(&self) -> u64 {
        64
    }
    fn writable(&self) -> bool {
        true
    }
    fn read(&self, _: u64, to: Vec<Pinned>, _: &dyn Fn() -> bool) -> Result<(), DiskError> {
        to.iter().for_each(|p| p.write(0, &vec![0; p.len()]));
        Ok(())
    }
    fn write(&self, _: u64, _: Vec<Pinned>, _: &dyn Fn() -> bool) -> Result<(), DiskError> {
        Ok(())
    }
    fn flush(&self, _: &dyn Fn() -> bool) -> Result<(), DiskError> {
        Ok(())
    }
}

/// A machine with all devices, which belongs to `glenda`.
fn machine() -> Hosted {
    let mut port = Fake::there(3, false);
    let (a, b) = wire(Faults::default());
    port.label = Some("chat");
    let t = Hosted::with(
        vec![
            PciDev::new(Arc::new(Bus)),
            Uart::new(vec![(Arc::new(Line), None)]),
            Mouse::new(Some(true)),
            Sd::new(vec![Arc::new(Zeros)]),
            EtherDev::new(&card::cards(vec![a, b])),
            VirtCon::new(finder(&[Arc::new(port)]), None),
            RamDev::new(1 << 20),
            Kprof::new('K'),
            Cap::new(),
            Rtc::new(),
            Ip::new(vec![]).unwrap(),
            Tls::new(),
            Shr::new(),
        ],
        vec![],
        &[],
    );
    for name in ["mtags", "virtio", "virtiostat"] {
        t.hardware.add(name, 0o444, Box::new(|_| Ok(())));
    }
    // A conversation, so that it has files.
    open(&t.up, "#I/tcp/clone", ORDWR).unwrap();
    open(&t.up, "#a/tls/clone", ORDWR).unwrap();
    bind(&t.up, "#p", "/proc", MREPL).unwrap();
    bind(&t.up, "#s", "/srv", MREPL | MCREATE).unwrap();
    bind(&t.up, "#R", "/tmp", MREPL | MCREATE).unwrap();
    // A conversation is there as long as it is open.
    open(&t.up, "#l0/ether0/clone", ORDWR).unwrap();
    t
}

/// A process of this user.
fn process_of(t: &Hosted, user: &str) -> Arc<Proc> {
    let p = t.process();
    *p.user.lock() = user.into();
    p.noteid.store(p.pid, std::sync::atomic::Ordering::Relaxed);
    p
}

/// The pages whose files have permissions that do not change, and the devices.
const PAGES: [(&str, &str); 14] = [
    ("arch", "#P"),
    ("cap", "#¤"),
    ("cons", "#c"),
    ("ether", "#l"),
    ("ip", "#I"),
    ("kprof", "#K"),
    ("mouse", "#m"),
    ("pipe", "#|"),
    ("pnp", "#$"),
    ("rtc", "#r"),
    ("sd", "#S"),
    ("tls", "#a"),
    ("uart", "#t"),
    ("virtcon", "#C"),
];

/// What a page of section 3 says: for each name, in which `*` stands for any part and `?` for a letter, its
/// permissions.
fn said(page: &str) -> BTreeMap<String, u32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sys/man/3").join(page);
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("\nPERMISSIONS\n").nth(1).unwrap_or_else(|| panic!("{page} says nothing"));
    let (mut out, mut mode) = (BTreeMap::new(), None);
    for line in section.lines().take_while(|l| l.is_empty() || l.starts_with('\t')) {
        let names = match line.trim().split_once("  ") {
            Some((octal, names)) if octal.len() == 4 && octal.starts_with('0') => {
                mode = Some(u32::from_str_radix(octal, 8).unwrap());
                names
            }
            _ => line.trim(),
        };
        let Some(mode) = mode else { continue };
        for name in names.split([',', ' ']).filter(|n| !n.is_empty()) {
            assert_eq!(out.insert(name.to_string(), mode), None, "{page} says {name} twice");
        }
    }
    out
}

/// Whether a pattern means this name. Its stars do not reach over slashes.
fn means(pattern: &str, name: &str) -> bool {
    let (Some(p), n) = (pattern.chars().next(), name.chars().next()) else { return name.is_empty() };
    let rest = &pattern[p.len_utf8()..];
    match (p, n) {
        ('*', Some(c)) if c != '/' => means(rest, name) || means(pattern, &name[c.len_utf8()..]),
        ('*', _) => means(rest, name),
        ('?', Some(c)) if c != '/' => means(rest, &name[c.len_utf8()..]),
        (p, Some(c)) => p == c && means(rest, &name[c.len_utf8()..]),
        (_, None) => false,
    }
}

/// All files below the root of a device, by their names from there.
fn all(t: &Hosted, root: &str) -> Vec<(String, Dir)> {
    let (mut found, mut next) = (Vec::new(), vec![String::new()]);
    while let Some(dir) = next.pop() {
        for entry in t.dirs(&format!("{root}/{dir}")).unwrap() {
            let name = if dir.is_empty() { entry.name.clone() } else { format!("{dir}/{}", entry.name) };
            if entry.is_dir() {
                next.push(name.clone());
            }
            found.push((name, entry));
        }
    }
    found
}

#[test]
fn every_file_has_the_mode_and_the_owner_of_its_page() {
    let t = machine();
    let mut wrong = Vec::new();
    for (page, device) in PAGES {
        let said = said(page);
        let files = all(&t, device);
        for (name, dir) in &files {
            // The pattern that says most about it.
            let found = said.iter().filter(|(p, _)| means(p, name)).max_by_key(|(p, _)| p.len());
            let mode = dir.mode & 0o777;
            if found.map(|(_, mode)| *mode) != Some(mode) || dir.uid != "glenda" || dir.gid != "glenda" {
                wrong.push(format!("{device}/{name} has {mode:04o} of {}, the page says {found:?}", dir.uid));
            }
        }
        for pattern in said.keys() {
            if !files.iter().any(|(name, _)| means(pattern, name)) {
                wrong.push(format!("{page} says {pattern}, and there is no such file"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What files have that are made by processes or are processes: their pages say whose they are, and `.` stands for the
/// directory itself.
#[test]
fn what_processes_make_has_the_mode_and_the_owner_of_its_page() {
    let t = machine();
    let bob = process_of(&t, "bob");
    let check = |page: &str, dir: &Dir, name: &str, owner: &str| {
        let said = said(page);
        let found = said.iter().filter(|(p, _)| means(p, name)).max_by_key(|(p, _)| p.len());
        let shown = (dir.mode & 0o777, dir.uid.as_str());
        assert_eq!(Some(shown), found.map(|(_, mode)| (*mode, owner)), "{name} of {page}");
    };
    let record = |path: &str| Dir::parse(&stat(&bob, path).unwrap()).unwrap().0;
    for (page, device) in [
        ("env", "#e"),
        ("dup", "#d"),
        ("srv", "#s"),
        ("shr", "#σc"),
        ("ram", "#R"),
        ("root", "#/"),
        ("proc", "#p"),
    ] {
        check(page, &record(device), ".", "glenda");
    }
    close(&bob, create(&bob, "#e/variable", OWRITE, 0o600).unwrap()).unwrap();
    check("env", &record("#e/variable"), "variable", "glenda");
    for (mode, perm) in [(OREAD, 0o400), (OWRITE, 0o200), (ORDWR, 0o600)] {
        let fd = open(&bob, "#c/null", mode).unwrap();
        let dir = record(&format!("#d/{fd}"));
        assert_eq!((dir.mode, dir.uid.as_str()), (perm, "bob"));
        check("dup", &record(&format!("#d/{fd}ctl")), &format!("{fd}ctl"), "bob");
    }
    for (path, perm) in [("#s/post", 0o640), ("#R/file", 0o640)] {
        create(&bob, path, OWRITE, perm).unwrap();
        let dir = record(path);
        assert_eq!((dir.mode, dir.uid.as_str()), (perm, "bob"), "{path}");
    }
    // What is mounted upon shows what is mounted there.
    let mounted = |name: &str| ["proc", "srv", "tmp"].contains(&name.split('/').next().unwrap_or(""));
    for (name, dir) in all(&t, "#/").into_iter().filter(|(name, _)| !mounted(name)) {
        assert_eq!((dir.mode & 0o222, dir.uid.as_str()), (0, "glenda"), "{name}");
    }
    let place = format!("#p/{}", bob.pid);
    check("proc", &record(&place), ".", "bob");
    let files = all(&t, &place);
    for (name, dir) in &files {
        check("proc", dir, name, "bob");
    }
    let told = said("proc");
    let missing: Vec<_> =
        told.keys().filter(|p| *p != "." && !files.iter().any(|(name, _)| means(p, name))).collect();
    assert!(missing.is_empty() && files.len() == 20, "{missing:?} {files:?}");
}

/// Owner, and two others: each file in each mode is opened by whom its bits allow it, and by nobody else.
#[test]
fn what_the_bits_say_is_kept() {
    let t = machine();
    let users = ["glenda", "bob", "eve"].map(|user| (user, process_of(&t, user)));
    let mut tried = 0;
    for (_, device) in PAGES {
        for (name, dir) in all(&t, device) {
            let path = format!("{device}/{name}");
            for (user, p) in &users {
                let bits = if *user == dir.uid { dir.mode >> 6 } else { dir.mode };
                for (mode, need) in [(OREAD, 4), (OWRITE, 2), (ORDWR, 6), (OREAD | OTRUNC, 6)] {
                    let may = bits & need == need && !(dir.is_dir() && mode != OREAD);
                    let refused = match open(p, &path, mode) {
                        Ok(fd) => {
                            close(p, fd).unwrap();
                            false
                        }
                        Err(e) => e.is(error::EPERM),
                    };
                    assert_eq!(refused, !may, "{path} of {:o} by {user} for {mode:#x}", dir.mode);
                    tried += 1;
                }
                if *user != dir.uid {
                    let all_may = Dir { mode: 0o777, ..Dir::untouched() };
                    assert!(wstat(p, &path, &all_may.to_bytes()).is_err(), "{path} changed by {user}");
                    assert!(remove(p, &path).is_err(), "{path} removed by {user}");
                }
            }
        }
    }
    assert!(tried > 400, "only {tried}");
}

#[test]
fn processes_of_others_are_only_looked_at() {
    let t = machine();
    let [bob, eve] = ["bob", "eve"].map(|user| process_of(&t, user));
    // Of whom the owner has started, and who is nobody, as well.
    for victim in [eve.pid, t.up.pid] {
        let files = t.ls(&format!("/proc/{victim}")).unwrap();
        assert!(files.len() > 14, "{files:?}");
        for file in &files {
            let path = format!("/proc/{victim}/{file}");
            let public = ["fd", "noteid", "ns", "ppid", "segment", "status"].contains(&file.as_str());
            let read = open(&bob, &path, OREAD);
            assert_eq!(read.is_ok(), public, "reading {path}");
            for mode in [OWRITE, ORDWR, OREAD | OTRUNC] {
                assert!(open(&bob, &path, mode).unwrap_err().is(error::EPERM), "{path} for {mode:#x}");
            }
            let all_may = Dir { mode: 0o777, ..Dir::untouched() };
            assert!(wstat(&bob, &path, &all_may.to_bytes()).unwrap_err().is(error::EPERM), "{path} changed");
        }
        // Nor is their note group joined.
        let own = open(&bob, &format!("/proc/{}/noteid", bob.pid), OWRITE).unwrap();
        let joined = pwrite(&bob, own, &Src::Kernel(victim.to_string().as_bytes()), 0);
        let refused = joined.unwrap_err();
        assert!(
            refused.is(error::EBADARG) || refused.is(error::EPERM),
            "the note group of {victim}: {refused}"
        );
    }
}

#[test]
fn posts_and_files_of_others_stay() {
    let t = machine();
    let [bob, eve] = ["bob", "eve"].map(|user| process_of(&t, user));
    let [server, _other] = pipe(&bob).unwrap();
    let post = create(&bob, "/srv/bob", OWRITE, 0o600).unwrap();
    pwrite(&bob, post, &Src::Kernel(server.to_string().as_bytes()), -1).unwrap();
    close(&bob, post).unwrap();
    // In /tmp even what everybody may write is his to name and to take away.
    let file = create(&bob, "/tmp/bob", ORDWR, 0o600).unwrap();
    let shared = create(&bob, "/tmp/all", ORDWR, 0o666).unwrap();
    for fd in [file, shared] {
        close(&bob, fd).unwrap();
    }
    for path in ["/srv/bob", "/tmp/bob"] {
        for mode in [OREAD, OWRITE, ORDWR] {
            assert!(open(&eve, path, mode).unwrap_err().is(error::EPERM), "{path} for {mode}");
        }
    }
    for path in ["/srv/bob", "/tmp/bob", "/tmp/all"] {
        for change in [
            Dir { mode: 0o777, ..Dir::untouched() },
            Dir { name: "eve".into(), ..Dir::untouched() },
            Dir { uid: "eve".into(), ..Dir::untouched() },
        ] {
            assert!(wstat(&eve, path, &change.to_bytes()).unwrap_err().is(error::EPERM), "{path} {change:?}");
        }
        assert!(remove(&eve, path).unwrap_err().is(error::EPERM), "{path} removed");
        assert!(create(&eve, path, OWRITE, 0o666).is_err() || path == "/tmp/all", "{path} made again");
    }
    close(&bob, open(&bob, "/srv/bob", ORDWR).unwrap()).unwrap();
    for path in ["/srv/bob", "/tmp/bob"] {
        remove(&bob, path).unwrap();
    }
    // The machine's owner keeps order.
    remove(&t.up, "/tmp/all").unwrap();
}
