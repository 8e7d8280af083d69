//! Bytes over the network both ways at once, while the cable is pulled and put in again, or the machine stands still.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use vm::{Board, Flavour};

use super::dial::machine;
use super::load::noise;
use crate::case::Case;

/// Bytes each way.
const BIG: usize = 3_000_001;
/// What the host gives or takes at a time, and how long it waits then: long enough that something can happen meanwhile.
const PIECE: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(120);

pub fn cases() -> Vec<Case> {
    let cable = |case: Case| {
        case.qmp("set_link", json!({ "name": "n0", "up": false }))
            .waits(4)
            .qmp("set_link", json!({ "name": "n0", "up": true }))
    };
    vec![
        both("transfers/cable", cable),
        both("transfers/cable", cable).smp(4).on(Board::Pc, Flavour::Legacy),
        both("transfers/minute", |case| case.stands(60)),
    ]
}

/// The host's end: gives the file to who asks for a page, and keeps what others send.
fn serve(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut first = [0; 4];
    stream.read_exact(&mut first)?;
    if &first == b"GET " {
        stream.write_all(format!("HTTP/1.0 200 OK\r\nContent-Length: {BIG}\r\n\r\n").as_bytes())?;
        for piece in fs::read(folder.join("big"))?.chunks(PIECE) {
            std::thread::sleep(PAUSE);
            stream.write_all(piece)?;
        }
        return Ok(());
    }
    let mut got = first.to_vec();
    let mut piece = vec![0; PIECE];
    while got.len() < BIG {
        std::thread::sleep(PAUSE);
        let room = piece.len().min(BIG - got.len());
        stream.read_exact(&mut piece[..room])?;
        got.extend(&piece[..room]);
    }
    fs::write(folder.join("out"), got)?;
    stream.write_all(b"taken\n")
}

/// A file each way, between whose begin and end `what` happens.
fn both(name: &str, what: impl Fn(Case) -> Case) -> Case {
    let begun = machine(name, &[])
        .check(|w| {
            let folder = w.folder("host")?.to_owned();
            noise(&folder.join("big"), BIG as u64)?;
            let port = w.peers.tcp(move |stream| drop(serve(stream, &folder)))?;
            w.tell("port", port)
        })
        .line(
            "port=`{cat /n/host/port}; {hget -o /tmp/in http://10.0.2.2:$port/; echo in: $status >/tmp/in.end} & \
             {cat /n/host/big | con tcp!10.0.2.2!$port >/tmp/out.end} &",
        )
        .is("")
        // Both are under way.
        .line("while(! grep -s Established /net/tcp/*/status >[2]/dev/null) sleep 1; sleep 1; ls /tmp")
        .is("/tmp/out.end\n");
    what(begun)
        .line("while(! test -s /tmp/in.end || ! test -s /tmp/out.end) sleep 1; cat /tmp/in.end /tmp/out.end")
        .is("in:\ntaken\n")
        .line("cmp /tmp/in /n/host/big && echo the same")
        .is("the same\n")
        .check(|w| {
            let folder = w.folder("host")?;
            ensure!(fs::read(folder.join("out"))? == fs::read(folder.join("big"))?, "other bytes have come");
            Ok(())
        })
        .budget(200)
}
