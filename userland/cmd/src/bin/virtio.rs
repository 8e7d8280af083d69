//! virtio [-v] [name ...]: the virtio devices of the machine, as a table.
//!
//! -v prints all that is known of each: its queues, its features, what passed.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use cmd::virtio::{Device, record, table};
use lib9::alloc::vec::Vec;
use lib9::{Args, Result, error, file, print, usage};

lib9::program!(main);

const TABLE: &str = "/dev/virtio";
const RECORDS: &str = "/dev/virtiostat";

fn main(args: &Args) -> Result<()> {
    let mut verbose = false;
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'v' => verbose = true,
            _ => usage(args, "[-v] [name ...]"),
        }
    }
    let names = flags.rest();
    let text = file::read_string(TABLE)?;
    let name = |line: &&str| line.split_whitespace().next().map(lib9::alloc::string::String::from);
    for wanted in names {
        if !text.lines().any(|line| name(&line).as_ref() == Some(wanted)) {
            return Err(error!("no device {wanted}"));
        }
    }
    let lines = text.lines().filter(|l| names.is_empty() || name(l).is_some_and(|n| names.contains(&n)));
    if !verbose {
        let devices: Vec<Device> = lines.filter_map(Device::parse).collect();
        print!("{}", table(&devices));
        return Ok(());
    }
    let records = file::read_string(RECORDS)?;
    for name in lines.filter_map(|l| name(&l)) {
        print!("{}", record(&records, &name).unwrap_or_default());
    }
    Ok(())
}
