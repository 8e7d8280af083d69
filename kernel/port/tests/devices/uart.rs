//! `#t`: a serial line that the test plays.

use std::sync::{Arc, Mutex};

use abi::{ORDWR, OREAD, error};
use io::Serial;
use port::call::sysfile::{close, open};
use port::dev::uart::Uart;
use port::testkit::Hosted;

use super::{get, put};

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
