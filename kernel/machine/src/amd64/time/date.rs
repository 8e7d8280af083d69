//! What the real-time clock's registers mean, as arithmetic. Tested on the host.

/// Status B: numbers are binary, not two decimal digits.
const BINARY: u8 = 0x04;
/// Status B: hours count to 24.
const HOURS_24: u8 = 0x02;
/// In the hour, when they do not.
const AFTERNOON: u8 = 0x80;

/// Seconds since 1970 from second, minute, hour, day, month, year and century, under the mode bits of status B.
/// Nothing when they make no sense.
pub fn to_seconds(raw: [u8; 7], status_b: u8) -> Option<i64> {
    let number = |b: u8| i64::from(if status_b & BINARY != 0 { b } else { (b >> 4) * 10 + (b & 15) });
    let mut hour = number(raw[2] & !AFTERNOON);
    if status_b & HOURS_24 == 0 {
        hour = hour % 12 + if raw[2] & AFTERNOON != 0 { 12 } else { 0 };
    }
    let (second, minute, day, month) = (number(raw[0]), number(raw[1]), number(raw[3]), number(raw[4]));
    let century = match number(raw[6]) {
        c @ 19..=29 => c,
        _ => 20,
    };
    let year = century * 100 + number(raw[5]);
    let sane =
        second < 61 && minute < 60 && hour < 24 && (1..=31).contains(&day) && (1..=12).contains(&month);
    sane.then(|| days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Count years from March, so that the leap day is the last of the year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    y * 365 + leap_days + (153 * m + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_days() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2024, 2, 29), 19_782);
        assert_eq!(days(2100, 3, 1) - days(2100, 2, 28), 1);
    }

    #[test]
    fn all_four_register_modes_mean_the_same() {
        let want = Some(days(2026, 11, 22) * 86400 + 15 * 3600 + 4 * 60 + 59);
        assert_eq!(to_seconds([0x59, 0x04, 0x15, 0x22, 0x11, 0x26, 0x20], HOURS_24), want);
        assert_eq!(to_seconds([59, 4, 15, 22, 11, 26, 20], HOURS_24 | BINARY), want);
        assert_eq!(to_seconds([0x59, 0x04, 0x83, 0x22, 0x11, 0x26, 0x20], 0), want);
        assert_eq!(to_seconds([59, 4, 0x83, 22, 11, 26, 0], BINARY), want);
    }

    #[test]
    fn twelve_o_clock_is_understood() {
        let at = |hour| to_seconds([0, 0, hour, 1, 1, 0x70, 0x19], 0);
        assert_eq!(at(0x12), Some(0));
        assert_eq!(at(0x92), Some(12 * 3600));
    }

    #[test]
    fn nonsense_is_no_time() {
        assert_eq!(to_seconds([0xff; 7], 0xff), None);
    }
}
