//! import [-abcC] system file [mountpoint]: mount a directory of another machine that serves its name space. See
//! import(4).

use cmd::namespace::{contradicts_itself, mount_flag};
use lib9::{Args, Result, error, net, ns, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            // There is no authentication to be left out.
            'A' => {}
            _ => flag |= mount_flag(letter).unwrap_or_else(|| synopsis(args)),
        }
    }
    if contradicts_itself(flag) {
        synopsis(args);
    }
    let (system, file, mtpt) = match flags.rest() {
        [system, file] => (system, file, file),
        [system, file, mtpt] => (system, file, mtpt),
        _ => synopsis(args),
    };
    let address = net::make_addr(system, "", "9fs");
    let conn = net::dial(&address).map_err(|e| error!("can't dial {system}: {e}"))?;
    conn.keep_alive();
    // The session has the connection's data from here on, and that alone keeps it.
    ns::mount(conn.data.into_fd(), -1, mtpt, flag, file).map(drop).map_err(|e| error!("mount {mtpt}: {e}"))
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-abcAC] system file [mountpoint]")
}
