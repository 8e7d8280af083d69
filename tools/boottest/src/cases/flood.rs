//! Devices that interrupt without an end: everybody else has his turn, and what the devices say arrives.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::q35;
use crate::case::{Case, World};

/// Two ports that say as much as they can at the same time.
const PORTS: [&str; 2] = ["c0", "c1"];
/// What it says: so many lines, and the last one.
const LINE: &[u8; 64] = b"interrupted interrupted interrupted interrupted interrupted ###\n";
const LINES: usize = 1 << 18;
const LAST: &[u8; 4] = b"end\n";

pub fn cases() -> Vec<Case> {
    [1, 2, 4].map(flood).into()
}

/// Ports, keyboard and mouse at once, and meanwhile lines that are typed.
fn flood(processors: u32) -> Case {
    let mut case =
        Case::new(format!("flood/{processors}"), q35().smp(processors)).device("virtio-serial-pci");
    for (n, name) in PORTS.iter().enumerate() {
        case = case.chardev(name).device(&format!("virtserialport,chardev={name},nr={},name={name}", n + 1));
    }
    case = case
        .line("for(c in c0 c1) {sed /end/q /dev/virtcon/by-name/$c | wc >/tmp/$c &}; cat /dev/mouse >/dev/null &")
        .check(|w| PORTS.iter().try_for_each(|name| says(w, name)));
    for round in 0..6 {
        // A key that is no character.
        for _ in 0..8 {
            case = case
                .qmp("send-key", json!({ "keys": [{ "type": "qcode", "data": "shift" }], "hold-time": 1 }));
            case = case.qmp("input-send-event", json!({ "events": [moves("x", 3), moves("y", -3)] }));
        }
        case = case.line(format!("ls /bin | wc -l >/dev/null; date >/dev/null; echo here {round}"));
        case = case.is(format!("here {round}\n"));
    }
    let said = format!("{:7} {:7} {:7}", LINES + 1, 6 * LINES + 1, LINE.len() * LINES + LAST.len());
    case.line("while(! test -s /tmp/c0 || ! test -s /tmp/c1) sleep 1; cat /tmp/c0 /tmp/c1")
        .is(format!("{said}\n{said}\n"))
        .budget(180)
}

/// A movement of the mouse.
fn moves(axis: &str, value: i64) -> Value {
    json!({ "type": "rel", "data": { "axis": axis, "value": value } })
}

/// The host says everything, line by line, and stays: what is on its way when it leaves is lost.
fn says(world: &World, name: &str) -> Result<()> {
    let mut stream = UnixStream::connect(world.sockets.path(name)).context("connecting")?;
    std::thread::spawn(move || {
        // What has not arrived is seen in the machine.
        let _ = (0..LINES).try_for_each(|_| stream.write_all(LINE)).and_then(|()| stream.write_all(LAST));
        let _ = stream.read(&mut [0]);
    });
    Ok(())
}
