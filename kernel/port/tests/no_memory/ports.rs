//! Ports of a virtio console.

use std::cell::Cell;
use std::sync::Arc;

use abi::{MREPL, ORDWR};
use machine::host;
use port::call::sysfile::{bind, close, open, pread, pwrite, stat};
use port::dev::virtcon::VirtCon;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

use super::at_each_step;
use super::port_of_test::{Fake, finder};

#[test]
fn ports_and_their_folders() {
    host::new_machine();
    let fake = |id| {
        let mut port = Fake::there(id, false);
        port.label = Some("its name");
        Arc::new(port)
    };
    let ports: Vec<Arc<Fake>> = (0..70).map(fake).collect();
    let t = Hosted::with(vec![VirtCon::new(finder(&ports), None)], vec![], &[]);
    let up = &t.up;
    bind(up, "#C", "/dev", MREPL).unwrap();
    for dir in ["/dev/virtcon", "/dev/virtcon/by-name", "/dev/virtcon/by-place"] {
        at_each_step(&t, dir, || t.ls(dir).map(drop), || ());
    }
    at_each_step(&t, "stat", || stat(up, "/dev/virtcon/by-name/its name").map(drop), || ());
    let fd = Cell::new(-1);
    let shut = || close(up, fd.get()).unwrap();
    at_each_step(&t, "open", || open(up, "/dev/virtcon/virtio-console-1", ORDWR).map(|n| fd.set(n)), shut);

    let fd = open(up, "/dev/virtcon/virtio-console-1", ORDWR).unwrap();
    let bytes = vec![7; (1 << 20) + 50_000];
    let forget = || host::heap::aside(|| ports[1].state.lock().heard.clear());
    let writes = || {
        let n = pwrite(up, fd, &Src::Kernel(&bytes), -1)?;
        // What counts is what the host has heard.
        assert_eq!(ports[1].state.lock().heard.iter().map(Vec::len).sum::<usize>(), n);
        Ok(())
    };
    at_each_step(&t, "a write of several pieces", writes, forget);
    let reads = || {
        host::heap::aside(|| ports[1].says("some bytes"));
        let mut buf = vec![0; 5000];
        let read = pread(up, fd, &mut Dst::Kernel(&mut buf), -1);
        host::heap::aside(|| ports[1].state.lock().from_host.clear());
        read.map(drop)
    };
    at_each_step(&t, "a read", reads, || ());
    close(up, fd).unwrap();
}
