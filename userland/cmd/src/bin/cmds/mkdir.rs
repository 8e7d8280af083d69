//! mkdir [-p] [-m mode] dir ...: make directories. -p makes those above, and is content with what is there.

use lib9::{Args, Result, eprintln, error, exits, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut parents = false;
    let mut mode = 0o777;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'p' => parents = true,
            'm' => {
                let octal = flags.value().ok().and_then(|v| u32::from_str_radix(v, 8).ok());
                mode = octal.filter(|m| *m <= 0o777).unwrap_or_else(|| synopsis(args));
            }
            _ => synopsis(args),
        }
    }
    if flags.rest().is_empty() {
        synopsis(args);
    }
    let mut failed = false;
    for name in flags.rest() {
        let made = if parents { all(name, mode) } else { one(name, mode) };
        if let Err(e) = made {
            eprintln!("mkdir: {e}");
            failed = true;
        }
    }
    if failed { exits("error") } else { Ok(()) }
}

fn one(name: &str, mode: u32) -> Result<()> {
    if fd::stat(name).is_ok() {
        return Err(error!("{name} already exists"));
    }
    let made =
        fd::create(name, abi::OREAD, abi::DMDIR | mode).map_err(|e| error!("can't create {name}: {e}"))?;
    fd::close(made)
}

fn all(name: &str, mode: u32) -> Result<()> {
    let slashes = name.char_indices().filter(|&(i, c)| c == '/' && i > 0).map(|(i, _)| i);
    for end in slashes.chain([name.len()]) {
        let prefix = name.get(..end).unwrap_or(name);
        match fd::stat(prefix) {
            Ok(dir) if dir.is_dir() => {}
            Ok(_) => return Err(error!("can't create {name}: {prefix} is not a directory")),
            Err(_) => one(prefix, mode)?,
        }
    }
    Ok(())
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-p] [-m mode] dirname ...")
}
