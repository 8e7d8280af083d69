//! pci [-bv] [vendor/device ...]: list the PCI functions: address, kind, class, vendor and device, interrupt, base
//! registers.
//!
//! -b leaves bridges out, -v adds what the device is called.

use cmd::pci::{Function, is_id};
use lib9::alloc::vec::Vec;
use lib9::{Args, Result, eprintln, error, exits, fd, file, println, usage};

const DIR: &str = "#$/pci";

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-bv] [vendor/device ...]";
    let (mut devices_only, mut verbose) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'b' => devices_only = true,
            'v' => verbose = true,
            _ => usage(args, synopsis),
        }
    }
    let wanted = flags.rest();
    if !wanted.iter().all(|id| is_id(id)) {
        usage(args, synopsis);
    }
    let dirs = fd::readdir(DIR).map_err(|e| error!("can't read {DIR}: {e}"))?;
    let read = |name: &str| file::read_string(&cmd::copy::join(DIR, name));
    let mut functions: Vec<Function> = dirs
        .iter()
        .filter_map(|d| Function::parse(d.name.strip_suffix("ctl")?, &read(&d.name).ok()?))
        .collect();
    functions.sort();
    let mut missing = false;
    for id in wanted.iter().filter(|id| !functions.iter().any(|f| f.id == **id)) {
        eprintln!("pci: no device {id}");
        missing = true;
    }
    let is_shown =
        |f: &&Function| (wanted.is_empty() || wanted.contains(&f.id)) && !(devices_only && f.is_bridge());
    for function in functions.iter().filter(is_shown) {
        println!("{}", function.line());
        if verbose {
            println!("\t{}", function.name());
        }
    }
    if missing { exits("no device") } else { Ok(()) }
}
