//! `#C` over ports that the test plays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use abi::{Dir, MREPL, ORDWR, OREAD, OTRUNC, OWRITE, error};
use io::port::PIECE;
use machine::clock;
use port::call::sysfile::{bind, close, fstat, open, pread, pwrite, seek};
use port::dev::Dev;
use port::dev::virtcon::VirtCon;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

use super::port::{Fake, finder, wait_for};

/// A kernel whose console ports have these labels, with `#C` bound on `/dev`.
fn hosted(labels: &[Option<&'static str>]) -> (Hosted, Vec<Arc<Fake>>) {
    let fake = |(id, &label)| {
        let mut port = Fake::there(id, false);
        port.label = label;
        Arc::new(port)
    };
    let ports: Vec<Arc<Fake>> = (0..).zip(labels).map(fake).collect();
    let t = Hosted::with(vec![VirtCon::new(finder(&ports), None)], vec![], &[]);
    bind(&t.up, "#C", "/dev", MREPL).unwrap();
    (t, ports)
}

#[test]
fn a_machine_without_consoles_has_an_empty_folder() {
    let (t, _) = hosted(&[]);
    assert_eq!(t.ls("/dev/virtcon").unwrap(), [""; 0]);
}

/// The host chooses them, and may choose anything.
#[test]
fn labels_that_no_file_can_have_are_files_all_the_same() {
    let labels = [Some("it's\nb"), Some("../x"), Some("\u{1b}[2J"), Some("\u{9b}\u{7f}")];
    let (t, ports) = hosted(&labels);
    let names = t.ls("/dev/virtcon/by-name").unwrap();
    assert_eq!(names, ["it's␊b", "..\u{2215}x", "␛[2J", "\u{fffd}␡"]);
    for (name, port) in names.iter().zip(&ports) {
        let fd = open(&t.up, &format!("/dev/virtcon/by-name/{name}"), ORDWR).unwrap();
        assert_eq!(port.state.lock().opens, 1, "{name}");
        close(&t.up, fd).unwrap();
    }
}

/// No call takes memory for all of them (which the heap of tests sees to).
#[test]
fn there_may_be_hundreds_of_ports() {
    let (t, _) = hosted(&[Some("a label that is not short, and the same as others'"); 600]);
    assert_eq!(t.ls("/dev/virtcon").unwrap().len(), 602);
    assert_eq!(t.ls("/dev/virtcon/by-place").unwrap().len(), 600);
    assert_eq!(t.ls("/dev/virtcon/by-name").unwrap().len(), 1);
    t.stat("/dev/virtcon/virtio-console-599").unwrap();
}

/// A port is not compared with all that come before it.
#[test]
fn hundreds_of_labels_are_looked_at_a_few_times_each() {
    let labels: Vec<Option<&'static str>> =
        (0..400).map(|n| Some(&*Box::leak(format!("label {n}").into_boxed_str()))).collect();
    let (t, ports) = hosted(&labels);
    assert_eq!(t.ls("/dev/virtcon/by-name").unwrap().len(), 400);
    t.stat("/dev/virtcon/by-name/label 399").unwrap();
    let asked: usize = ports.iter().map(|port| port.asked.load(Relaxed)).sum();
    assert!(asked < 400 * 30, "{asked}");
}

#[test]
fn without_a_fit_name_there_is_no_by_name() {
    let (t, _) = hosted(&[None, Some("..")]);
    assert_eq!(t.ls("/dev/virtcon").unwrap(), ["virtio-console-0", "virtio-console-1", "by-place"]);
}

#[test]
fn ports_have_files_and_those_with_a_fit_name_two() {
    let labels = [None, Some("chat"), Some("chat"), Some("."), Some(""), Some("a b")];
    let (t, ports) = hosted(&labels);
    let all = t.ls("/dev/virtcon").unwrap();
    assert_eq!((all.len(), all[0].as_str()), (8, "virtio-console-0"));
    assert_eq!(all[6..], ["by-name", "by-place"]);
    let places = t.ls("/dev/virtcon/by-place").unwrap();
    assert_eq!((places.len(), places[5].as_str()), (6, "pci-0.5.0"));
    t.ls("/dev/virtcon/by-place/../by-place/../by-name").unwrap();
    assert_eq!(t.ls("/dev/virtcon/by-name").unwrap(), ["chat", "a b"]);
    let fd = open(&t.up, "/dev/virtcon/by-name/chat", ORDWR).unwrap();
    let dir = Dir::parse(&fstat(&t.up, fd).unwrap()).unwrap().0;
    assert_eq!((dir.mode, dir.length, dir.uid.as_str()), (0o660, 0, "glenda"));
    let opens = |n: usize| ports[n].state.lock().opens;
    assert_eq!((opens(1), opens(2)), (1, 0), "the first has the name");
    let other = open(&t.up, "/dev/virtcon/virtio-console-1", OWRITE | OTRUNC).unwrap();
    assert_eq!(opens(1), 2, "two may have it open, by either name");
    close(&t.up, fd).unwrap();
    close(&t.up, other).unwrap();
    assert!(open(&t.up, "/dev/virtcon/virtio-console-9", OREAD).is_err());
}

#[test]
fn reads_have_their_true_length_and_writes_go_out_whole() {
    let (t, ports) = hosted(&[None]);
    let fd = open(&t.up, "/dev/virtcon/virtio-console-0", ORDWR).unwrap();
    assert_eq!(seek(&t.up, fd, 7, 0).unwrap_err().text(), error::EISSTREAM);
    ports[0].state.lock().from_host.push_back(b"abc\n".to_vec());
    let mut buf = [0; 32];
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut buf), 99).unwrap(), 4);
    assert_eq!(&buf[..5], b"abc\n\0");
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut []), -1).unwrap(), 0);
    let long: Vec<u8> = (0..2 * PIECE + 5).map(|n| (n % 251) as u8).collect();
    let put = |bytes: &[u8]| pwrite(&t.up, fd, &Src::Kernel(bytes), -1);
    assert_eq!(put(&long).unwrap(), long.len());
    let sent = std::mem::take(&mut ports[0].state.lock().heard);
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [PIECE, PIECE, 5]);
    assert_eq!(sent.concat(), long);
    // A note between pieces: what has gone counts.
    ports[0].state.lock().patience = Some(2);
    assert_eq!(put(&long).unwrap(), 2 * PIECE);
    assert_eq!(put(&long).unwrap_err().text(), error::EINTR);
    ports[0].state.lock().patience = None;
    // The host leaves.
    ports[0].state.lock().connection = 1;
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap(), 0);
    assert_eq!(put(b"x").unwrap_err().text(), error::EHUNGUP);
    close(&t.up, fd).unwrap();
    let fd = open(&t.up, "/dev/virtcon/virtio-console-0", OWRITE).unwrap();
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(b"x"), -1).unwrap(), 1);
}

/// Gives the text of a first read through a descriptor.
fn first(up: &Arc<port::Proc>, fd: i32) -> String {
    let mut buf = [0; 32];
    let n = pread(up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap();
    String::from_utf8_lossy(&buf[..n]).into_owned()
}

#[test]
fn a_second_reader_begins_when_the_first_has_gone() {
    let (t, ports) = hosted(&[Some("chat")]);
    let opens = || ports[0].state.lock().opens;
    let one = open(&t.up, "/dev/virtcon/by-name/chat", ORDWR).unwrap();
    let (_, other) = t.start(|up| {
        let fd = open(up, "/dev/virtcon/virtio-console-0", OREAD)?;
        Ok::<_, port::error::Error>(first(up, fd))
    });
    wait_for(|| (opens() >= 2).then_some(()));
    ports[0].says("to the first");
    assert_eq!(first(&t.up, one), "to the first");
    // Who only writes waits for nobody.
    let writer = open(&t.up, "/dev/virtcon/virtio-console-0", OWRITE).unwrap();
    // Whoever has been given the descriptor is no second reader, and the place is free with the last of them.
    let copy = port::call::sysfile::dup(&t.up, one, -1).unwrap();
    close(&t.up, one).unwrap();
    ports[0].says("to a copy");
    assert_eq!(first(&t.up, copy), "to a copy");
    assert!(!other.ready());
    close(&t.up, copy).unwrap();
    ports[0].says("to the second");
    assert_eq!(other.wait().unwrap(), "to the second");
    close(&t.up, writer).unwrap();
}

#[test]
fn who_stays_has_the_port_for_himself_in_his_connection() {
    let (t, ports) = hosted(&[None, None]);
    let read = |up: &Arc<_>| open(up, "/dev/virtcon/virtio-console-0", OREAD);
    let one = read(&t.up).unwrap();
    open(&t.up, "/dev/virtcon/virtio-console-1", OREAD).unwrap();
    assert!(read(&t.up).unwrap_err().to_string().ends_with(error::EINUSE));
    let (waiting, refused) = t.start(move |up| read(up).map_err(|e| e.to_string()));
    waiting.thread.wait().interrupt();
    assert!(refused.wait().unwrap_err().ends_with(error::EINTR));
    // Nobody takes anything from one of an ended connection.
    ports[0].leave();
    ports[0].connect();
    let two = read(&t.up).unwrap();
    close(&t.up, one).unwrap();
    // The place that is free now was that of the first.
    let (_, refused) = t.start(move |up| read(up).map_err(|e| e.to_string()));
    assert!(refused.wait().unwrap_err().ends_with(error::EINUSE));
    close(&t.up, two).unwrap();
    read(&t.up).unwrap();
}

/// Does `f` while the port keeps what it has taken, until somebody waits for it.
fn kept_while(port: &Fake, f: impl FnOnce()) {
    port.change(|s| s.keeps = true);
    let handed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for(|| (port.waiting() != 0).then_some(()));
            handed.store(true, Relaxed);
            port.change(|s| s.keeps = false);
        });
        f();
        assert!(handed.load(Relaxed));
    });
}

/// For a second, if the host has not left.
#[test]
fn a_close_waits_until_what_was_written_is_handed_over() {
    let (t, ports) = hosted(&[None]);
    let port = &ports[0];
    let opened = || open(&t.up, "/dev/virtcon/virtio-console-0", OWRITE).unwrap();
    let written = || {
        let fd = opened();
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(b"words"), -1).unwrap(), 5);
        fd
    };
    let fd = written();
    kept_while(port, || close(&t.up, fd).unwrap());
    assert_eq!(port.waits.load(Relaxed), 1);
    // Who has written nothing has nothing to wait for.
    close(&t.up, opened()).unwrap();
    assert_eq!(port.waits.load(Relaxed), 1);
    // Nor who was told to stop.
    port.change(|s| s.patience = Some(1));
    let fd = opened();
    let long = vec![1; 2 * PIECE];
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&long), -1).unwrap(), PIECE);
    close(&t.up, fd).unwrap();
    assert_eq!(port.waits.load(Relaxed), 1);
    port.change(|s| (s.patience, s.keeps) = (None, true));
    let fd = written();
    port.leave();
    close(&t.up, fd).unwrap();
    port.connect();
    let (begun, fd) = (clock::now_ns(), written());
    close(&t.up, fd).unwrap();
    assert!(clock::now_ns() - begun >= 1_000_000_000, "it was given time");
}

/// What was written by those who were killed has nobody else who waits for it.
#[test]
fn the_end_of_the_machine_waits_until_all_is_handed_over() {
    let (t, ports) = hosted(&[None, None]);
    let dev = VirtCon::new(finder(&ports), None);
    let finish = || dev.finish(&t.kernel, &|| false);
    finish();
    kept_while(&ports[1], finish);
    // One that takes nothing is not waited for for ever.
    ports[1].change(|s| s.keeps = true);
    let begun = clock::now_ns();
    finish();
    assert!(clock::now_ns() - begun >= 1_000_000_000);
    dev.finish(&t.kernel, &|| true);
}
