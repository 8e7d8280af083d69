//! The library against a real QEMU, whose firmware is a few instructions of ours: it prints a greeting on the first
//! serial line, sends back what is typed, and ends QEMU through the debug-exit port when it gets a `q`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use vm::{Board, Guest, Pattern, Vm, exit_code};

const BUDGET: Duration = Duration::from_secs(20);

/// Real-mode code for the reset segment F000; the `jmp` at FFF0 leads to it.
fn firmware() -> Vec<u8> {
    let greeting = b"hello from the reset vector\r\n\0";
    #[rustfmt::skip]
    let code = [
        0xfa,                   //       cli
        0xbe, 0x00, 0x02,       //       mov si, 0x200
        0xba, 0xf8, 0x03,       //       mov dx, 0x3f8
        0x2e, 0xac,             // next: cs lodsb
        0x84, 0xc0,             //       test al, al
        0x74, 0x03,             //       jz echo
        0xee,                   //       out dx, al
        0xeb, 0xf7,             //       jmp next
        0xba, 0xfd, 0x03,       // echo: mov dx, 0x3fd
        0xec,                   // poll: in al, dx
        0xa8, 0x01,             //       test al, 1
        0x74, 0xfb,             //       jz poll
        0xba, 0xf8, 0x03,       //       mov dx, 0x3f8
        0xec,                   //       in al, dx
        0xee,                   //       out dx, al
        0x3c, b'q',             //       cmp al, 'q'
        0x75, 0xef,             //       jne echo
        0xe6, 0xf4,             //       out 0xf4, al
        0xf4,                   //       hlt
    ];
    let mut image = vec![0; 0x1_0000];
    image[0x100..0x100 + code.len()].copy_from_slice(&code);
    image[0x200..0x200 + greeting.len()].copy_from_slice(greeting);
    // jmp f000:0100, so that cs has an ordinary base.
    image[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x01, 0x00, 0xf0]);
    image
}

struct Rom {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn rom() -> Rom {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echo.rom");
    std::fs::write(&path, firmware()).unwrap();
    Rom { _dir: dir, path }
}

fn start(vm: Vm, rom: &Rom) -> Guest {
    vm.firmware(&rom.path).memory_mib(16).debug_exit().start().unwrap()
}

#[test]
fn a_conversation_and_an_exit_status() {
    let rom = rom();
    let mut guest = start(Vm::new(Board::Pc), &rom);
    let hello = guest.expect("hello from the reset vector\n", BUDGET).unwrap();
    assert!(hello.since_start > Duration::ZERO && hello.since_start < BUDGET);
    guest.send("abc;").unwrap();
    let echo = guest.expect(Pattern::regex("b.;").unwrap(), BUDGET).unwrap();
    assert_eq!((echo.before.as_str(), echo.text.as_str()), ("a", "bc;"));
    assert!(guest.is_running());
    guest.send("q").unwrap();
    assert_eq!(exit_code(guest.wait_exit(BUDGET).unwrap()), 2 * i32::from(b'q') + 1);
    assert_eq!(guest.transcript().text(), "hello from the reset vector\nabc;q");
}

#[test]
fn errors_show_the_transcript() {
    let rom = rom();
    let mut guest = start(Vm::new(Board::Q35), &rom);
    guest.expect("hello", BUDGET).unwrap();
    let late = guest.expect("never", Duration::from_millis(10)).unwrap_err().to_string();
    assert!(late.contains("\"never\" did not come") && late.contains("hello"), "{late}");
    assert!(guest.wait_exit(Duration::from_millis(10)).is_err());
    guest.send("q").unwrap();
    let ended = guest.expect("never", BUDGET).unwrap_err().to_string();
    assert!(ended.contains("ended (exit status 227) before"), "{ended}");
}

#[test]
fn what_qemu_says_itself_is_in_the_error() {
    let mut guest = Vm::new(Board::Pc).kernel("/nonexistent").start().unwrap();
    let error = guest.expect("x", BUDGET).unwrap_err().to_string();
    assert!(error.contains("/nonexistent"), "{error}");
    let missing = Vm::new(Board::Pc).qemu("/no/such/qemu").start().unwrap_err();
    assert!(missing.to_string().contains("/no/such/qemu"));
}

#[test]
fn dropping_a_guest_ends_it_at_once() {
    let rom = rom();
    let mut guest = start(Vm::new(Board::Microvm), &rom);
    guest.expect("hello", BUDGET).unwrap();
    let begun = Instant::now();
    drop(guest);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn qmp_stops_and_continues_the_machine() {
    let rom = rom();
    let mut guest = start(Vm::new(Board::Pc).with_qmp(), &rom);
    guest.expect("hello", BUDGET).unwrap();
    let qmp = guest.qmp().unwrap();
    qmp.execute("stop", json!({})).unwrap();
    assert_eq!(qmp.execute("query-status", json!({})).unwrap()["running"], json!(false));
    assert!(qmp.execute("no-such-command", json!({})).unwrap_err().to_string().contains("no-such-command"));
    qmp.execute("cont", json!({})).unwrap();
    guest.send("x").unwrap();
    guest.expect("x", BUDGET).unwrap();
    guest.qmp().unwrap().execute("quit", json!({})).unwrap();
    assert_eq!(exit_code(guest.wait_exit(BUDGET).unwrap()), 0);
}
