//! `#C` over ports that the test plays.

use std::sync::Arc;

use abi::{Dir, MREPL, ORDWR, OREAD, OTRUNC, OWRITE, error};
use port::devices::virtcon::{PIECE, VirtCon};
use port::iobuf::{Dst, Src};
use port::sysfile::{bind, close, fstat, open, pread, pwrite, seek};
use port::testkit::Hosted;

use super::port::{Fake, finder};

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

#[test]
fn without_a_fit_name_there_is_no_by_name() {
    let (t, _) = hosted(&[None, Some("../x")]);
    assert_eq!(t.ls("/dev/virtcon").unwrap(), ["virtio-console-0", "virtio-console-1", "by-place"]);
}

#[test]
fn ports_have_files_and_those_with_a_fit_name_two() {
    let labels = [None, Some("chat"), Some("chat"), Some("../x"), Some(""), Some("a b")];
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
    assert_eq!((dir.mode, dir.length, dir.uid.as_str()), (0o666, 0, "glenda"));
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
