//! When a page was changed, as servers tell it.

/// Days of the months before this one, in a year that begins with March: so the leap day comes last.
const BEFORE: [i64; 12] = [306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`; nothing when it has another form.
pub fn seconds(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(", ")?;
    let words: [&str; 5] = rest.split(' ').collect::<alloc::vec::Vec<_>>().try_into().ok()?;
    let [day, month, year, time, "GMT"] = words else { return None };
    let number = |text: &str, least: i64, most: i64| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| is_number && (least..=most).contains(n))
    };
    let (day, year) = (number(day, 1, 31)?, number(year, 1601, 9999)?);
    let month = MONTHS.iter().position(|m| *m == month)?;
    let mut parts = time.split(':');
    let mut part = |most| number(parts.next()?, 0, most);
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    let year = if month < 2 { year - 1 } else { year };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + BEFORE.get(month)? + day - 1 - 719_468;
    parts.next().is_none().then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds;
    use lib9::date::gmtime;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        // Every day of eight centuries, against the calendar that goes the other way.
        for day in -100_000..190_000 {
            let tm = gmtime(day * 86_400 + 3_661);
            let text = alloc::format!("{}, {:02} {} {} 01:01:01 GMT", tm.day(), tm.mday, tm.month(), tm.year);
            assert_eq!(seconds(&text), Some(day * 86_400 + 3_661), "{text}");
        }
        for bad in [
            "",
            "0",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6x Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:1 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
