//! virtio [-v] [name ...]: the virtio devices of the machine, as a table.
//!
//! -v prints all that is known of each: its queues, its features, what passed.

use cmd::virtio::{Device, record, table};
use lib9::alloc::vec::Vec;
use lib9::{Args, Result, error, file, print};

const SYNOPSIS: &str = "[-v] [name ...]";

const TABLE: &str = "/dev/virtio";
const RECORDS: &str = "/dev/virtiostat";

pub fn main(args: &Args) -> Result<()> {
    let (verbose, names) = args.one_flag('v', SYNOPSIS);
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
