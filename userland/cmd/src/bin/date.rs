//! date [-un] [seconds]: print the date, now or of `seconds` since 1970; -u at Greenwich, -n as seconds.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use lib9::date::{Timezone, gmtime};
use lib9::{Args, Result, println, proc, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let (mut utc, mut number) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'u' => utc = true,
            'n' => number = true,
            _ => usage(args, "[-un] [seconds]"),
        }
    }
    let seconds = match flags.rest() {
        [] => proc::seconds(),
        [text] => cmd::number::integer(text).ok_or("bad number")?,
        _ => usage(args, "[-un] [seconds]"),
    };
    if number {
        println!("{seconds}");
    } else if utc {
        println!("{}", gmtime(seconds));
    } else {
        println!("{}", Timezone::local().tm(seconds));
    }
    Ok(())
}
