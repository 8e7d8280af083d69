//! The terminal line: editing, end of file, interrupt, and typing at a machine that is busy.

use vm::{Board, Vm};

use super::q35;
use crate::case::{Case, PROMPT, re};

/// Typed while the machine is busy: far more than a UART's 16 bytes, less than a console's queue has to hold.
fn type_ahead() -> (String, String) {
    (0..60).map(|n| (format!("echo line {n} typed ahead\n"), format!("line {n} typed ahead\n"))).unzip()
}

pub fn cases() -> Vec<Case> {
    // A virtio port is a terminal like the serial line.
    let virtio = line().into_iter().map(Case::on_virtio_console);
    early().into_iter().chain(line()).chain(virtio).chain(ports()).collect()
}

/// What a terminal can do.
fn line() -> Vec<Case> {
    let (typed, printed) = type_ahead();
    let mut busy = Case::new("console/type-ahead", q35())
        .sees(PROMPT)
        .types("echo busy; sleep 2; echo free\n")
        .sees("\nbusy\n")
        .types(typed)
        .sees("\nfree\n");
    for line in printed.lines() {
        busy = busy.sees(format!("{line}\n")).sees(PROMPT);
    }
    vec![
        busy,
        Case::new("console/type-while-printing", q35())
            .sees(PROMPT)
            .types("for(i in 1 2 3 4 5 6 7 8 9) cat /rc/bin/init\r")
            .sees("The first process")
            .types("echo one\r")
            .sees("The first process")
            .types("echo two\r")
            .sees("The first process")
            .types("echo three\r")
            .sees("one\nterm% ")
            .sees("two\nterm% ")
            .sees("three\n")
            .sees(PROMPT)
            .line("echo up")
            .is("up\n"),
        Case::new("console/interrupt", q35())
            .sees(PROMPT)
            .types("echo ready; sleep 1000\n")
            .sees("\nready\n")
            .types("\x7f")
            .sees(PROMPT)
            .line("echo $status")
            .gives("interrupt"),
        interrupts(),
        Case::new("console/interrupt-loop", q35())
            .sees(PROMPT)
            .types("echo ready; while() x=(a b c)\n")
            .sees("\nready\n")
            .types("\x7f")
            .sees(PROMPT)
            .line("echo up")
            .is("up\n"),
        Case::new("console/editing", q35())
            .sees(PROMPT)
            .types("echo wromg\x08\x08ng line\n")
            .sees("\nwrong line\n")
            .sees(PROMPT)
            .types("this is not a command\x15echo killed\n")
            .sees("\nkilled\n")
            .sees(PROMPT)
            .types("cat\n")
            .types("first\n")
            .sees("\nfirst\n")
            .types("\x04")
            .sees(PROMPT)
            .line("echo up")
            .is("up\n"),
        Case::new("console/lines-again", q35())
            .line("echo one two")
            .is("one two\n")
            .types("\x1b[A\x1b[D\x1b[D\x1b[Dmore \n")
            .sees("\none more two\n")
            .sees(PROMPT)
            .types("echo half\x1b[A\x1b[A\x1b[B\x1b[B\x01#\x1b[3~\x05\n")
            .sees(PROMPT)
            .types("\x1b[A\x01\x1b[3~e\n")
            .sees("\nhalf\n")
            .sees(PROMPT)
            // A program in raw mode is given what comes.
            .types("{echo rawon >[1=3]; echo so^on; dd -bs 3 -count 1 -quiet 1 | xd} >[3]/dev/consctl\n")
            .sees("soon\n")
            .types("\x1b[A")
            .sees(re("1b ?5b ?41"))
            .line("echo up")
            .is("up\n"),
        Case::new("console/status", q35())
            .sees(PROMPT)
            // Until it has executed it is the shell.
            .types("{while(! ps | grep ' Sleep +sleep$' >/dev/null) ~ x x; echo as^leep} & sleep 1000\n")
            .sees("asleep\n")
            .types("\x14")
            .sees(re(
                "\\^T\nload [0-9]+%: sleep [0-9]+ Sleep, 0\\.[0-9]+u 0\\.[0-9]+s [0-9]+\\.[0-9]+r [0-9]+K",
            ))
            .types("\x7f")
            .sees(PROMPT)
            .types("echo up \x14")
            .sees(re("\\^T\nload [0-9]+%: rc [0-9]+ [A-Z][a-z]+, .*\necho up "))
            .types("again\n")
            .sees("\nup again\n"),
        Case::new("console/interrupted-pipeline", q35())
            .sees(PROMPT)
            .types("echo ready; cat /dev/zero | cat | cat >/dev/null\n")
            .sees("\nready\n")
            .types("\x7f")
            .sees(PROMPT)
            // The prompt does not wait for those in front.
            .line("while(ps | grep ' cat$' >/dev/null) sleep 1; echo none")
            .is("none\n"),
        Case::new("console/window", q35())
            .line("cat /dev/conssize; echo 25 80 >/dev/conssize; cat /dev/conssize; echo x >/dev/conssize")
            .gives("          0           0          25          80")
            .gives("bad arg")
            .types("ec\u{e9}\x08ho in the middle\n")
            .sees("\nin the middle\n")
            // What prints pages and columns looks at it.
            .line("echo 7 20 >/dev/conssize; {for(i in a b c) echo $i^2345678} | mc")
            .is("a2345678 c2345678\nb2345678\n")
            .types("seq 9 | p\n")
            .sees("\n5")
            .types("q\n")
            .sees(PROMPT),
        Case::new("console/carriage-return", q35())
            .sees(PROMPT)
            .types("echo enter\r")
            .sees("\nenter\n")
            .sees(PROMPT),
        Case::new("console/utf8", q35()).line("echo ☺ κόσμε").is("☺ κόσμε\n"),
    ]
}

/// Typed before the kernel runs: not a byte is lost, be it a word or more than the kernel keeps before it has a
/// console.
fn early() -> Vec<Case> {
    let mut cases = Vec::new();
    for (board, lines) in [(Board::Pc, 1), (Board::Q35, 1), (Board::Pc, 400), (Board::Q35, 400)] {
        for (firmware, vm) in [("seabios", Vm::new(board)), ("qboot", Vm::new(board).qboot())] {
            let typed: String = (1..=lines).map(|n| format!("echo ear^ly {n}\n")).collect();
            let mut case =
                Case::new(format!("console/early-{}-{firmware}-{lines}", board.name()), vm).types(typed);
            for n in 1..=lines {
                // What is still being typed is echoed between lines.
                case = case.sees(format!("early {n}\n"));
            }
            cases.push(case);
        }
    }
    cases
}

/// An interrupt that comes while the shell is making a process, or while that becomes a program, ends the command all
/// the same: sixty of them, each right behind the word that is printed just before.
fn interrupts() -> Case {
    let case = Case::new("console/interrupts", q35()).sees(PROMPT);
    let case = (0..60).fold(case, |case, n| {
        case.types(format!("echo round{n}; sleep 1000\n"))
            .sees(format!("\nround{n}\n"))
            .types("\x7f")
            .sees(PROMPT)
    });
    case.line("echo $status").gives("interrupt")
}

/// A port of a virtio console as the console: where it is looked for, and who has it while nobody is there.
fn ports() -> Vec<Case> {
    let microvm = || Vm::new(Board::Microvm).board_option("isa-serial=off").virtio_console();
    let named = |name: &str| {
        Case::new(name, q35())
            .chardev("c0")
            .device("virtio-serial-pci")
            .device("virtserialport,chardev=c0,nr=3,name=org.elwood.console")
    };
    let port = "/dev/virtcon/by-name/org.elwood.console";
    vec![
        Case::new("virtio-console/fallback", q35())
            .append("console=virtio")
            .sees("boot: ")
            .sees("console: no such virtio port; the console is on the serial line")
            .line("echo up")
            .is("up\n"),
        // There is nothing else to talk to.
        Case::new("virtio-console/alone", microvm())
            .line("cat /dev/kmesg")
            .gives(re("(?m)^elwood "))
            .line("cat /dev/virtio")
            .gives(re("^virtio-console-0 mmio .* console ports 1 connected 1 ")),
        Case::new(
            "virtio-console/alone-modern",
            microvm().arg("-global").arg("virtio-mmio.force-legacy=false"),
        )
        .line("cat /dev/virtio")
        .gives(" modern "),
        Case::new("virtio-console/init", microvm())
            .init("echo last words; ls /bin; echo really")
            .sees("really\n"),
        // With one port the device has no word for anything.
        Case::new("virtio-console/one-port", q35())
            .chardev("c0")
            .device("virtio-serial-pci,max_ports=1")
            .device("virtconsole,chardev=c0")
            .append("console=virtio,uart")
            .line("echo bo^th")
            .is("both\n")
            .connects("c0")
            .says("c0", b"echo ty^ped\r")
            .hears_at_last("c0", "typed\r\n")
            .sees("typed\n"),
        named("virtio-console/host-comes-and-goes")
            .append("console=virtio:org.elwood.console")
            .line("echo alone")
            .is("alone\n")
            .connects("c0")
            .hears_at_last("c0", "elwood 0.")
            .hears_at_last("c0", "boot: ")
            .says("c0", b"echo wr^omg\x08\x08ng\r")
            .hears_at_last("c0", "wrong\r\n")
            .says("c0", format!("cat {port}\r").leak().as_bytes())
            .hears_at_last("c0", "device or object already in use")
            .says("c0", b"echo ready; sleep 1000\r")
            .hears_at_last("c0", "ready\r\n")
            .says("c0", b"\x7f")
            .hears_at_last("c0", PROMPT)
            .leaves("c0")
            .sees("console: nobody at virtio-console-0.3; it is on the serial line\n")
            .types("echo | cat\n")
            .sees(PROMPT)
            .line("echo between")
            .is("between\n")
            .connects("c0")
            .says("c0", b"echo ag^ain\r")
            .hears_at_last("c0", "again\r\n")
            .never("again"),
        // A host that does not read stops nobody for good; when it reads again, it hears how much it has missed.
        named("virtio-console/slow-host")
            .share("host", |_| Ok(()))
            .append("console=virtio:org.elwood.console mount=host:/n/host")
            .line("echo alone")
            .connects("c0")
            .hears_at_last("c0", "boot: ")
            .says("c0", b"for(i in 1 2 3) xd /bin/rc >/dev/cons; >/n/host/through; echo d^one\r")
            .check(|w| w.made("host", "through"))
            .hears_at_last("c0", "bytes lost\r\n")
            .hears_at_last("c0", "done\r\n")
            .says("c0", b"echo u^p\r")
            .hears_at_last("c0", "up\r\n"),
        // What a kernel that ends says is heard without a serial line.
        Case::new("virtio-console/last-words", q35().virtio_console())
            .panics()
            .line("echo up")
            .types("echo panic >/dev/reboot\n")
            .sees("kernel panic: ")
            .sees("called from"),
    ]
}
