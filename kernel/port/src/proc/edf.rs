//! What a process says of its time: `period`, `deadline`, `cost` and the like in `/proc/n/ctl`, and `trace`.
//!
//! There is no scheduler that keeps deadlines, so nothing is ever admitted: what a process asks for is taken, judged as
//! Plan 9 judges it, and found not to be schedulable.

use abi::error;

use crate::error::Result;
use crate::proc::process::Proc;
use crate::proc::trace::{self, Event};

/// What a process wants, in microseconds; 0 is what was not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edf {
    period: u64,
    deadline: u64,
    cost: u64,
}

/// Carries out a message about `p`'s time, or of tracing; none when it is about something else.
///
/// # Errors
/// What is wrong with it, in Plan 9's words.
pub(crate) fn control(up: &Proc, p: &Proc, words: &[&str]) -> Option<Result<()>> {
    let (word, rest) = words.split_first()?;
    let wants = match *word {
        "period" | "deadline" | "cost" => 1,
        "sporadic" | "deadlinenotes" | "admit" | "extra" | "expel" | "event" => 0,
        "trace" => {
            let traced = match rest {
                [] => !trace::is_on(p),
                [how] => how.parse::<i64>().is_ok_and(|n| n != 0),
                _ => return Some(Err("args".into())),
            };
            trace::turn(p, traced);
            return Some(Ok(()));
        }
        _ => return None,
    };
    if rest.len() != wants {
        return Some(Err(error::ECMDARGS.into()));
    }
    Some(match (*word, rest.first()) {
        (_, Some(time)) => micros(time).map(|time| {
            let mut edf = p.edf.lock();
            let edf = edf.get_or_insert_default();
            match *word {
                "period" => edf.period = time,
                "deadline" => edf.deadline = time,
                _ => edf.cost = time,
            }
        }),
        ("admit", _) => match *p.edf.lock() {
            None => Err("edf params".into()),
            Some(edf) => Err(edf.refusal().into()),
        },
        ("event", _) => {
            trace::add(up, Event::User);
            Ok(())
        }
        // Nothing was admitted that could be expelled.
        ("expel", _) => Ok(()),
        _ => {
            p.edf.lock().get_or_insert_default();
            Ok(())
        }
    })
}

impl Edf {
    /// Why it is not admitted.
    fn refusal(&self) -> &'static str {
        let deadline = if self.deadline == 0 { self.period } else { self.deadline };
        if self.period == 0 {
            "T not set"
        } else if self.cost == 0 {
            "C not set"
        } else if deadline > self.period {
            "D > T"
        } else if self.cost > deadline {
            "C > D"
        } else {
            "not schedulable"
        }
    }
}

/// A time in microseconds: digits, perhaps a point and up to nine more, and a unit, seconds unless said.
fn micros(text: &str) -> Result<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, part) = match number.split_once('.') {
        Some((_, part)) if part.is_empty() || part.contains('.') => return Err("ill-formed number".into()),
        Some((_, part)) if part.len() > 9 => return Err("too many digits after decimal point".into()),
        Some(both) => both,
        None => (number, ""),
    };
    let unit = match unit {
        "" | "s" => 1_000_000_000u64,
        "ms" => 1_000_000,
        "us" | "µs" => 1000,
        "ns" => 1,
        _ => return Err("unrecognized unit".into()),
    };
    let whole = if whole.is_empty() { Ok(0) } else { whole.parse::<u64>() };
    let digits = part.bytes().fold(0u64, |n, digit| 10 * n + u64::from(digit.wrapping_sub(b'0')));
    let part = (0..part.len()).fold(digits.saturating_mul(unit), |n, _| n / 10);
    match whole {
        Ok(whole) => Ok(whole.saturating_mul(unit).saturating_add(part) / 1000),
        _ => Err("ill-formed number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, is) in [
            ("1", 1_000_000),
            ("1.5s", 1_500_000),
            ("20ms", 20_000),
            ("0.25ms", 250),
            ("300µs", 300),
            ("300us", 300),
            ("5000ns", 5),
            ("0.000001", 1),
            (".5ms", 500),
        ] {
            assert_eq!(micros(text).ok(), Some(is), "{text}");
        }
        for (text, says) in [
            ("1.", "ill-formed number"),
            ("1.0000000001", "too many digits after decimal point"),
            ("3 h", "unrecognized unit"),
            ("x", "unrecognized unit"),
            ("99999999999999999999", "ill-formed number"),
        ] {
            assert_eq!(micros(text).unwrap_err().text(), says, "{text}");
        }
        assert_eq!(micros("18446744073709551615s").ok(), Some(u64::MAX / 1000));
        assert!(micros("1.1.1").is_err());
    }
}
