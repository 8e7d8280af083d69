//! What is typed on the console, and when programs get it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use io::ConsoleOut;
use machine::lock::Lock;
use port::dev::cons::input::Input;
use port::testkit::Hosted;

/// A screen that is slow.
#[derive(Default)]
struct Slow {
    begun: AtomicBool,
    done: AtomicBool,
    shown: Lock<Vec<u8>>,
}

impl ConsoleOut for Slow {
    fn write(&self, bytes: &[u8]) {
        self.begun.store(true, SeqCst);
        while !self.done.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.shown.lock().extend_from_slice(bytes);
    }
}

/// With two processors the reader runs while the echo is still on its way.
#[test]
fn a_line_is_read_only_when_its_end_is_on_the_screen() {
    let t = Hosted::with(vec![], vec![], &[]);
    let (screen, input) = (Arc::new(Slow::default()), Input::new());
    t.kernel.kmesg.set_console(screen.clone(), false);
    input.start(&t.kernel).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| input.read(100));
        input.put(b"date\r");
        while !screen.begun.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        let early = reader.is_finished();
        screen.done.store(true, SeqCst);
        assert_eq!(reader.join().unwrap().unwrap(), b"date\n");
        assert!(!early, "what it answers could come before the end of the line");
    });
    assert_eq!(*screen.shown.lock(), b"date\r\n");
}
