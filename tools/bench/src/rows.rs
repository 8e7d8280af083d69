//! Figures: what a guest prints, medians, spread, and how much faster one is than another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One figure of one boot.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The row.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what: ns, us, ms, MB/s, or requests.
    pub unit: &'static str,
}

/// The units that guests may say.
const UNITS: [&str; 5] = ["ns", "us", "ms", "MB/s", "s"];

/// What a guest has printed, as figures. What is no figure, or is not whole, is left out.
pub fn parse(said: &str) -> Vec<Figure> {
    said.lines().filter_map(|line| result(line).or_else(|| requests(line)).or_else(|| ticks(line))).collect()
}

/// `R NAME MEDIAN UNIT LEAST GREATEST REPETITIONS OPERATIONS`
fn result(line: &str) -> Option<Figure> {
    let words: Vec<&str> = line.strip_prefix("R ")?.split_whitespace().collect();
    let [name, value, unit, _, _, _, _] = words[..] else { return None };
    let unit = UNITS.into_iter().find(|known| *known == unit)?;
    Some(Figure { name: name.into(), value: value.parse().ok()?, unit })
}

/// `# rpc NAME COUNT`: requests an operation.
fn requests(line: &str) -> Option<Figure> {
    let words: Vec<&str> = line.strip_prefix("# rpc ")?.split_whitespace().collect();
    let [name, value] = words[..] else { return None };
    Some(Figure { name: format!("{name}.rpcs"), value: value.parse().ok()?, unit: "requests" })
}

/// `F NAME TICKS COUNT KBYTES`, of the floor, whose ticks are 10 ns.
fn ticks(line: &str) -> Option<Figure> {
    let words: Vec<&str> = line.strip_prefix("F ")?.split_whitespace().collect();
    let [name, ticks, count, kbytes] = words[..] else { return None };
    let [ticks, count, kbytes] = [ticks, count, kbytes].map(|number| number.parse::<f64>().ok());
    let (seconds, count, kbytes) = (ticks? * 1e-8, count?, kbytes?);
    let (value, unit) = match name {
        _ if kbytes > 0.0 => (kbytes * 1024.0 / seconds / 1e6, "MB/s"),
        name if name.contains("lsl") => (seconds * 1e3, "ms"),
        name if name.contains("readdir") => (seconds / count * 1e3, "ms"),
        _ => (seconds / count * 1e6, "us"),
    };
    (name != "warmup" && value.is_finite()).then(|| Figure { name: format!("floor.{name}"), value, unit })
}

/// How often a repetition of a counted row has done its work: the last word of its line.
pub fn operations(line: &str) -> Option<(&str, u64)> {
    let words: Vec<&str> = line.strip_prefix("R ")?.split_whitespace().collect();
    let [name, _, _, _, _, _, operations] = words[..] else { return None };
    Some((name, operations.parse().ok().filter(|n| *n > 0)?))
}

/// The figures of a row from several boots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What they count.
    pub unit: String,
    /// One of each boot.
    pub values: Vec<f64>,
    /// How much of the host's processors others had meanwhile, in percent, for each.
    pub others: Vec<f64>,
}

impl Series {
    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        median(&self.values)
    }

    /// How far the values are apart, in percent of the median.
    pub fn spread(&self) -> f64 {
        let most = self.values.iter().copied().fold(f64::MIN, f64::max);
        let least = self.values.iter().copied().fold(f64::MAX, f64::min);
        let median = self.median();
        if median > 0.0 { 100.0 * (most - least) / median } else { 0.0 }
    }

    /// Whether others had more than this in one of the boots.
    pub fn is_disturbed(&self, most: f64) -> bool {
        self.others.iter().any(|others| *others > most)
    }

    /// How many times as fast this is as `other`: more than 1 is faster, whatever the unit.
    pub fn times_as_fast_as(&self, other: &Series) -> Option<f64> {
        let scale = scale(&other.unit)? / scale(&self.unit)?;
        let ratio = other.median() * scale / self.median();
        let ratio = if is_rate(&self.unit) { 1.0 / ratio } else { ratio };
        (is_rate(&self.unit) == is_rate(&other.unit) && ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }

    /// Whether it has reached `goal`.
    pub fn reaches(&self, goal: f64) -> bool {
        if is_rate(&self.unit) { self.median() >= goal } else { self.median() <= goal }
    }
}

/// Whether more is better.
fn is_rate(unit: &str) -> bool {
    unit == "MB/s"
}

/// A unit of time in nanoseconds.
fn scale(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "MB/s" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    })
}

/// The middle of some values; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// The rows of one guest.
pub type Rows = BTreeMap<String, Series>;

/// Adds a boot's figures to a guest's rows; others had so much of the host meanwhile.
pub fn add(rows: &mut Rows, figures: Vec<Figure>, others: f64) {
    for figure in figures {
        let series = rows.entry(figure.name).or_default();
        series.unit = figure.unit.into();
        series.values.push(figure.value);
        series.others.push(others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(unit: &str, values: &[f64]) -> Series {
        Series { unit: unit.into(), values: values.into(), others: vec![0.0; values.len()] }
    }

    #[test]
    fn lines_become_figures() {
        let said = "USERLAND\n# reps 5\nR cpu.getppid 152.5 ns 150 160 5 2000\nR half 1 ns\nR odd 1 bogus 1 1 1 1\n\
                    # rpc 9p.stat.u 3\nF poll.L.stat 13406500 1000 0\nF warmup 1 1 1\n\
                    F poll.L.read1m 1000000 64 65536\nF hlt.L.lsl2000 100000 2000 0\nF poll.x 0 0 0\n\
                    R cpu.x nonsense ns 1 1 1 1\nBENCH-END broke=0\n";
        let figures = parse(said);
        let told: Vec<(&str, f64, &str)> =
            figures.iter().map(|f| (f.name.as_str(), f.value, f.unit)).collect();
        assert_eq!(
            told,
            [
                ("cpu.getppid", 152.5, "ns"),
                ("9p.stat.u.rpcs", 3.0, "requests"),
                ("floor.poll.L.stat", 134.065, "us"),
                ("floor.poll.L.read1m", 6710.8864, "MB/s"),
                ("floor.hlt.L.lsl2000", 1.0, "ms"),
            ]
        );
        assert_eq!(operations("R cpu.getppid 152.5 ns 150 160 5 2000"), Some(("cpu.getppid", 2000)));
        assert_eq!(operations("R cpu.getppid 152.5 ns 150 160 5 0"), None);
    }

    #[test]
    fn medians_and_spread() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(series("us", &[90.0, 100.0, 120.0]).spread(), 30.0);
        assert_eq!(series("us", &[]).spread(), 0.0);
    }

    #[test]
    fn faster_is_more_than_one_whatever_the_unit() {
        let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?} {b}");
        close(series("us", &[100.0]).times_as_fast_as(&series("us", &[200.0])), 2.0);
        close(series("us", &[1.0]).times_as_fast_as(&series("ns", &[500.0])), 0.5);
        close(series("MB/s", &[100.0]).times_as_fast_as(&series("MB/s", &[200.0])), 0.5);
        assert_eq!(series("MB/s", &[100.0]).times_as_fast_as(&series("us", &[200.0])), None);
        assert_eq!(series("us", &[0.0]).times_as_fast_as(&series("us", &[200.0])), None);
        assert!(series("us", &[99.0]).reaches(100.0) && !series("us", &[101.0]).reaches(100.0));
        assert!(series("MB/s", &[101.0]).reaches(100.0) && !series("MB/s", &[99.0]).reaches(100.0));
    }

    #[test]
    fn one_disturbed_boot_disturbs_the_row() {
        let mut rows = Rows::new();
        let figure = || vec![Figure { name: "cpu.x".into(), value: 1.0, unit: "ns" }];
        add(&mut rows, figure(), 2.0);
        assert!(!rows["cpu.x"].is_disturbed(8.0));
        add(&mut rows, figure(), 9.0);
        assert!(rows["cpu.x"].is_disturbed(8.0));
        assert_eq!(rows["cpu.x"].values.len(), 2);
    }
}
