//! The memory balloon: the host takes memory and gives it back, and is told of it.

use anyhow::{Result, ensure};
use serde_json::json;

use super::q35;
use crate::case::{Case, World};

/// What the machine has, in bytes, and what the host leaves it.
const ALL: u64 = 256 << 20;
const HALF: u64 = 128 << 20;
/// The pages between the two.
const PAGES: u64 = (ALL - HALF) / 4096;

pub fn cases() -> Vec<Case> {
    let waits =
        |pages: u64| format!("while(! grep ' balloon  *'^'pages {pages} ' /dev/virtio >/dev/null) sleep 1");
    vec![
        Case::new("balloon/half", q35())
            .device("virtio-balloon-pci")
            .line("cat /dev/virtio")
            .gives("virtio-balloon-0 ")
            .qmp("balloon", json!({ "value": HALF }))
            .line(waits(PAGES))
            .is("")
            .qmp("query-balloon", json!({}))
            .check(|w| has(w, HALF))
            .line("cat /dev/virtio")
            .gives(format!("'{PAGES} of {PAGES} pages'"))
            // What is left is enough to work with, and more than there is does not come.
            .line("cat /rc/bin/init | wc -l >/dev/null; echo works")
            .is("works\n")
            .qmp("balloon", json!({ "value": ALL }))
            .line("while(grep 'pages [1-9][0-9]* inter' /dev/virtio >/dev/null) sleep 1")
            .is("")
            .qmp("query-balloon", json!({}))
            .check(|w| has(w, ALL)),
        // The host wants all of it: programs go on.
        Case::new("balloon/all", q35())
            .device("virtio-balloon-pci")
            .line("echo up")
            .is("up\n")
            .qmp("balloon", json!({ "value": 1 << 20 }))
            .line("sleep 2; for(i in 1 2 3) ls /bin >/dev/null; echo still here")
            .gives("still here")
            .qmp("balloon", json!({ "value": ALL }))
            .line("while(grep 'pages [1-9][0-9]* inter' /dev/virtio >/dev/null) sleep 1; echo all back")
            .is("all back\n"),
    ]
}

/// QEMU says that the machine has so many bytes.
fn has(world: &World, bytes: u64) -> Result<()> {
    let actual = world.answer.get("actual").and_then(serde_json::Value::as_u64);
    ensure!(actual == Some(bytes), "{:?}, not {bytes}", world.answer);
    Ok(())
}
