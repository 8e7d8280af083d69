//! Dates: seconds since 1970 as calendar days and times of day, and the time zone of `$timezone`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// The names of the months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAY: i64 = 24 * 60 * 60;

/// A point in time taken apart. It prints as `ctime(2)` does, without the newline: `Sat Nov 21 10:00:00 GMT 2026`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tm {
    /// 0 to 59.
    pub sec: u8,
    /// 0 to 59.
    pub min: u8,
    /// 0 to 23.
    pub hour: u8,
    /// Day of the month, 1 to 31.
    pub mday: u8,
    /// Month, 0 to 11.
    pub mon: u8,
    /// Year, as 2026.
    pub year: i64,
    /// Day of the week, Sunday 0.
    pub wday: u8,
    /// Day of the year, from 0.
    pub yday: u16,
    /// Abbreviation of the zone.
    pub zone: String,
    /// Seconds east of Greenwich.
    pub tzoff: i32,
}

impl Tm {
    /// The month's name.
    pub fn whole_month(&self) -> &'static str {
        MONTHS.get(usize::from(self.mon)).copied().unwrap_or("???")
    }

    /// The day's name.
    pub fn whole_day(&self) -> &'static str {
        DAYS.get(usize::from(self.wday)).copied().unwrap_or("???")
    }

    /// The month's three letters.
    pub fn month(&self) -> &'static str {
        self.whole_month().get(..3).unwrap_or("???")
    }

    /// The day's three letters.
    pub fn day(&self) -> &'static str {
        self.whole_day().get(..3).unwrap_or("???")
    }
}

impl fmt::Display for Tm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tm { sec, min, hour, mday, zone, year, .. } = self;
        let (day, month) = (self.day(), self.month());
        write!(f, "{day} {month} {mday:2} {hour:02}:{min:02}:{sec:02} {zone} {year}")
    }
}

/// A zone: its usual name and offset, the ones in summer, and when summers begin and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timezone {
    standard: (String, i32),
    summer: (String, i32),
    changes: Vec<(i64, i64)>,
}

impl Timezone {
    /// Greenwich.
    pub fn gmt() -> Self {
        Timezone { standard: ("GMT".into(), 0), summer: ("GMT".into(), 0), changes: Vec::new() }
    }

    /// Reads a file of `/adm/timezone`: `EST -18000 EDT -14400`, then begin and end of each summer in seconds.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(|c: char| c.is_whitespace() || c == '\0').filter(|w| !w.is_empty());
        let mut zone = || Some((String::from(words.next()?), words.next()?.parse().ok()?));
        let standard = zone()?;
        let summer = zone()?;
        let times: Vec<i64> = words.map_while(|w| w.parse().ok()).collect();
        let changes = times.chunks_exact(2).map(|t| (t[0], t[1])).collect();
        Some(Timezone { standard, summer, changes })
    }

    /// The zone of `$timezone`, else of `/adm/timezone/local`, else Greenwich.
    pub fn local() -> Self {
        let file = || crate::file::read_string("/adm/timezone/local").ok();
        let text = crate::file::read_string("/env/timezone").ok().filter(|t| !t.is_empty()).or_else(file);
        text.and_then(|t| Timezone::parse(&t)).unwrap_or_else(Timezone::gmt)
    }

    /// Takes a time apart as people in the zone read it.
    pub fn tm(&self, seconds: i64) -> Tm {
        // The table counts from standard time.
        let local = seconds.saturating_add(i64::from(self.standard.1));
        let summer = self.changes.iter().any(|&(begin, end)| local >= begin && local < end);
        let (zone, offset) = if summer { &self.summer } else { &self.standard };
        split(seconds.saturating_add(i64::from(*offset)), zone, *offset)
    }
}

/// Takes a time apart at Greenwich.
pub fn gmtime(seconds: i64) -> Tm {
    split(seconds, "GMT", 0)
}

fn split(seconds: i64, zone: &str, tzoff: i32) -> Tm {
    let days = seconds.div_euclid(DAY);
    let rest = seconds.rem_euclid(DAY);
    // Years of 146097 days in 400, counted from March so that the leap day comes last.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * from_march + 2) / 153;
    let mday = from_march - (153 * month_from_march + 2) / 5 + 1;
    let mon = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(mon < 2);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let yday = if mon < 2 { from_march - 306 } else { from_march + 59 + i64::from(leap) };
    Tm {
        sec: (rest % 60) as u8,
        min: (rest / 60 % 60) as u8,
        hour: (rest / 3600) as u8,
        mday: mday as u8,
        mon: mon as u8,
        year,
        wday: (days + 4).rem_euclid(7) as u8,
        yday: yday as u16,
        zone: zone.into(),
        tzoff,
    }
}

/// A modification time in twelve columns, as `ls -l` prints it: `Nov 21 10:00` within half a year, else `Nov 21  2026`.
pub fn short(seconds: i64, now: i64, zone: &Timezone) -> String {
    let tm = zone.tm(seconds);
    let (month, mday) = (tm.month(), tm.mday);
    if seconds > now - 182 * DAY && seconds <= now + DAY {
        format!("{month} {mday:2} {:02}:{:02}", tm.hour, tm.min)
    } else {
        format!("{month} {mday:2}  {:4}", tm.year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn known_days() {
        assert_eq!(gmtime(0).to_string(), "Thu Jan  1 00:00:00 GMT 1970");
        assert_eq!(gmtime(951_782_400).to_string(), "Tue Feb 29 00:00:00 GMT 2000");
        assert_eq!(gmtime(1_795_255_200).to_string(), "Sat Nov 21 10:00:00 GMT 2026");
        assert_eq!(gmtime(-1).to_string(), "Wed Dec 31 23:59:59 GMT 1969");
        assert_eq!(gmtime(951_782_400).yday, 59);
        assert_eq!(gmtime(978_220_800).yday, 365);
        assert_eq!(gmtime(946_684_800).yday, 0);
    }

    #[test]
    fn summers() {
        let z = Timezone::parse("EST -18000 EDT -14400\n 100000 200000\n 300000 400000\n").unwrap();
        assert_eq!(z.tm(100_000 + 18_000).zone, "EDT");
        assert_eq!(z.tm(100_000 + 17_999).zone, "EST");
        assert_eq!(z.tm(200_000 + 18_000).to_string(), "Sat Jan  3 07:33:20 EST 1970");
        assert_eq!(Timezone::parse("junk"), None);
    }

    #[test]
    fn short_dates() {
        let now = 1_795_255_200;
        let z = Timezone::gmt();
        assert_eq!(short(now, now, &z), "Nov 21 10:00");
        assert_eq!(short(now - 200 * DAY, now, &z), "May  5  2026");
        assert_eq!(short(now + 2 * DAY, now, &z), "Nov 23  2026");
    }
}
