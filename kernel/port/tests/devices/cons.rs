//! `#c`: the console and the small files beside it.

use abi::{ORDWR, OREAD, OWRITE, error};
use port::call::sysfile::{close, open, pread};
use port::mem::iobuf::Dst;
use port::proc::notes::NoteClass;
use port::testkit::Hosted;

use super::{get, notes, put, settle};

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
    assert!(typed.len() < port::dev::cons::input::RING);
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
    let swap = text("swap");
    let names: Vec<&str> = swap.lines().map(|l| l.split_once(' ').unwrap().1).collect();
    let nine = [
        "memory",
        "pagesize",
        "kernel",
        "user",
        "swap",
        "reclaim",
        "kernel malloc",
        "kernel draw",
        "kernel secret",
    ];
    assert_eq!(names[..9], nine, "those that programs of 9front read come first: {swap}");
    assert!(swap.contains("\n4096 pagesize\n"));
    // As its stats reads them: the fourth to the seventh number, and what stands before a name.
    let numbers: Vec<u64> =
        swap.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(numbers[3] <= numbers[4] && numbers[5..7] == [0, 0], "{swap}");
    let line = swap.lines().find(|l| l.ends_with(" kernel malloc")).unwrap();
    assert_eq!(line.split(['/', ' ']).filter(|n| n.parse::<u64>().is_ok()).count(), 3);
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
    let ns = |ask| {
        let mut bytes = vec![0; ask];
        pread(&t.up, fd, &mut Dst::Kernel(&mut bytes), 0).unwrap();
        u64::from_be_bytes(bytes[..8].try_into().unwrap())
    };
    assert!(ns(8).abs_diff(ns(32)) < 60_000_000_000, "the time alone is the same time");
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
    t.write("#c/reboot", b"panic stack\n").unwrap();
    t.write("#c/reboot", b"panic memory").unwrap();
    assert!(t.write("#c/reboot", b"explode").unwrap_err().is(error::EBADCTL));
    assert!(t.write("#c/reboot", b"halt gracefully").unwrap_err().is(error::ECMDARGS));
    assert_eq!(t.power.pressed(), ["off", "failed", "reset", "panic", "panic stack", "panic memory"]);
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
