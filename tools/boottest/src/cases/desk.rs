//! The PC's own console: its keyboard, its mouse, its screen.

use serde_json::{Value, json};
use vm::{Board, Vm};

use super::q35;
use crate::case::{Case, PROMPT, re};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for board in [Board::Pc, Board::Q35] {
        for (firmware, vm) in [("seabios", Vm::new(board)), ("qboot", Vm::new(board).qboot())] {
            let name = |what| format!("desk/{what}-{}-{firmware}", board.name());
            cases.push(
                Case::new(name("screen"), vm.clone().display("none"))
                    .append("console=vga")
                    .shows(re("^elwood [0-9]"))
                    .shows(re("^boot: [0-9]+ ms\nterm%"))
                    .keys("echo 'Seen & heard: {2+3} ~ [x|y]'\n")
                    .shows("\nterm% echo 'Seen & heard: {2+3} ~ [x|y]'\nSeen & heard: {2+3} ~ [x|y]\nterm%"),
            );
            cases.push(
                // No screen at all: the keyboard types on the serial line's console.
                Case::new(name("keyboard"), vm)
                    .sees(PROMPT)
                    .keys("echo 'Keyz\x08s & #1'\n")
                    .sees("\nKeys & #1\n")
                    .sees(PROMPT)
                    .keys("echo ready; while() sleep 1\n")
                    .sees("\nready\n")
                    .keys("\x03")
                    .sees("^C\n")
                    .sees(PROMPT)
                    .keys("echo again; while() sleep 1\n")
                    .sees("\nagain\n")
                    .keys("\x7f")
                    .sees(PROMPT)
                    .line("cat /dev/irqalloc")
                    .gives(re("^ +[0-9]+ +1 +[1-9][0-9]* +[0-9]+ ioapic   keyb\n"))
                    .gives(re("^ +[0-9]+ +12 +0 +0 ioapic   mouse\n")),
            );
        }
    }
    cases.extend([
        Case::new("desk/both", q35().display("none"))
            .append("console=uart,vga")
            .line("echo from the line")
            .is("from the line\n")
            .shows("\nfrom the line\nterm%")
            .keys("echo from the keys\n")
            .sees("\nfrom the keys\n")
            .shows("\nfrom the keys\nterm%"),
        Case::new("desk/scroll", q35().display("none"))
            .append("console=uart,vga")
            .line("for(i in 1 2 3 4 5 6) cat /lib/namespace")
            .line("echo 'a	tab'; echo the end")
            .shows("\nbind -a /rc/bin /bin\nterm% echo 'a   tab'; echo the end\na       tab\nthe end\nterm%"),
        Case::new("desk/no-screen", q35())
            .append("console=vga")
            .sees("no VGA; the console is on the serial line\n")
            .line("echo up")
            .is("up\n"),
        Case::new("desk/no-controller", Vm::new(Board::Pc).arg("-M").arg("pc,i8042=off"))
            .line("cat /dev/irqalloc")
            .check(|w| {
                anyhow::ensure!(!w.output.contains("keyb") && !w.output.contains("mouse"), "{}", w.output);
                Ok(())
            })
            .line("ls '#m' /dev/mouse")
            .is("ls: /dev/mouse: '/dev/mouse' file does not exist\n"),
        mouse(Board::Pc),
        mouse(Board::Q35),
    ]);
    cases
}

/// The mouse is moved, clicked and turned, and a program reads it.
fn mouse(board: Board) -> Case {
    let turn = |what: &str, down| json!([{ "type": "btn", "data": { "down": down, "button": what } }]);
    let event = |x: u32, y: u32, buttons: u32| re(&format!("m +{x} +{y} +{buttons} +[0-9]+ "));
    let send = |events: Value| json!({ "events": events });
    let moved = json!([
        { "type": "rel", "data": { "axis": "x", "value": 30 } },
        { "type": "rel", "data": { "axis": "y", "value": -20 } },
    ]);
    Case::new(format!("desk/mouse-{}", board.name()), Vm::new(board))
        .sees(PROMPT)
        .types("{echo ready; cat} </dev/mouse\n")
        .sees("\nready\n")
        .qmp("input-send-event", send(moved))
        .sees(event(350, 180, 0))
        .qmp("input-send-event", send(turn("left", true)))
        .sees(event(350, 180, 1))
        .qmp("input-send-event", send(turn("right", true)))
        .sees(event(350, 180, 5))
        .qmp("input-send-event", send(turn("left", false)))
        .qmp("input-send-event", send(turn("right", false)))
        .sees(event(350, 180, 0))
        .qmp("input-send-event", send(turn("wheel-up", true)))
        .qmp("input-send-event", send(turn("wheel-up", false)))
        .sees(event(350, 180, 8))
        .sees(event(350, 180, 0))
        .types("\x7f")
        .sees(PROMPT)
        .line("cat /dev/irqalloc")
        .gives(re("^ +[0-9]+ +12 +[1-9][0-9]* +[0-9]+ ioapic   mouse\n"))
}
