//! Calendars, as cal prints them: of England and her colonies, where September 1752 was without eleven days.

use alloc::format;
use alloc::string::String;

use lib9::date::MONTHS;

const WEEK: [&str; 7] = [" S", " M", "Tu", " W", "Th", " F", " S"];
/// Columns from one month to the next in a calendar of a year.
const WIDTH: usize = 23;

/// The month that a word means, from 1: its number, its name in lower case, or the first three letters of that.
pub fn month(word: &str) -> Option<u32> {
    if let Ok(n) = word.parse() {
        return (1..=12).contains(&n).then_some(n);
    }
    let is = |name: &str| {
        let name = name.to_ascii_lowercase();
        word == name || name.get(..3) == Some(word)
    };
    MONTHS.iter().position(|name| is(name)).map(|n| n as u32 + 1)
}

/// The letters of the days, from `first` on, Sunday being 0.
fn letters(first: u32) -> String {
    let mut days = WEEK;
    days.rotate_left(first as usize % 7);
    days.join(" ")
}

/// The calendar of a month; its weeks begin with the day `first`, Sunday being 0.
pub fn of_month(year: u32, month: u32, first: u32) -> String {
    let name = (month as usize).checked_sub(1).and_then(|n| MONTHS.get(n)).copied().unwrap_or("");
    let mut text = format!("   {name} {year}\n{}\n", letters(first));
    for week in weeks(year, month, first) {
        text.push_str(week.trim_end());
        text.push('\n');
    }
    text
}

/// The calendar of a year, likewise.
pub fn of_year(year: u32, begin: u32) -> String {
    let letters = letters(begin);
    let mut text = format!("\n\n\n{:32}{year}\n\n", "");
    for quarter in MONTHS.chunks(3).enumerate() {
        let (first, names) = (quarter.0 as u32 * 3 + 1, quarter.1);
        let mut line = String::new();
        for name in names {
            line.push_str(&format!("{:8} {:<14.3}", "", name));
        }
        text.push_str(line.trim_end());
        text.push_str(&format!("\n{letters}   {letters}   {letters}\n"));
        let months = [0, 1, 2].map(|n| weeks(year, first + n, begin));
        for week in 0..6 {
            let line: String =
                months.iter().map(|weeks| format!("{:WIDTH$}", weeks.get(week).map_or("", |w| w))).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text.push_str("\n\n\n");
    text
}

/// The six weeks of a month, three columns a day.
fn weeks(year: u32, month: u32, first: u32) -> [String; 6] {
    let mut weeks = [const { String::new() }; 6];
    let mut column = (weekday(year, month, 1) + 7 - first % 7) as usize % 7;
    weeks[0] = "   ".repeat(column);
    let mut week = 0;
    for day in 1..=days(year, month) {
        if (year, month) == (1752, 9) && (3..14).contains(&day) {
            continue;
        }
        if column == 7 {
            (column, week) = (0, week + 1);
        }
        if let Some(text) = weeks.get_mut(week) {
            text.push_str(&format!("{day:2} "));
        }
        column += 1;
    }
    weeks
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => {
            let gregorian = year > 1752;
            28 + u32::from(
                year.is_multiple_of(4)
                    && (!gregorian || !year.is_multiple_of(100) || year.is_multiple_of(400)),
            )
        }
        _ => 31,
    }
}

/// The day of the week, Sunday 0.
fn weekday(year: u32, month: u32, day: u32) -> u32 {
    // Counted from March, so that the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let julian = (year, month, day) < (1752, 9, 14);
    let leaps = if julian { y / 4 + 5 } else { y / 4 - y / 100 + y / 400 };
    (365 * y + leaps + (153 * m + 2) / 5 + day + 2) % 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months() {
        assert_eq!(
            of_month(2026, 11, 0),
            "   November 2026\n S  M Tu  W Th  F  S\n 1  2  3  4  5  6  7\n 8  9 10 11 12 13 14\n\
             15 16 17 18 19 20 21\n22 23 24 25 26 27 28\n29 30\n\n"
        );
        assert_eq!(
            of_month(1752, 9, 0),
            "   September 1752\n S  M Tu  W Th  F  S\n       1  2 14 15 16\n17 18 19 20 21 22 23\n\
             24 25 26 27 28 29 30\n\n\n\n"
        );
    }

    #[test]
    fn weeks_begin_where_they_are_told() {
        assert_eq!(
            of_month(2027, 2, 1),
            "   February 2027\n M Tu  W Th  F  S  S\n 1  2  3  4  5  6  7\n 8  9 10 11 12 13 14\n\
             15 16 17 18 19 20 21\n22 23 24 25 26 27 28\n\n\n"
        );
        assert!(of_month(2026, 11, 1).contains("\n                   1\n 2  3"));
        assert!(of_year(2026, 6).contains(" S  S  M Tu  W Th  F    S"));
    }

    #[test]
    fn known_days() {
        // 14 October 1066 was a Saturday, the first of January 1900 a Monday, and the year 1 began with a Saturday.
        for (year, month, day, want) in [
            (1066, 10, 14, 6),
            (1900, 1, 1, 1),
            (1, 1, 1, 6),
            (2000, 2, 29, 2),
            (1752, 9, 2, 3),
            (1752, 9, 14, 4),
        ] {
            assert_eq!(weekday(year, month, day), want, "{year}-{month}-{day}");
        }
        assert_eq!((days(1900, 2), days(1700, 2), days(2000, 2)), (28, 29, 29));
    }

    #[test]
    fn years() {
        let text = of_year(2026, 0);
        assert!(text.starts_with("\n\n\n                                2026\n\n"), "{text}");
        assert_eq!(text.lines().filter(|l| l.starts_with(" S")).count(), 4);
        let line = text.lines().find(|l| l.ends_with(" 31")).unwrap();
        assert!(line.len() <= 2 * WIDTH + 20, "{line}");
        assert!(
            text.lines().any(|l| l.trim() == "Jan                    Feb                    Mar"),
            "{text}"
        );
    }

    #[test]
    fn words_for_months() {
        assert_eq!(month("sep"), Some(9));
        assert_eq!(month("september"), Some(9));
        assert_eq!(month("12"), Some(12));
        for bad in ["13", "0", "se", "Sep", "", "sept"] {
            assert_eq!(month(bad), None, "{bad}");
        }
    }
}
