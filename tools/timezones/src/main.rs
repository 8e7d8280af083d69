//! timezones DIR: writes the files of `/adm/timezone` into the folder, one for each zone that Plan 9 has a name for.
//!
//! The zones themselves are those of the time zone database, which `jiff` brings along, so that the same files are
//! made wherever this runs. What a file says is in timezone(6): two names and offsets, the usual ones and those in
//! summer, and when summers begin and end. There is only one pair of offsets for all years, and names have three
//! letters, so a year in which a zone kept another time than today is told as well as that allows.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::tz::{Dst, TimeZone};

/// Plan 9's names, and those of the database where they are not the same but for a slash.
const ZONES: &[(&str, &str)] = &[
    ("Argentina", "America/Argentina/Buenos_Aires"),
    ("Asia_Bahrain", ""),
    ("Asia_India", "Asia/Kolkata"),
    ("Australia_ACT", ""),
    ("Australia_LHI", ""),
    ("Australia_NSW", ""),
    ("Australia_North", ""),
    ("Australia_Queensland", ""),
    ("Australia_South", ""),
    ("Australia_Tasmania", ""),
    ("Australia_Victoria", ""),
    ("Australia_West", ""),
    ("Brazil_East", ""),
    ("Brazil_West", ""),
    ("CET", "Europe/Berlin"),
    ("Canada_Atlantic", ""),
    ("Canada_Central", ""),
    ("Canada_Eastern", ""),
    ("Canada_Mountain", ""),
    ("Canada_Newfoundland", ""),
    ("Canada_Pacific", ""),
    ("Chile_Continental", ""),
    ("Chile_EasterIsland", ""),
    ("Cuba", ""),
    ("EET", "Europe/Helsinki"),
    ("Egypt", ""),
    ("GB-Eire", ""),
    ("HST", "Pacific/Honolulu"),
    ("Hongkong", ""),
    ("Iceland", ""),
    ("Iran", ""),
    ("Israel", ""),
    ("Jamaica", ""),
    ("Japan", ""),
    ("Libya", ""),
    ("Mexico_BajaNorte", ""),
    ("Mexico_BajaSur", ""),
    ("Mexico_General", ""),
    ("NZ", ""),
    ("NZ-CHAT", ""),
    ("PRC", ""),
    ("Poland", ""),
    ("ROC", ""),
    ("ROK", ""),
    ("Singapore", ""),
    ("Turkey", ""),
    ("US_Alaska", ""),
    ("US_Arizona", ""),
    ("US_Central", ""),
    ("US_East-Indiana", ""),
    ("US_Eastern", ""),
    ("US_Hawaii", ""),
    ("US_Michigan", ""),
    ("US_Mountain", ""),
    ("US_Pacific", ""),
    ("Uruguay", "America/Montevideo"),
    ("W-SU", ""),
    ("WET", "Europe/Lisbon"),
];

/// The last second that a time of Plan 9's of old can be.
const LAST: i64 = i32::MAX as i64;
/// The year by which a zone's present rules are judged: 2036 begins.
const PRESENT: i64 = 2_082_758_400;
/// As many summers as Plan 9's library has room for.
const MOST: usize = 74;

/// A time of equal offset.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    begin: i64,
    end: i64,
    name: String,
    offset: i64,
    is_dst: bool,
}

/// What the zone kept since 1970.
fn spans(zone: &TimeZone) -> Vec<Span> {
    let begin = Timestamp::UNIX_EPOCH;
    let first = zone.to_offset_info(begin);
    let mut spans = vec![Span {
        begin: 0,
        end: LAST,
        name: first.abbreviation().to_string(),
        offset: first.offset().seconds().into(),
        is_dst: first.dst() == Dst::Yes,
    }];
    for change in zone.following(begin).take_while(|change| change.timestamp().as_second() < LAST) {
        let at = change.timestamp().as_second();
        if let Some(last) = spans.last_mut() {
            last.end = at;
        }
        spans.push(Span {
            begin: at,
            end: LAST,
            name: change.abbreviation().to_string(),
            offset: change.offset().seconds().into(),
            is_dst: change.dst() == Dst::Yes,
        });
    }
    spans
}

/// A name of three letters, which is what Plan 9's library reads.
fn short(name: &str) -> String {
    format!("{name:-<3.3}")
}

/// The text of a zone's file.
fn text(spans: &[Span]) -> Option<String> {
    let now = || spans.iter().filter(|span| span.end > PRESENT);
    let usual = now().min_by_key(|span| span.offset)?;
    // The summers of today, else of the last years that had any.
    let today = now().find(|span| span.offset > usual.offset);
    let summer =
        today.or(spans.iter().rfind(|span| span.is_dst && span.offset > usual.offset)).unwrap_or(usual);
    let mut out = String::new();
    let _ =
        writeln!(out, "{} {} {} {}", short(&usual.name), usual.offset, short(&summer.name), summer.offset);
    if summer == usual {
        return Some(out);
    }
    let mut summers: Vec<(i64, i64)> = Vec::new();
    for span in spans.iter().filter(|span| span.offset == summer.offset) {
        // The list ends at nothing, so it cannot begin there.
        let begin = (span.begin + usual.offset).max(1);
        let end = if span.end == LAST { LAST } else { (span.end + usual.offset).min(LAST) };
        match summers.last_mut() {
            Some(last) if last.1 == begin => last.1 = end,
            _ => summers.push((begin, end)),
        }
    }
    let from = summers.len().saturating_sub(MOST);
    for years in summers[from..].chunks(4) {
        let numbers: Vec<String> = years.iter().map(|(begin, end)| format!("{begin} {end}")).collect();
        let _ = writeln!(out, "{}", numbers.join(" "));
    }
    Some(out)
}

fn main() -> Result<()> {
    let folder = env::args().nth(1).context("usage: timezones DIR")?;
    fs::create_dir_all(&folder).with_context(|| folder.clone())?;
    for (name, zone) in ZONES {
        let zone = if zone.is_empty() { name.replace('_', "/") } else { (*zone).to_string() };
        let zone = TimeZone::get(&zone).with_context(|| zone.clone())?;
        let text = text(&spans(&zone)).with_context(|| format!("{name} keeps no time"))?;
        fs::write(Path::new(&folder).join(name), text).with_context(|| format!("{folder}/{name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(zone: &str) -> String {
        text(&spans(&TimeZone::get(zone).unwrap())).unwrap()
    }

    fn numbers(text: &str) -> Vec<i64> {
        text.lines().skip(1).flat_map(str::split_whitespace).map(|n| n.parse().unwrap()).collect()
    }

    /// The times are in standard time, as Plan 9's are: 2 o'clock on the last Sunday in April 1970.
    #[test]
    fn new_york_is_as_plan_9_has_it() {
        let text = file("US/Eastern");
        assert!(text.starts_with("EST -18000 EDT -14400\n9943200 25664400 41392800 57718800 "), "{text}");
        let n = numbers(&text);
        assert_eq!(n.len(), 2 * 68, "a summer a year from 1970 to 2037");
        // 2026: from the second Sunday in March, the 8th, to the first in November.
        assert_eq!(n[2 * 56..2 * 57], [1_772_935_200, 1_793_494_800]);
    }

    #[test]
    fn every_zone_has_a_file_that_can_be_read() {
        for (name, zone) in ZONES {
            let zone = if zone.is_empty() { name.replace('_', "/") } else { (*zone).to_string() };
            let text = file(&zone);
            let head: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
            let [usual, offset, summer, later] = head[..] else { panic!("{name}: {text}") };
            assert_eq!((usual.len(), summer.len()), (3, 3), "{name}: {text}");
            let [offset, later]: [i64; 2] = [offset, later].map(|n| n.parse().unwrap());
            assert!(later >= offset && later - offset <= 7200, "{name}: {text}");
            let n = numbers(&text);
            assert!(n.is_sorted_by(|a, b| a < b) && n.len().is_multiple_of(2), "{name}: {text}");
            assert!(n.len() <= 2 * MOST && n.iter().all(|t| (1..=LAST).contains(t)), "{name}: {text}");
            assert!(text.len() < 1680, "{name}: what Plan 9's library reads");
        }
    }

    #[test]
    fn places_without_summers_and_with_other_customs() {
        assert_eq!(file("Asia/Bahrain").lines().next(), Some("+03 10800 +03 10800"));
        assert_eq!(file("Iceland"), "GMT 0 GMT 0\n");
        assert!(file("Japan").starts_with("JST 32400 JST 32400\n"));
        // There winter is the exception.
        let dublin = file("Europe/Dublin");
        assert!(dublin.starts_with("GMT 0 IST 3600\n1 "), "{dublin}");
        // Summer is over the turn of the year.
        assert!(file("NZ").starts_with("NZS 43200 NZD 46800\n"), "{}", file("NZ"));
        assert!(file("Hongkong").starts_with("HKT 28800 HKS 32400\n"));
    }
}
