//! pci [-v] [vendor/device]: list the PCI functions: address, kind, class, vendor and device, interrupt, base
//! registers.
//!
//! -v adds what the device is called.

use cmd::pci::Function;
use lib9::{Args, Result, error, fd, file, println, usage};

const SYNOPSIS: &str = "[-v] [vendor/device]";

const DIR: &str = "#$/pci";

pub fn main(args: &Args) -> Result<()> {
    let (verbose, words) = args.one_flag('v', SYNOPSIS);
    let wanted = match words {
        [] => None,
        [id] => Some(id.as_str()),
        _ => usage(args, SYNOPSIS),
    };
    let dirs = fd::readdir(DIR).map_err(|e| error!("can't read {DIR}: {e}"))?;
    let read = |name: &str| file::read_string(&cmd::copy::join(DIR, name));
    let mut functions: lib9::alloc::vec::Vec<Function> = dirs
        .iter()
        .filter_map(|d| Function::parse(d.name.strip_suffix("ctl")?, &read(&d.name).ok()?))
        .collect();
    functions.sort();
    for function in functions.iter().filter(|f| wanted.is_none_or(|id| f.id == id)) {
        println!("{}", function.line());
        if verbose {
            println!("\t{}", function.name());
        }
    }
    Ok(())
}
