//! cal [-s day] [month] [year]: print the calendar of a month or a year; weeks begin with the day, Monday being 1.

use cmd::cal::{month, of_month, of_year};
use lib9::date::Timezone;
use lib9::{Args, Result, print, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let now = Timezone::local().tm(proc::seconds());
    let this_month = u32::from(now.mon) + 1;
    let this_year = u32::try_from(now.year).unwrap_or(1970);
    let year = |word: &str| word.parse().ok().filter(|y| (1..=9999).contains(y)).ok_or("bad year");
    let synopsis = "[-s day] [month] [year]";
    let mut first = 0;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let day = if letter == 's' { flags.value().ok() } else { None };
        let day = day.and_then(|day| day.parse::<u32>().ok()).filter(|day| (1..=7).contains(day));
        // Sunday is 7, and 0.
        first = day.unwrap_or_else(|| usage(args, synopsis)) % 7;
    }
    match flags.rest() {
        [] => print!("{}", of_month(this_year, this_month, first)),
        [word] => match month(word) {
            Some(month) => print!("{}", of_month(this_year, month, first)),
            None => print!("{}", of_year(year(word)?, first)),
        },
        [name, second] => {
            print!("{}", of_month(year(second)?, month(name).ok_or("bad month")?, first));
        }
        _ => usage(args, synopsis),
    }
    Ok(())
}
