//! ls [-dlmnpqrstuFQT] [name ...]: list what directories hold, or the files themselves.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::copy::join;
use cmd::ls::{Entry, Order, Show, Users, Widths};
use lib9::date::Timezone;
use lib9::{Args, Result, eprintln, exits, fd, print, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut show = Show::default();
    let mut order = Order::default();
    let mut itself = false;
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'd' => itself = true,
            'F' => show.kind = true,
            'l' => show.long = true,
            'm' => show.modifier = true,
            'n' => order.none = true,
            'p' => show.last_element = true,
            'q' => show.qid = true,
            'Q' => show.bare = true,
            'r' => order.reverse = true,
            's' => show.size = true,
            't' => order.time = true,
            'T' => show.temporary = true,
            'u' => {
                order.accessed = true;
                show.accessed = true;
            }
            _ => usage(args, "[-dlmnpqrstuFQT] [name ...]"),
        }
    }
    let zone = if show.long { Timezone::local() } else { Timezone::gmt() };
    let mut failed = false;
    let mut files = Vec::new();
    let here = [String::from(".")];
    let names = if flags.rest().is_empty() { &here[..] } else { flags.rest() };
    for name in names {
        match list(name, itself, &mut files, &show, &order, &zone) {
            Ok(()) => {}
            Err(e) => {
                eprintln!("ls: {name}: {e}");
                failed = true;
            }
        }
    }
    output(&mut files, &show, &order, &zone);
    lib9::out::flush().map_err(|e| lib9::error!("write error: {e}"))?;
    if failed { exits("errors") } else { Ok(()) }
}

/// Prints what a directory holds (after the plain files before it), or remembers a plain file.
fn list(
    name: &str,
    itself: bool,
    files: &mut Vec<Entry>,
    show: &Show,
    order: &Order,
    zone: &Timezone,
) -> Result<()> {
    let dir = fd::stat(name)?;
    let mut users = Users::default();
    if itself || !dir.is_dir() {
        files.push(users.entry(name, &dir));
        return Ok(());
    }
    let mut entries = Vec::new();
    fd::each_in(name, |dir| {
        let is_bare = name == "." || show.last_element;
        entries.push(if is_bare { users.entry(&dir.name, &dir) } else { users.entry(&join(name, &dir.name), &dir) });
        Ok(true)
    })?;
    output(files, show, order, zone);
    output(&mut entries, show, order, zone);
    Ok(())
}

fn output(entries: &mut Vec<Entry>, show: &Show, order: &Order, zone: &Timezone) {
    order.sort(entries);
    let widths = Widths::of(entries, show);
    let now = proc::seconds();
    for entry in entries.drain(..) {
        print!("{}\n", entry.line(show, &widths, now, zone));
    }
}
