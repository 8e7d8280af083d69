//! What is told of times: on the terminal, as JSON, as a plot, and as a table in the papers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::plot::{self, Bar};
use crate::rows::{Rows, Series};
use crate::table::{ROWS, Row};

/// On what it was timed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The host's processor.
    pub processor: String,
    /// How many the host has.
    pub processors: usize,
    /// The only one that was used.
    pub pinned: Option<usize>,
    /// The host's load when it began.
    pub load: f64,
    pub date: String,
    /// What was timed.
    pub commit: String,
    pub qemu: String,
    /// The version of Linux.
    pub linux: String,
    pub board: String,
    pub smp: u32,
    pub accelerator: String,
    pub rounds: u32,
    /// With more than this, in percent, others disturb.
    pub quiet: f64,
}

impl About {
    /// What the files are called.
    fn name(&self) -> String {
        let smp = if self.smp == 1 { String::new() } else { format!("-smp{}", self.smp) };
        let accelerator =
            if self.accelerator == "tcg" { String::new() } else { format!("-{}", self.accelerator) };
        format!("{}{smp}{accelerator}", self.board)
    }

    fn sentence(&self) -> String {
        let where_to = self.pinned.map_or(String::new(), |cpu| format!(", all of QEMU on processor {cpu}"));
        let smp = if self.smp == 1 { "one processor".into() } else { format!("{} processors", self.smp) };
        format!(
            "{} ({}, QEMU {} with {}, {smp}) on {} ({} of them, load {:.2}{where_to}); Linux {}; rounds: {}; {}; {}.",
            self.board,
            "512 MiB",
            self.qemu,
            self.accelerator.to_uppercase(),
            self.processor,
            self.processors,
            self.load,
            self.linux,
            self.rounds,
            self.date,
            self.commit
        )
    }
}

/// All figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub about: About,
    pub elwood: Rows,
    pub linux: Rows,
    pub floor: Rows,
}

impl Results {
    /// A row's figures: Elwood's, Linux's, the floor's.
    fn of(&self, row: &Row) -> [Option<&Series>; 3] {
        let linux = row.linux.and_then(|name| self.linux.get(name));
        let floor = row.floor.and_then(|name| self.floor.get(name));
        [self.elwood.get(row.name), linux, floor]
    }

    /// Whether others were in the way of a row.
    fn is_disturbed(&self, row: &Row) -> bool {
        self.of(row).into_iter().flatten().any(|series| series.is_disturbed(self.about.quiet))
    }

    /// How many times as fast as Linux Elwood is.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let [elwood, linux, _] = self.of(row);
        elwood?.times_as_fast_as(linux?)
    }
}

/// Tells it, writes the JSON below `out`, and into the papers what belongs there. True unless a row was disturbed.
pub fn publish(results: &Results, rows: &[&Row], out: &Path, docs: &Path) -> Result<bool> {
    let name = results.about.name();
    let json = serde_json::to_string_pretty(results)? + "\n";
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    fs::write(out.join(format!("{name}.json")), &json)?;
    fs::write(out.join(format!("{name}.svg")), plot(results, rows))?;
    println!("{}\n\n{}", results.about.sentence(), table(results, rows, true));
    let disturbed: Vec<&str> =
        rows.iter().filter(|row| results.is_disturbed(row)).map(|row| row.name).collect();
    let is_missing = |row: &&Row| row.is_for(results.about.smp) && !results.elwood.contains_key(row.name);
    let missing = ROWS.iter().filter(is_missing).count();
    let why = if !disturbed.is_empty() {
        Some(format!("{} of {} rows were disturbed (marked *)", disturbed.len(), rows.len()))
    } else if missing > 0 {
        Some(format!("{missing} rows were not timed"))
    } else {
        None
    };
    if let Some(why) = why {
        println!(
            "bench: {why}, so the papers stay as they are; the figures are in {}/{name}.json",
            out.display()
        );
        return Ok(disturbed.is_empty());
    }
    let folder = docs.join("bench");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    fs::write(folder.join(format!("{name}.json")), &json)?;
    fs::write(folder.join(format!("{name}.svg")), plot(results, rows))?;
    let paper = docs.join("performance.md");
    let text = fs::read_to_string(&paper).with_context(|| paper.display().to_string())?;
    fs::write(&paper, put(&text, &name, &section(results, rows, &name))?)?;
    println!("bench: written to {}, {}/{name}.json and {name}.svg", paper.display(), folder.display());
    Ok(true)
}

/// What stands between the marks of the paper.
fn section(results: &Results, rows: &[&Row], name: &str) -> String {
    let sentence = results.about.sentence();
    format!(
        "{sentence}\n\n![Elwood beside Linux on {name}](bench/{name}.svg)\n\n{}",
        table(results, rows, false)
    )
}

/// Puts `section` between the marks of `name`, or behind everything with marks of its own.
fn put(paper: &str, name: &str, section: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- figures: {name} -->\n"), format!("<!-- end of figures: {name} -->\n"));
    let new = format!("{begin}\n{}\n{end}", wrapped(section));
    let Some((before, rest)) = paper.split_once(&begin) else {
        return Ok(format!("{}\n\n### {name}\n\n{new}", paper.trim_end()));
    };
    let (_, after) =
        rest.split_once(&end).with_context(|| format!("no '{}' in the paper", end.trim_end()))?;
    ensure!(!after.contains(&begin), "the mark of {name} is in the paper twice");
    Ok(format!("{before}{new}{after}"))
}

/// Breaks sentences, but no lines of tables and no pictures, at 118 columns.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with(['|', '!']) || line.is_empty() {
            lines.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > 118 {
                lines.push(std::mem::take(&mut current));
            }
            current += &format!("{}{word}", if current.is_empty() { "" } else { " " });
        }
        lines.push(current);
    }
    lines.join("\n") + "\n"
}

/// The table, as Markdown. With `padded` it can be read as it is; without, no line is too wide for the papers.
fn table(results: &Results, rows: &[&Row], padded: bool) -> String {
    let mut cells = vec![
        ["row", "what", "Elwood", "spread", "Linux", "times as fast", "floor", "goal"].map(String::from),
    ];
    cells.push([(); 8].map(|()| "---".to_owned()));
    for row in rows {
        let [elwood, linux, floor] = results.of(row);
        let Some(elwood) = elwood else { continue };
        let shown = |series: Option<&Series>| series.map_or(String::new(), |s| amount(s.median(), &s.unit));
        let mark = if results.is_disturbed(row) { " *" } else { "" };
        let goal = row.goal.filter(|_| results.about.board == "q35").map_or(String::new(), |goal| {
            format!("{}{}", amount(goal, &elwood.unit), if elwood.reaches(goal) { ", there" } else { "" })
        });
        cells.push([
            row.name.into(),
            row.what.into(),
            shown(Some(elwood)) + mark,
            format!("{:.0} %", elwood.spread()),
            shown(linux),
            results.ratio(row).map_or(String::new(), digits),
            shown(floor),
            goal,
        ]);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..8).map(|column| if padded { width(column) } else { 0 }).collect();
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| match cell.as_str() {
            "---" => format!(" {:-<width$} ", cell),
            _ => format!(" {cell:width$} "),
        });
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    cells.iter().map(line).collect()
}

/// So much of a unit, in the next larger one where it is many.
fn amount(value: f64, unit: &str) -> String {
    let larger = [("ns", "us"), ("us", "ms"), ("ms", "s")].into_iter().find(|(small, _)| *small == unit);
    match larger {
        Some((_, larger)) if value >= 10_000.0 => amount(value / 1000.0, larger),
        _ => format!("{} {unit}", digits(value)),
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn plot(results: &Results, rows: &[&Row]) -> String {
    let bar = |row: &&Row| {
        let ratio = results.ratio(row)?;
        Some(Bar { name: row.what.into(), id: row.name.into(), ratio, is_sure: !results.is_disturbed(row) })
    };
    let bars: Vec<Bar> = rows.iter().filter_map(bar).collect();
    plot::ratios(&format!("Elwood beside Linux on {}: times as fast", results.about.name()), &bars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::chosen;

    fn series(unit: &str, value: f64, others: f64) -> Series {
        Series { unit: unit.into(), values: vec![value], others: vec![others] }
    }

    fn results(others: f64) -> Results {
        let about =
            About { board: "q35".into(), smp: 1, accelerator: "tcg".into(), quiet: 8.0, ..About::default() };
        let mut results = Results { about, ..Results::default() };
        for row in ROWS {
            let unit = if row.name.contains("seq") || row.name.contains("64k") { "MB/s" } else { "us" };
            results.elwood.insert(row.name.into(), series(unit, 50.0, others));
            if let Some(name) = row.linux {
                results.linux.insert(name.into(), series(unit, 100.0, 1.0));
            }
        }
        results
    }

    #[test]
    fn a_quiet_whole_table_goes_into_the_papers() {
        let dir = tempfile::tempdir().unwrap();
        let (out, docs) = (dir.path().join("out"), dir.path().join("docs"));
        fs::create_dir(&docs).unwrap();
        let paper = docs.join("performance.md");
        let text = "# Head\n\n<!-- figures: q35 -->\nbefore\n<!-- end of figures: q35 -->\n\n## Tail\n";
        fs::write(&paper, text).unwrap();
        assert!(publish(&results(1.0), &chosen(""), &out, &docs).unwrap());
        let now = fs::read_to_string(&paper).unwrap();
        assert!(now.starts_with("# Head\n\n<!-- figures: q35 -->\n\nq35 (512 MiB"), "{now}");
        assert!(
            now.ends_with("<!-- end of figures: q35 -->\n\n## Tail\n") && !now.contains("before"),
            "{now}"
        );
        let stat = now.lines().find(|line| line.starts_with("| 9p.stat.u ")).unwrap();
        let cells: Vec<&str> = stat.split('|').map(str::trim).collect();
        assert_eq!(cells[3..8], ["50.0 us", "0 %", "100 us", "2.00", ""]);
        assert!(stat.contains("100 us, there"), "{stat}");
        let json: Results = serde_json::from_slice(&fs::read(docs.join("bench/q35.json")).unwrap()).unwrap();
        assert_eq!(json, results(1.0));
        assert!(fs::read_to_string(docs.join("bench/q35.svg")).unwrap().starts_with("<svg "));
    }

    #[test]
    fn what_was_disturbed_or_is_not_whole_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (out, docs) = (dir.path().join("out"), dir.path().join("docs"));
        assert!(!publish(&results(20.0), &chosen(""), &out, &docs).unwrap());
        assert!(!docs.exists() && out.join("q35.json").exists());
        let told = table(&results(20.0), &chosen("cpu.getppid"), true);
        assert!(told.contains("50.0 us *"), "{told}");
        let mut few = results(1.0);
        few.elwood.remove("cpu.getppid");
        assert!(publish(&few, &chosen("9p"), &out, &docs).unwrap());
        assert!(!docs.exists());
    }

    #[test]
    fn other_machines_have_other_names() {
        let name = |board: &str, smp, accelerator: &str| {
            About { board: board.into(), smp, accelerator: accelerator.into(), ..About::default() }.name()
        };
        assert_eq!(name("q35", 1, "tcg"), "q35");
        assert_eq!(name("microvm", 2, "kvm"), "microvm-smp2-kvm");
        let paper = put("# Head\n", "pc", "text\n").unwrap();
        assert!(paper.contains("### pc\n\n<!-- figures: pc -->\n\ntext\n"), "{paper}");
        let again = put(&paper, "pc", "other\n").unwrap();
        assert_eq!(again, paper.replace("text", "other"));
    }

    #[test]
    fn no_line_is_too_wide_for_the_papers() {
        let mut results = results(20.0);
        for rows in [&mut results.elwood, &mut results.linux] {
            rows.values_mut().for_each(|series| series.values = vec![9999.0]);
        }
        for row in ROWS {
            if let Some(floor) = row.floor {
                results.floor.insert(floor.into(), series("MB/s", 9999.0, 20.0));
            }
        }
        results.about.processor = "a processor with a long name ".repeat(9);
        for line in wrapped(&section(&results, &chosen(""), "q35")).lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }

    #[test]
    fn three_digits() {
        assert_eq!(
            [amount(30240.0, "ns"), amount(9999.0, "ns"), amount(3.0, "MB/s")],
            ["30.2 us", "9999 ns", "3.00 MB/s"]
        );
        assert_eq!([1234.5, 123.4, 12.34, 1.234, 0.0].map(digits), ["1234", "123", "12.3", "1.23", "0"]);
    }
}
