//! Dates in the forms that others want.

use alloc::format;
use alloc::string::String;
use core::iter::Peekable;
use core::str::Chars;

use lib9::date::Tm;

/// The day as ISO 8601 has it: `2026-11-29`.
pub fn day(tm: &Tm) -> String {
    format!("{:04}-{:02}-{:02}", tm.year, tm.mon + 1, tm.mday)
}

/// The moment as ISO 8601 has it: `2026-11-29T18:00:00+01:00`.
pub fn moment(tm: &Tm) -> String {
    format!("{}T{:02}:{:02}:{:02}{}", day(tm), tm.hour, tm.min, tm.sec, offset(tm, ":"))
}

/// As RFC 5322 has it: `Sun, 29 Nov 2026 18:00:00 +0100`.
pub fn mail(tm: &Tm) -> String {
    let (weekday, month) = (tm.day(), tm.month());
    format!(
        "{weekday}, {} {month} {} {:02}:{:02}:{:02} {}",
        tm.mday,
        tm.year,
        tm.hour,
        tm.min,
        tm.sec,
        offset(tm, "")
    )
}

/// The moment, as a format of Plan 9's tmdate(2) says: letters stand for parts of it, in as many digits or letters as
/// they are repeated; `_` before them for blanks, what is in brackets for itself. `nanoseconds` are those of the
/// second.
///
/// # Errors
/// When something is repeated too often, or a bracket is open.
pub fn formatted(tm: &Tm, nanoseconds: u32, format: &str) -> Result<String, &'static str> {
    const BAD: &str = "garbled format";
    let mut out = String::new();
    let mut rest = format.chars().peekable();
    while rest.peek().is_some() {
        let mut room = 0;
        while rest.next_if_eq(&'_').is_some() {
            room += 1;
        }
        let Some(letter) = rest.next() else { break };
        if letter == '[' {
            quoted(&mut rest, &mut out).ok_or(BAD)?;
            continue;
        }
        let mut times = 1;
        while rest.next_if_eq(&letter).is_some() {
            times += 1;
        }
        let Some(part) = part(tm, nanoseconds, letter, times) else {
            // These say how a date is read, and not how it is written.
            if !matches!(letter, '?' | '~') {
                out.extend(core::iter::repeat_n(letter, times));
            }
            continue;
        };
        let part = part.ok_or(BAD)?;
        let width = if room > 0 { room + times } else { 0 };
        out.extend(core::iter::repeat_n(' ', width.saturating_sub(part.chars().count())));
        out.push_str(&part);
    }
    Ok(out)
}

/// What is in brackets, which may be nested; a backslash takes the meaning from what follows.
fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    let mut depth = 1;
    loop {
        let mut c = rest.next()?;
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '\\' => c = rest.next()?,
            _ => {}
        }
        if depth == 0 {
            return Some(());
        }
        out.push(c);
    }
}

/// What a letter stands for. Nothing when it stands for itself, and nothing inside when it is there too often.
#[allow(clippy::option_option)] // These are two questions.
fn part(tm: &Tm, nanoseconds: u32, letter: char, times: usize) -> Option<Option<String>> {
    // A number, and the digits that it has for each number of letters; 0 is as many as it needs.
    let number = |n: i64, digits: &[usize]| digits.get(times - 1).map(|&digits| format!("{n:0digits$}"));
    let (hour, minute, second) = (i64::from(tm.hour), i64::from(tm.min), i64::from(tm.sec));
    let (micro, nano) = (i64::from(nanoseconds) / 1000, i64::from(nanoseconds));
    Some(match (letter, times) {
        ('Y', 2) => Some(format!("{:02}", tm.year.rem_euclid(100))),
        ('Y', 1 | 4) => Some(format!("{}", tm.year)),
        ('Y', _) => None,
        ('M', 3) => Some(tm.month().into()),
        ('M', 4) => Some(tm.whole_month().into()),
        ('M', _) => number(i64::from(tm.mon) + 1, &[0, 2]),
        ('D', _) => number(i64::from(tm.mday), &[0, 2]),
        ('W', 1) => Some(format!("{}", tm.wday + 1)),
        ('W', 2) => Some(tm.day().into()),
        ('W', 3) => Some(tm.whole_day().into()),
        ('W', _) => None,
        ('h', _) => number(hour, &[0, 2]),
        ('H', _) => number(hour % 12, &[0, 2]),
        ('m', _) => number(minute, &[0, 2]),
        ('s', _) => number(second, &[0, 2]),
        ('t', _) => number(nano / 1_000_000, &[0, 3, 3]),
        ('u', 1 | 2) => number(micro % 1000, &[0, 3]),
        ('u', _) => number(micro, &[0, 0, 0, 6]),
        ('n', 1 | 2) => number(nano % 1000, &[0, 3]),
        ('n', 3 | 4) => number(nano % 1_000_000, &[0, 0, 0, 6]),
        ('n', _) => number(nano, &[0, 0, 0, 0, 0, 9]),
        ('Z', 1) | ('z', 1) => Some(offset(tm, "")),
        ('Z', 2) => Some(offset(tm, ":")),
        ('Z', 3) => Some(tm.zone.clone()),
        ('Z' | 'z', _) => None,
        ('a', 1) => Some(if tm.hour < 12 { "am" } else { "pm" }.into()),
        ('A', 1) => Some(if tm.hour < 12 { "AM" } else { "PM" }.into()),
        ('a' | 'A', _) => None,
        ('o', 1) => Some(
            match tm.mday {
                1 | 21 | 31 => "st",
                2 | 22 => "nd",
                3 | 23 => "rd",
                _ => "th",
            }
            .into(),
        ),
        ('o', _) => None,
        _ => return None,
    })
}

/// How far east of Greenwich it is.
fn offset(tm: &Tm, between: &str) -> String {
    let minutes = tm.tzoff.unsigned_abs() / 60;
    let sign = if tm.tzoff < 0 { '-' } else { '+' };
    format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lib9::date::{Timezone, gmtime};

    #[test]
    fn formats() {
        let tm = gmtime(1_795_255_205);
        let now = |format: &str| formatted(&tm, 123_456_789, format);
        assert_eq!(now("WW MMM _D hh:mm:ss ZZZ YYYY").unwrap(), alloc::string::ToString::to_string(&tm));
        assert_eq!(now("YYYY-MM-DD[T]hh:mm:ssZZ").unwrap(), "2026-11-21T10:00:05+00:00");
        assert_eq!(now("YY Y M MMMM Do WWW W").unwrap(), "26 2026 11 November 21st Saturday 7");
        assert_eq!(
            now("h H m s __s a A Z x.t tt u uuuu nnnnnn").unwrap(),
            "10 10 0 5   5 am AM +0000 x.123 123 456 123456 123456789"
        );
        assert_eq!(now("[a [b] \\]]?M~!").unwrap(), "a [b] ]11!");
        assert_eq!(now("").unwrap(), "");
        for bad in ["YYY", "MMMMM", "DDD", "[x", "[\\", "hhh", "oo", "ZZZZ", "aa", "WWWW", "nnnnnnn"] {
            assert_eq!(now(bad), Err("garbled format"), "{bad}");
        }
        let night = gmtime(14 * 3600);
        assert_eq!(formatted(&night, 0, "_HHa Do_").unwrap(), " 02pm 1st");
    }

    #[test]
    fn forms() {
        let tm = gmtime(1_795_255_200);
        assert_eq!(moment(&tm), "2026-11-21T10:00:00+00:00");
        assert_eq!(mail(&tm), "Sat, 21 Nov 2026 10:00:00 +0000");
        let there = Timezone::parse("NST -12600 NDT -9000").unwrap().tm(1_795_255_200);
        assert_eq!(moment(&there), "2026-11-21T06:30:00-03:30");
        assert_eq!(mail(&there), "Sat, 21 Nov 2026 06:30:00 -0330");
        assert_eq!(day(&gmtime(-1)), "1969-12-31");
    }
}
