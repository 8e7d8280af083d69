//! date [-u] [-n|-i|-t|-m] [-f format] [seconds]: print the date, now or of `seconds` since 1970; -u at Greenwich, -n
//! as seconds, -i and -t as ISO 8601 has days and times, -m as mail has them, -f as a format says.

use lib9::date::{Timezone, gmtime};
use lib9::{Args, Result, error, println, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-u] [-n|-i|-t|-m] [-f format] [seconds]";
    let (mut utc, mut form, mut format) = (false, ' ', "");
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'u' => utc = true,
            'f' => {
                form = 'f';
                format = flags.value().unwrap_or_else(|_| usage(args, synopsis));
            }
            'n' | 'i' | 't' | 'm' => form = letter,
            _ => usage(args, synopsis),
        }
    }
    const SECOND: i64 = 1_000_000_000;
    let (seconds, nanoseconds) = match flags.rest() {
        [] => {
            let now = proc::nsec();
            (now.div_euclid(SECOND), now.rem_euclid(SECOND) as u32)
        }
        [text] => (cmd::number::integer(text).ok_or_else(|| error!("bad number {text}"))?, 0),
        _ => usage(args, synopsis),
    };
    if form == 'n' {
        println!("{seconds}");
        return Ok(());
    }
    let tm = if utc { gmtime(seconds) } else { Timezone::local().tm(seconds) };
    match form {
        'i' => println!("{}", cmd::dates::day(&tm)),
        't' => println!("{}", cmd::dates::moment(&tm)),
        'f' => println!("{}", cmd::dates::formatted(&tm, nanoseconds, format)?),
        'm' => println!("{}", cmd::dates::mail(&tm)),
        _ => println!("{tm}"),
    }
    Ok(())
}
