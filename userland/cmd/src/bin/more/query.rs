//! ndb/query [-am] [-f ndbfile] attr value [rattr ...]: print entries of the network's database, or values of one.

use cmd::ndb::Ndb;
use lib9::{Args, Result, exits, print, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-am] [-f ndbfile] attr value [rattr ...]") };
    let (mut all, mut many, mut database) = (false, false, "/lib/ndb/local");
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'a' => all = true,
            'm' => many = true,
            'f' => database = flags.value().unwrap_or_else(|_| synopsis()),
            _ => synopsis(),
        }
    }
    let [attr, value, wanted @ ..] = flags.rest() else { synopsis() };
    let ndb = Ndb::open(database);
    let mut found = false;
    for entry in ndb.having(attr, value).take(if all { usize::MAX } else { 1 }) {
        found = true;
        if wanted.is_empty() {
            let mut before = "";
            for (name, value) in entry {
                print!("{before}{name}={value}");
                before = " ";
            }
            print!("\n");
        }
        for name in wanted {
            let values = entry.iter().filter(|(n, _)| n == name);
            // One of each, unless all are wanted.
            for (_, value) in values.take(if many { usize::MAX } else { 1 }) {
                print!("{value}\n");
            }
        }
    }
    if found { Ok(()) } else { exits("no match") }
}
