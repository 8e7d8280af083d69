//! The small devices: `#|`, `#e`, `#s`, `#c`, `#P`, `#t`, `#$`.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use abi::{Dir, MREPL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, error};
use port::devices::pnp::{Address, Function, PciBus, Pnp};
use port::devices::uart::{Serial, Uart};
use port::iobuf::{Dst, Src};
use port::note::NoteClass;
use port::sysfile::{
    bind, close, create, dup, fd2path, fstat, open, pipe, pread, pwrite, remove, unmount, wstat,
};
use port::testkit::{Hosted, Ram, read_file};
use port::{Proc, Result};

fn get(up: &Arc<Proc>, fd: i32, max: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; max];
    let n = pread(up, fd, &mut Dst::Kernel(&mut buf), -1)?;
    buf.truncate(n);
    Ok(buf)
}

fn put(up: &Arc<Proc>, fd: i32, bytes: &[u8]) -> Result<usize> {
    pwrite(up, fd, &Src::Kernel(bytes), -1)
}

/// Long enough for another thread to go to sleep where it will.
fn settle() {
    sleep(Duration::from_millis(30));
}

fn notes(p: &Proc) -> Vec<(String, NoteClass)> {
    p.notes.lock().queue.iter().map(|n| (n.text.clone(), n.class)).collect()
}

#[test]
fn pipes_keep_writes_apart() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    put(&t.up, a, b"one").unwrap();
    put(&t.up, a, b"two").unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"one");
    assert_eq!(get(&t.up, b, 2).unwrap(), b"tw");
    put(&t.up, a, b"three").unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"o");
    assert_eq!(get(&t.up, b, 100).unwrap(), b"three");
    put(&t.up, b, b"back").unwrap();
    assert_eq!(Dir::parse(&fstat(&t.up, a).unwrap()).unwrap().0.length, 4);
    assert_eq!(get(&t.up, a, 100).unwrap(), b"back");
    put(&t.up, a, b"").unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"", "an empty write is read as one");
    assert_eq!(fd2path(&t.up, a).unwrap(), "#|/data");
    assert_eq!(fd2path(&t.up, b).unwrap(), "#|/data1");
}

#[test]
fn pipes_end_when_the_other_side_is_closed() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let again = dup(&t.up, a, -1).unwrap();
    put(&t.up, a, b"last").unwrap();
    close(&t.up, a).unwrap();
    put(&t.up, again, b"words").unwrap();
    close(&t.up, again).unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"last");
    assert_eq!(get(&t.up, b, 100).unwrap(), b"words");
    for _ in 0..3 {
        assert_eq!(get(&t.up, b, 100).unwrap(), b"");
    }
    assert_eq!(get(&t.up, b, 100).unwrap_err().text(), error::EHUNGUP);
    assert_eq!(notes(&t.up), []);
    assert_eq!(put(&t.up, b, b"x").unwrap_err().text(), error::EHUNGUP);
    assert_eq!(notes(&t.up), [("sys: write on closed pipe".to_string(), NoteClass::User)]);
}

#[test]
fn pipes_wake_who_waits() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let (_, read) = t.start(move |up| get(up, b, 100));
    settle();
    put(&t.up, a, b"x").unwrap();
    assert_eq!(read.wait().unwrap(), b"x");

    // A full pipe holds writers up until somebody reads.
    let (_, written) = t.start(move |up| put(up, a, &vec![7; 600 * 1024]));
    settle();
    assert!(written.take().is_none());
    let mut total = 0;
    while total < 600 * 1024 {
        let got = get(&t.up, b, 1 << 20).unwrap();
        assert!(got.len() <= 32 * 1024 && got.iter().all(|b| *b == 7));
        total += got.len();
    }
    assert_eq!(written.wait().unwrap(), 600 * 1024);

    // Closing wakes readers and writers.
    let (_, read) = t.start(move |up| get(up, b, 100));
    settle();
    close(&t.up, a).unwrap();
    assert_eq!(read.wait().unwrap(), b"");
    let [a, b] = pipe(&t.up).unwrap();
    let (w, written) = t.start(move |up| put(up, a, &vec![7; 600 * 1024]));
    settle();
    close(&t.up, b).unwrap();
    assert_eq!(written.wait().unwrap_err().text(), error::EHUNGUP);
    assert_eq!(notes(&w).len(), 1);
}

#[test]
fn notes_interrupt_pipes() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let (p, read) = t.start(move |up| get(up, b, 100));
    settle();
    port::note::post(&p, "alarm", NoteClass::User);
    assert_eq!(read.wait().unwrap_err().text(), error::EINTR);
    let (p, written) = t.start(move |up| put(up, a, &vec![7; 600 * 1024]));
    while Dir::parse(&fstat(&t.up, b).unwrap()).unwrap().0.length < 256 * 1024 {
        settle();
    }
    port::note::post(&p, "alarm", NoteClass::User);
    let n = written.wait().unwrap();
    assert!((256 * 1024..600 * 1024).contains(&n), "what went in counts: {n}");
}

#[test]
fn writes_to_a_pipe_are_not_mixed() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let starts: Vec<_> = (0..4u8)
        .map(|i| {
            t.start(move |up| {
                for _ in 0..50 {
                    put(up, a, &vec![i; 20_000]).unwrap();
                }
            })
        })
        .collect();
    let mut counts = [0; 4];
    for _ in 0..200 {
        let got = get(&t.up, b, 40_000).unwrap();
        assert_eq!(got.len(), 20_000);
        assert!(got.iter().all(|x| *x == got[0]));
        counts[usize::from(got[0])] += 1;
    }
    starts.into_iter().for_each(|(_, done)| done.wait());
    assert_eq!(counts, [50; 4]);
}

#[test]
fn a_bound_pipe_is_used_by_name_and_used_again() {
    let t = Hosted::new();
    bind(&t.up, "#|", "/mnt", MREPL).unwrap();
    for round in 0..2 {
        let a = open(&t.up, "/mnt/data", ORDWR).unwrap();
        let b = open(&t.up, "/mnt/data1", ORDWR).unwrap();
        put(&t.up, a, b"hello").unwrap();
        assert_eq!(get(&t.up, b, 10).unwrap(), b"hello", "round {round}");
        close(&t.up, a).unwrap();
        assert_eq!(get(&t.up, b, 10).unwrap(), b"");
        close(&t.up, b).unwrap();
    }
    assert_eq!(t.ls("/mnt").unwrap(), ["data", "data1"]);
}

#[test]
fn the_environment_starts_with_the_command_line() {
    let words = [("init", "echo hi"), ("mount", "a:/n/a"), ("debug", ""), ("mount", "b:/n/b")];
    let t = Hosted::with(vec![], vec![], &words);
    bind(&t.up, "#e", "/env", MREPL | abi::MCREATE).unwrap();
    assert_eq!(t.ls("/env").unwrap(), ["init", "mount", "debug"]);
    assert_eq!(t.read("/env/mount").unwrap(), b"a:/n/a\0b:/n/b");
    assert_eq!(t.read("/env/debug").unwrap(), b"");
    assert_eq!(t.read("#ec/init").unwrap(), b"echo hi");
    // The boot group is another one.
    t.write("/env/init", b"X").unwrap();
    assert_eq!(t.read("/env/init").unwrap(), b"Xcho hi");
    assert_eq!(t.read("#ec/init").unwrap(), b"echo hi");
    assert_eq!(open(&t.up, "#ex/init", OREAD).unwrap_err().text(), error::EBADSPEC);
    assert_eq!(
        String::from_utf8(t.read("#c/config").unwrap()).unwrap(),
        "init='echo hi'\nmount=a:/n/a\ndebug=''\nmount=b:/n/b\n"
    );
}

#[test]
fn variables_are_files() {
    let t = Hosted::new();
    t.create("#e/path", b"/bin\0.").unwrap();
    let v0 = t.stat("#e/path").unwrap();
    assert_eq!((v0.length, v0.mode, v0.name.as_str()), (6, 0o666, "path"));
    t.write("#e/path", b"X").unwrap();
    assert_eq!(t.read("#e/path").unwrap(), b"Xbin\0.");
    let v1 = t.stat("#e/path").unwrap();
    assert!(v1.qid.vers > v0.qid.vers && v1.qid.path == v0.qid.path);
    let fd = open(&t.up, "#e/path", OWRITE | OTRUNC).unwrap();
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(b"ab"), 3).unwrap(), 2);
    assert_eq!(t.read("#e/path").unwrap(), b"\0\0\0ab");
    assert!(pwrite(&t.up, fd, &Src::Kernel(b"x"), 600_000).unwrap_err().is(error::ETOOBIG));
    assert!(put(&t.up, fd, &vec![0; 600_000]).unwrap_err().is(error::ETOOBIG));
    remove(&t.up, "#e/path").unwrap();
    assert!(put(&t.up, fd, b"x").unwrap_err().is(error::ENONEXIST));
    assert!(open(&t.up, "#e/path", OREAD).unwrap_err().is(error::ENONEXIST));
    assert!(create(&t.up, "#e/dir", OREAD, abi::DMDIR | 0o777).unwrap_err().is(error::EPERM));
    // The group has a limit, too, and removing makes room.
    for name in ["#e/a", "#e/b"] {
        t.create(name, &vec![b'x'; 500_000]).unwrap();
    }
    assert!(t.create("#e/c", &vec![b'x'; 500_000]).unwrap_err().is(error::ETOOBIG));
    remove(&t.up, "#e/a").unwrap();
    t.create("#e/c", &vec![b'x'; 500_000]).unwrap();
    let fd = create(&t.up, "#e/tmp", OWRITE | ORCLOSE, 0o666).unwrap();
    close(&t.up, fd).unwrap();
    assert_eq!(t.ls("#e").unwrap(), ["b", "c"]);
}

#[test]
fn each_process_sees_its_own_group_through_a_shared_bind() {
    let t = Hosted::new();
    bind(&t.up, "#e", "/env", MREPL | abi::MCREATE).unwrap();
    t.create("/env/x", b"1").unwrap();
    let other = t.process();
    *other.egrp.lock() = t.up.egrp().copy();
    let fd = open(&other, "/env/x", ORDWR).unwrap();
    put(&other, fd, b"2").unwrap();
    assert_eq!(read_file(&other, "/env/x").unwrap(), b"2");
    assert_eq!(t.read("/env/x").unwrap(), b"1");
    remove(&other, "/env/x").unwrap();
    assert_eq!(t.read("/env/x").unwrap(), b"1");
}

#[test]
fn posted_channels_are_shared() {
    let t = Hosted::with(vec![Ram::new()], vec![], &[]);
    bind(&t.up, "#s", "/srv", MREPL | abi::MCREATE).unwrap();
    let [a, b] = pipe(&t.up).unwrap();
    let fd = create(&t.up, "/srv/x", OWRITE, 0o600).unwrap();
    assert_eq!(open(&t.up, "/srv/x", ORDWR).unwrap_err().text(), "'/srv/x' device shut down");
    for bad in [&b"99"[..], b"-1", b"x", b""] {
        assert!(put(&t.up, fd, bad).is_err(), "{bad:?}");
    }
    assert!(put(&t.up, fd, fd.to_string().as_bytes()).unwrap_err().is(error::EBADARG), "a post of itself");
    put(&t.up, fd, format!("{b}\n").as_bytes()).unwrap();
    assert!(put(&t.up, fd, b"0").unwrap_err().is(error::EINUSE));
    close(&t.up, fd).unwrap();
    close(&t.up, b).unwrap();
    let got = open(&t.up, "/srv/x", ORDWR).unwrap();
    assert_eq!(fd2path(&t.up, got).unwrap(), "#|/data1");
    put(&t.up, a, b"hello").unwrap();
    assert_eq!(get(&t.up, got, 10).unwrap(), b"hello");

    assert_eq!(create(&t.up, "/srv/x", OWRITE, 0o600).unwrap_err().text(), "'/srv/x' file already exists");
    assert!(create(&t.up, "/srv/y", OREAD, 0o600).unwrap_err().is(error::EPERM));
    assert_eq!(t.ls("/srv").unwrap(), ["x"]);
    let change = Dir { name: "y".into(), mode: 0o666, ..Dir::untouched() }.to_bytes();
    wstat(&t.up, "/srv/x", &change).unwrap();
    assert_eq!(t.stat("/srv/y").unwrap().mode, 0o666);

    // Unposting closes what nobody else has.
    close(&t.up, got).unwrap();
    remove(&t.up, "/srv/y").unwrap();
    assert_eq!(get(&t.up, a, 10).unwrap(), b"");
    let fd = create(&t.up, "/srv/z", OWRITE | ORCLOSE, 0o600).unwrap();
    put(&t.up, fd, a.to_string().as_bytes()).unwrap();
    close(&t.up, fd).unwrap();
    assert_eq!(t.ls("/srv").unwrap().len(), 0);
}

#[test]
fn strangers_may_not_touch_what_is_posted() {
    let t = Hosted::new();
    let [a, _] = pipe(&t.up).unwrap();
    let fd = create(&t.up, "#s/x", OWRITE, 0o600).unwrap();
    put(&t.up, fd, a.to_string().as_bytes()).unwrap();
    let other = t.process();
    *other.user.lock() = "none".into();
    assert!(open(&other, "#s/x", ORDWR).unwrap_err().is(error::EPERM));
    assert!(remove(&other, "#s/x").unwrap_err().is(error::EPERM));
    let change = Dir { mode: 0o666, ..Dir::untouched() }.to_bytes();
    assert!(wstat(&other, "#s/x", &change).unwrap_err().is(error::EPERM));
    wstat(&t.up, "#s/x", &change).unwrap();
    assert!(open(&other, "#s/x", ORDWR).is_ok());
}

#[test]
fn unmount_knows_a_posted_channel() {
    let t = Hosted::with(vec![Ram::new()], vec![], &[]);
    // A descriptor file stands for what is behind it.
    let fd = open(&t.up, "#R", OREAD).unwrap();
    bind(&t.up, "#R", "/n", MREPL).unwrap();
    unmount(&t.up, Some(&format!("#d/{fd}")), "/n").unwrap();
    assert_eq!(t.ls("/n").unwrap().len(), 0);
}

#[test]
fn the_console_edits_lines_and_posts_interrupts() {
    let t = Hosted::new();
    t.cons.start(&t.kernel).unwrap();
    let fd = open(&t.up, "#c/cons", ORDWR).unwrap();
    let (_, line) = t.start(move |up| get(up, fd, 100));
    settle();
    t.cons.input.put(b"helo\x08lo\r");
    assert_eq!(line.wait().unwrap(), b"hello\n");
    settle();
    assert_eq!(t.screen.take(), "helo\x08 \x08lo\r\n");
    put(&t.up, fd, b"a\nb").unwrap();
    assert_eq!(t.screen.take(), "a\r\nb");

    // An interrupt goes to the group of who reads, and ends the read.
    let stranger = t.process();
    stranger.noteid.store(12345, std::sync::atomic::Ordering::Relaxed);
    let (p, line) = t.start(move |up| get(up, fd, 100));
    settle();
    t.cons.input.put(b"typed\x7f");
    assert_eq!(line.wait().unwrap_err().text(), error::EINTR);
    assert_eq!(notes(&p), [("interrupt".to_string(), NoteClass::User)]);
    assert_eq!(notes(&stranger), []);
    t.up.notes.lock().queue.clear();
    t.up.thread.get().unwrap().clear_interrupt();

    // Raw mode lasts as long as consctl is open.
    let ctl = open(&t.up, "#c/consctl", OWRITE).unwrap();
    put(&t.up, ctl, b"rawon").unwrap();
    t.cons.input.put(b"\x7fq");
    settle();
    assert_eq!(get(&t.up, fd, 100).unwrap(), b"\x7fq");
    close(&t.up, ctl).unwrap();
    t.cons.input.put(b"x\x04\x04");
    settle();
    assert_eq!(get(&t.up, fd, 100).unwrap(), b"x");
    assert_eq!(get(&t.up, fd, 100).unwrap(), b"", "end of file");
    assert!(t.write("#c/consctl", b"nonsense").unwrap_err().is(error::EBADCTL));
}

#[test]
fn typing_ahead_loses_nothing() {
    let t = Hosted::new();
    let typed: String = (0..9000).map(|i| format!("{i}\r")).collect();
    assert!(typed.len() < port::devices::cons::input::RING);
    // Nobody has looked yet: this is a busy machine.
    typed.as_bytes().chunks(16).for_each(|c| t.cons.input.put(c));
    t.cons.start(&t.kernel).unwrap();
    let fd = open(&t.up, "#c/cons", OREAD).unwrap();
    for i in 0..9000 {
        assert_eq!(String::from_utf8(get(&t.up, fd, 100).unwrap()).unwrap(), format!("{i}\n"));
    }
}

#[test]
fn the_consoles_small_files() {
    let t = Hosted::new();
    let text = |name: &str| String::from_utf8(t.read(&format!("#c/{name}")).unwrap()).unwrap();
    assert_eq!(text("pid"), format!("{:>11} ", t.up.pid));
    assert_eq!(text("ppid"), "          0 ");
    assert_eq!(text("user"), "glenda");
    assert_eq!(text("hostowner"), "glenda");
    assert_eq!(text("sysname"), "elwood");
    assert_eq!(text("osversion"), "2000");
    assert_eq!(text("null"), "");
    assert_eq!(text("cputime").len(), 72);
    assert_eq!(text("time").len(), 12 + 4 * 22);
    assert_eq!(text("sysstat").lines().count(), machine::cpu::count());
    assert!(text("swap").contains("\n4096 pagesize\n"));
    assert_eq!(text("drivers").lines().take(2).collect::<Vec<_>>(), ["#/ root", "#c cons"]);
    assert_eq!(text("pgrpid"), text("pgrpid"));
    port::kprint!(t.kernel, "hello {}\n", 42);
    assert_eq!(text("kmesg"), "hello 42\n");
    assert_eq!(t.screen.take(), "hello 42\r\n");
    t.write("#c/sysname", b"jake\n").unwrap();
    assert_eq!(text("sysname"), "jake");
    assert!(t.write("#c/sysname", b"two words").is_err());
    assert!(t.write("#c/sysname", &[b'x'; 28]).is_err());

    // A number read in pieces; zeros and random bytes without end.
    let fd = open(&t.up, "#c/pid", OREAD).unwrap();
    assert_eq!(get(&t.up, fd, 5).unwrap(), b"     ");
    assert_eq!(get(&t.up, fd, 20).unwrap().len(), 7);
    assert_eq!(get(&t.up, fd, 20).unwrap().len(), 0);
    let fd = open(&t.up, "#c/zero", OREAD).unwrap();
    assert_eq!(get(&t.up, fd, 10_000).unwrap(), vec![0; 10_000]);
    let fd = open(&t.up, "#c/random", OREAD).unwrap();
    let (a, b) = (get(&t.up, fd, 1000).unwrap(), get(&t.up, fd, 1000).unwrap());
    assert!(a.len() == 1000 && a != b && a[500..] != [0; 500]);
    let fd = open(&t.up, "#c/bintime", OREAD).unwrap();
    for (ask, want) in [(32, 32), (40, 32), (31, 24), (8, 8), (7, 0)] {
        assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut vec![0; ask]), 100).unwrap(), want);
    }
}

#[test]
fn the_machines_owner_and_power() {
    let t = Hosted::new();
    let other = t.process();
    *other.user.lock() = "none".into();
    assert!(open(&other, "#c/reboot", OWRITE).unwrap_err().is(error::EPERM));
    assert!(open(&other, "#c/hostowner", OWRITE).unwrap_err().is(error::EPERM));
    assert!(open(&other, "#c/kmesg", OREAD).unwrap_err().is(error::EPERM));
    assert!(open(&other, "#c/hostowner", OREAD).is_ok());
    t.write("#c/hostowner", b"elwood").unwrap();
    assert_eq!(&*t.up.user(), "elwood", "the old owner's processes are the new one's");
    assert_eq!(&*other.user(), "none");
    assert_eq!(t.stat("#c/pid").unwrap().uid, "elwood");
    t.write("#c/reboot", b"halt").unwrap();
    t.write("#c/reboot", b"halt fail\n").unwrap();
    t.write("#c/reboot", b"reboot").unwrap();
    t.write("#c/reboot", b"panic").unwrap();
    assert!(t.write("#c/reboot", b"explode").unwrap_err().is(error::EBADCTL));
    assert!(t.write("#c/reboot", b"halt gracefully").unwrap_err().is(error::ECMDARGS));
    assert_eq!(t.power.pressed(), ["off", "failed", "reset", "panic"]);
    t.write("#c/user", b"none").unwrap();
    assert_eq!(&*t.up.user(), "none");
    assert!(t.write("#c/user", b"elwood").unwrap_err().is(error::EPERM));
    assert!(t.write("#c/hostowner", b"x").is_err());
}

#[test]
fn writes_to_the_console_stay_whole() {
    let t = Hosted::new();
    let fd = open(&t.up, "#c/cons", OWRITE).unwrap();
    let starts: Vec<_> = (0..4u8)
        .map(|i| {
            let lines: String =
                (0..5).map(|_| format!("{}\n", char::from(b'a' + i).to_string().repeat(50))).collect();
            t.start(move |up| (0..20).for_each(|_| assert_eq!(put(up, fd, lines.as_bytes()).unwrap(), 255)))
        })
        .collect();
    starts.into_iter().for_each(|(_, done)| done.wait());
    let out = t.screen.take();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 400);
    assert!(lines.chunks(5).all(|five| five.iter().all(|l| *l == five[0])));
}

#[test]
fn arch_files_are_made_when_they_are_read() {
    let t = Hosted::new();
    let count = Arc::new(Mutex::new(0));
    let counter = count.clone();
    let make = move || {
        *counter.lock().unwrap() += 1;
        format!("{}\n", "x".repeat(*counter.lock().unwrap()))
    };
    t.arch.add("mtags", 0o444, Box::new(make));
    bind(&t.up, "#P", "/dev", MREPL).unwrap();
    assert_eq!(t.ls("/dev").unwrap(), ["cputype", "ioalloc", "irqalloc", "mtags"]);
    assert!(t.read("/dev/cputype").unwrap().starts_with(b"AMD64 "));
    let fd = open(&t.up, "/dev/mtags", OREAD).unwrap();
    assert_eq!(get(&t.up, fd, 1).unwrap(), b"x");
    assert_eq!(get(&t.up, fd, 9).unwrap(), b"\n", "the rest is of the same text");
    assert_eq!(t.read("/dev/mtags").unwrap(), b"xx\n");
    let fd = open(&t.up, "/dev/mtags", OREAD).unwrap();
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut [0; 9]), 2).unwrap(), 2, "also from its middle");
    assert!(open(&t.up, "/dev/mtags", OWRITE).unwrap_err().is(error::EPERM));
}

type Receiver = Box<dyn Fn(&[u8]) + Send + Sync>;

#[derive(Default)]
struct Line {
    sent: Mutex<Vec<u8>>,
    receiver: Mutex<Option<Receiver>>,
}

impl Line {
    fn arrive(&self, bytes: &[u8]) {
        self.receiver.lock().unwrap().as_ref().unwrap()(bytes);
    }
}

impl Serial for Line {
    fn write(&self, bytes: &[u8]) {
        self.sent.lock().unwrap().extend_from_slice(bytes);
    }
    fn set_receiver(&self, receiver: Box<dyn Fn(&[u8]) + Send + Sync>) {
        *self.receiver.lock().unwrap() = Some(receiver);
    }
    fn baud(&self) -> u32 {
        115_200
    }
}

#[test]
fn a_serial_line_is_the_consoles_until_somebody_reads_it() {
    let t = Hosted::new();
    let line = Arc::new(Line::default());
    let uart = Uart::new(vec![(line.clone(), Some(t.cons.input.clone()))]);
    let t2 = Hosted::with(vec![uart], vec![], &[]);
    t.cons.start(&t.kernel).unwrap();
    line.arrive(b"to the console\n");
    let cons = open(&t.up, "#c/cons", OREAD).unwrap();
    assert_eq!(get(&t.up, cons, 100).unwrap(), b"to the console\n");
    let fd = open(&t2.up, "#t/eia0", ORDWR).unwrap();
    line.arrive(b"raw\x7f");
    assert_eq!(get(&t2.up, fd, 100).unwrap(), b"raw\x7f");
    assert_eq!(put(&t2.up, fd, b"out\n").unwrap(), 4);
    assert_eq!(*line.sent.lock().unwrap(), b"out\n");
    close(&t2.up, fd).unwrap();
    line.arrive(b"again\n");
    assert_eq!(get(&t.up, cons, 100).unwrap(), b"again\n");
    assert_eq!(t2.read("#t/eia0status").unwrap(), b"b115200 l8 pn s1\nreceived 25 sent 4 lost 0\n");
    t2.write("#t/eia0ctl", b"b115200 l8 pn").unwrap();
    assert!(t2.write("#t/eia0ctl", b"b300").unwrap_err().is(error::EBADCTL));
    assert!(t2.write("#t/eia0ctl", b"q").unwrap_err().is(error::EBADCTL));
}

struct Bus(Mutex<Vec<u8>>);

impl PciBus for Bus {
    fn functions(&self) -> Vec<Function> {
        let at = Address { bus: 0, device: 31, function: 2 };
        let bars = vec![(0, 0xfebf_1000, 4096), (4, 0xc000, 128)];
        vec![Function { at, class: [1, 6, 1], vendor: 0x8086, device: 0x2922, irq: 10, bars }]
    }
    fn config_size(&self, _: Address) -> usize {
        256
    }
    fn read_config(&self, _: Address, offset: usize) -> u8 {
        self.0.lock().unwrap()[offset]
    }
    fn write_config(&self, _: Address, offset: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

#[test]
fn pci_functions_are_files() {
    let bus = Arc::new(Bus(Mutex::new((0..=255).collect())));
    let t = Hosted::with(vec![Pnp::new(bus)], vec![], &[]);
    assert_eq!(t.ls("#$").unwrap(), ["pci"]);
    assert_eq!(t.ls("#$/pci").unwrap(), ["0.31.2ctl", "0.31.2raw"]);
    assert_eq!(t.ls("#$/pci/..").unwrap(), ["pci"]);
    let ctl = String::from_utf8(t.read("#$/pci/0.31.2ctl").unwrap()).unwrap();
    assert_eq!(ctl, "01.06.01 8086/2922  10 0:febf1000 4096 4:0000c000 128\n");
    assert_eq!(t.read("#$/pci/0.31.2raw").unwrap().len(), 256);
    let fd = open(&t.up, "#$/pci/0.31.2raw", ORDWR).unwrap();
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[9, 9]), 4).unwrap(), 2);
    let mut four = [0; 4];
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut four), 4).unwrap(), 4);
    assert_eq!(four, [9, 9, 6, 7]);
    for (at, n) in [(5, 2), (254, 4), (0, 3), (256, 1), (u32::MAX as i64, 4)] {
        assert!(pwrite(&t.up, fd, &Src::Kernel(&vec![0; n]), at).unwrap_err().is(error::EBADARG), "{at} {n}");
    }
    assert!(t.stat("#$/pci/0.31.3ctl").unwrap_err().is(error::ENONEXIST));
}
