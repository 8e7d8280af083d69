//! The terminal line: editing, end of file, interrupt, and typing at a machine that is busy.

use vm::{Board, Vm};

use super::q35;
use crate::case::{Case, PROMPT};

/// Typed while the machine is busy: far more than a UART's 16 bytes, less than a console's queue has to hold.
fn type_ahead() -> (String, String) {
    (0..60).map(|n| (format!("echo line {n} typed ahead\n"), format!("line {n} typed ahead\n"))).unzip()
}

pub fn cases() -> Vec<Case> {
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
    let mut cases = early();
    cases.extend([
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
        Case::new("console/carriage-return", q35())
            .sees(PROMPT)
            .types("echo enter\r")
            .sees("\nenter\n")
            .sees(PROMPT),
        Case::new("console/utf8", q35()).line("echo ☺ κόσμε").is("☺ κόσμε\n"),
    ]);
    cases
}

/// Typed before the kernel runs: not a byte is lost, be it a word or more than the kernel keeps before it has a console.
fn early() -> Vec<Case> {
    let mut cases = Vec::new();
    for (board, lines) in [(Board::Pc, 1), (Board::Q35, 1), (Board::Pc, 400), (Board::Q35, 400)] {
        for (firmware, vm) in [("seabios", Vm::new(board)), ("qboot", Vm::new(board).qboot())] {
            let typed: String = (1..=lines).map(|n| format!("echo early {n}\n")).collect();
            let mut case =
                Case::new(format!("console/early-{}-{firmware}-{lines}", board.name()), vm).types(typed);
            for n in 1..=lines {
                case = case.sees(format!("{PROMPT}early {n}\n"));
            }
            cases.push(case);
        }
    }
    cases
}

/// An interrupt that comes while the shell is making a process, or while that becomes a program, ends the command all the
/// same: sixty of them, each right behind the word that is printed just before.
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
