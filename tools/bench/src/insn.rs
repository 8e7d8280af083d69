//! Instructions: how many of the guest's an operation takes, and whether they have become more than those that are
//! kept.
//!
//! A plugin of QEMU's translator counts them between marks of the guest (`plugin/count.c`). Of a row's repetitions the
//! least counts: what comes on top is a clock's interrupt now and then. The kernel's own are compared; what the
//! program around them has depends on the C compiler. `insn.json` keeps what was counted, and the Rust that the kernel
//! was built with and the QEMU; with others, a row that has grown is told and does not fail.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use vm::{Accel, Board, Vm};

use crate::guest::{Elwood, Machine, Much, SERVE, WIRE_PORT, is_wired, other_end, serving};
use crate::rows::operations;
use crate::{compile, share, table};

/// How much more a row may have, in percent.
const BOUND: f64 = 5.0;
/// The same, of a row of which five runs on a busy host had 3 %: reader and writer of a pipe do not always take turns
/// at the same bytes.
const PIPE: f64 = 8.0;
/// The same, of a row that waits for a device of QEMU's, of which those runs had up to 9 %, and others 16 %. Whether
/// the guest halts, and what the clock does meanwhile, hangs on how fast the host answers; by a network, how many
/// packets come together as well (2 to 4 % in three runs on a host with six times as much to do as it can).
const WAITING: f64 = 25.0;
/// Rows of the user network.
const NETWORK: &str = "net.user.";
/// Operations of a repetition. A tenth of them where each is a process.
const OPERATIONS: u32 = 200;
const REPETITIONS: u32 = 7;
/// Of the requests of #9: enough to see each message of an operation. The other rows of 9P count for minutes.
const REQUESTS: &str =
    "9p.stat.u,9p.fstat.u,9p.pread1_open.u,9p.open_close.u,9p.open_read1_close.u,9p.create_unlink.u";

/// What is counted, and what is done with it.
#[derive(Args)]
pub struct Options {
    /// Only rows whose names contain one of these words; then nothing is missed
    #[arg(long, default_value = "")]
    rows: String,
    /// Keep what is counted now
    #[arg(long)]
    keep: bool,
    /// Where it is kept
    #[arg(long, default_value = "tools/bench/insn.json")]
    kept: PathBuf,
    /// The Rust that the kernel was built with
    #[arg(long, default_value = "unknown")]
    rust: String,
    /// Tell only what has changed
    #[arg(long)]
    short: bool,
}

/// What one operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// Instructions of the kernel.
    pub kernel: f64,
    /// With those of the program around them.
    pub all: f64,
}

/// What is kept.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The Rust that the kernel was built with.
    rust: String,
    /// The QEMU, without the last of its numbers.
    qemu: String,
    /// An operation of each row.
    rows: BTreeMap<String, Count>,
}

/// What has become of a row.
#[derive(Debug, PartialEq)]
enum Change {
    /// It takes so many percent more, and may not.
    Grew(f64),
    /// It takes so many percent less: more than it may take more.
    Shrank(f64),
    /// Nothing was kept of it.
    New,
    /// It was not counted.
    Gone,
}

/// Counts, tells, and keeps if it is to. False when a row has grown.
pub fn run(options: &Options, kernel: &Path) -> Result<bool> {
    let qemu = vm::qemu_version()?;
    let folder = tempfile::Builder::new().prefix("bench").tempdir()?;
    if let Err(why) = plugins_work(folder.path()) {
        println!("bench: no instructions are counted, skipped: {why:#}");
        return Ok(true);
    }
    let now = Kept {
        rust: options.rust.clone(),
        qemu: format!("{}.{}", qemu.major, qemu.minor),
        rows: count(kernel, folder.path(), &options.rows)?,
    };
    ensure!(!now.rows.is_empty(), "no row that is counted has such a name");
    let kept = match std::fs::read(&options.kept) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| options.kept.display().to_string())?,
        Err(_) if options.keep => Kept::default(),
        Err(error) => bail!("{}: {error}", options.kept.display()),
    };
    if !options.short {
        print!("{}", as_text(&now.rows));
    }
    if options.keep {
        for (name, change) in compare(&kept, &now, options.rows.is_empty()) {
            println!("{name}: {change:.1?}");
        }
        let mut kept = kept;
        (kept.rust, kept.qemu) = (now.rust, now.qemu);
        if options.rows.is_empty() {
            kept.rows.clear();
        }
        kept.rows.extend(now.rows);
        std::fs::write(&options.kept, serde_json::to_string_pretty(&kept)? + "\n")?;
        println!("bench: kept in {}", options.kept.display());
        return Ok(true);
    }
    let (told, good) = judge(&kept, &now, options.rows.is_empty());
    print!("{told}");
    Ok(good)
}

/// Fails with the reason if nothing can be counted here.
pub fn plugins_work(folder: &Path) -> Result<()> {
    ensure!(compile::has_gcc(), "there is no gcc, which 'boot/deps bench' installs");
    let qemu = vm::qemu_version()?;
    let plugin = compile::plugin(folder, qemu)?;
    let mut command = Command::new(vm::qemu());
    command.args([
        "-M",
        "none",
        "-accel",
        "tcg",
        "-nodefaults",
        "-display",
        "none",
        "-monitor",
        "stdio",
        "-S",
    ]);
    command.arg("-plugin").arg(argument(&plugin, &folder.join("probe"), ""));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("QEMU")?;
    if let Some(mut monitor) = child.stdin.take() {
        // One that has taken offence is not there any more.
        let _ = monitor.write_all(b"quit\n");
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "QEMU {qemu} takes no plugin of ours: {said}");
    Ok(())
}

/// What follows `-plugin`.
fn argument(plugin: &Path, out: &Path, more: &str) -> String {
    format!("file={},out={}{more}", plugin.display(), out.display())
}

/// The machine that everything is counted on.
pub const MACHINE: Machine = Machine { board: Board::Q35, smp: 1, accel: Accel::Tcg };

/// Runs a set with the plugin: what the guest has printed, and what the plugin has written.
pub fn run_counted(
    kernel: &Path,
    folder: &Path,
    set: &str,
    only: &str,
    more: &str,
) -> Result<(String, String)> {
    let elwood = Elwood { kernel: kernel.into(), archive: compile::elwood_archive(folder)? };
    let plugin = compile::plugin(folder, vm::qemu_version()?)?;
    let out = folder.join("counts");
    let share = if is_small(only) { share::small()? } else { share::whole()? };
    let port = other_end(set)?;
    let answering = || elwood.told(MACHINE.answering(folder), SERVE, "", WIRE_PORT);
    let _other = if is_wired(set) { Some(serving(answering())?) } else { None };
    let vm: Vm = MACHINE.with_devices(set, share.path(), folder)?;
    let vm = vm.arg("-plugin").arg(argument(&plugin, &out, more));
    let said = elwood.run(vm, set, only, &Much::Operations(OPERATIONS), REPETITIONS, port)?;
    Ok((said, std::fs::read_to_string(out).context("what the plugin has written")?))
}

/// Whether these rows want no more than small files of the share.
fn is_small(only: &str) -> bool {
    only.split(',').all(|name| !name.starts_with("9p.") || REQUESTS.split(',').any(|small| small == name))
}

/// Counts the rows whose names contain one of the words.
fn count(kernel: &Path, folder: &Path, words: &str) -> Result<BTreeMap<String, Count>> {
    let chosen: Vec<&str> = table::chosen(words).into_iter().map(|row| row.name).collect();
    let requests: Vec<&str> = REQUESTS.split(',').filter(|name| chosen.contains(name)).collect();
    let cpu: Vec<&str> = chosen.iter().copied().filter(|name| name.starts_with("cpu.")).collect();
    let network: Vec<&str> = chosen.iter().copied().filter(|name| name.starts_with(NETWORK)).collect();
    let mut rows = BTreeMap::new();
    for (set, names) in [("cpu", cpu), ("9pmeta", requests), ("netuser", network)] {
        if !names.is_empty() {
            let (said, counted) = run_counted(kernel, folder, set, &names.join(","), "")?;
            let all = read(&said, &counted)?;
            rows.extend(all.into_iter().filter(|(name, _)| names.contains(&name.as_str())));
        }
    }
    Ok(rows)
}

/// Puts together the guest's lines and the plugin's, which come in the same order.
fn read(said: &str, counted: &str) -> Result<BTreeMap<String, Count>> {
    let rows: Vec<(&str, u64)> = said.lines().filter_map(operations).collect();
    let counts: Vec<&str> = counted.lines().filter(|line| !line.starts_with(['@', '!'])).collect();
    ensure!(rows.len() == counts.len(), "{} rows and {} lines of counts", rows.len(), counts.len());
    let mut read = BTreeMap::new();
    for ((name, operations), line) in rows.into_iter().zip(counts) {
        let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let each = numbers.chunks_exact(2).map(|pair| (pair[0], pair[0] + pair[1])).min();
        let (kernel, all) = each.with_context(|| format!("{name}: nothing was counted"))?;
        let of = |n: u64| (n as f64 / operations as f64 * 10.0).round() / 10.0;
        read.insert(name.to_owned(), Count { kernel: of(kernel), all: of(all) });
    }
    Ok(read)
}

/// How much more a row may have, in percent.
fn bound(name: &str) -> f64 {
    match name {
        "cpu.pipe_64k" => PIPE,
        _ if name.starts_with("9p.") || name.starts_with(NETWORK) => WAITING,
        _ => BOUND,
    }
}

/// What has become of the rows. `complete`: all were to be counted.
fn compare(kept: &Kept, now: &Kept, complete: bool) -> Vec<(String, Change)> {
    let mut changes = Vec::new();
    for (name, count) in &now.rows {
        let Some(old) = kept.rows.get(name) else {
            changes.push((name.clone(), Change::New));
            continue;
        };
        let percent = 100.0 * (count.kernel - old.kernel) / old.kernel.max(1.0);
        if percent > bound(name) {
            changes.push((name.clone(), Change::Grew(percent)));
        } else if percent < -bound(name) {
            changes.push((name.clone(), Change::Shrank(-percent)));
        }
    }
    let gone = kept.rows.keys().filter(|name| complete && !now.rows.contains_key(*name));
    changes.extend(gone.map(|name| (name.clone(), Change::Gone)));
    changes
}

/// What is to be told of the rows, and whether all is good.
fn judge(kept: &Kept, now: &Kept, complete: bool) -> (String, bool) {
    let alike = kept.rust == now.rust && kept.qemu == now.qemu;
    let (mut told, mut good) = (String::new(), true);
    for (name, change) in compare(kept, now, complete) {
        let [old, new] = [kept, now].map(|all| all.rows.get(&name).map_or(0.0, |count| count.kernel));
        told += &match change {
            Change::Grew(percent) => {
                good &= !alike;
                let (fails, most) = (if alike { "GREW   " } else { "grew   " }, bound(&name));
                format!(
                    "{fails} {name}: {old} -> {new} instructions, {percent:.1} % more ({most} % may be)\n"
                )
            }
            Change::Shrank(percent) => {
                format!("shrank  {name}: {old} -> {new} instructions, {percent:.1} % less; --keep it\n")
            }
            Change::New => format!("new     {name}: {new} instructions; --keep it\n"),
            Change::Gone => {
                good = false;
                format!("GONE    {name}: {old} instructions are kept, and it was not counted\n")
            }
        };
    }
    if !alike {
        let [old, new] = [kept, now].map(|with| format!("{}, QEMU {}", with.rust, with.qemu));
        told += &format!("bench: counted with {old}, and now with {new}: what has grown is no failure\n");
    }
    told += &format!(
        "bench: {} rows counted, {}\n",
        now.rows.len(),
        if good { "none has grown" } else { "FAILED" }
    );
    if good && !alike {
        told = told.replace(", none has grown", "");
    }
    (told, good)
}

/// All rows, with what they should become.
fn as_text(rows: &BTreeMap<String, Count>) -> String {
    let mut text = format!("{:28} {:>10} {:>10} {:>8}\n", "row", "kernel", "all", "goal");
    for row in table::ROWS {
        if let Some(count) = rows.get(row.name) {
            let goal = row.goal_insn.map_or(String::new(), |goal| format!("{goal:.0}"));
            let line = format!("{:28} {:>10.1} {:>10.1} {goal:>8}", row.name, count.kernel, count.all);
            text += &format!("{}\n", line.trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rows: &[(&str, f64)]) -> Kept {
        let rows =
            rows.iter().map(|(name, kernel)| ((*name).to_owned(), Count { kernel: *kernel, all: *kernel }));
        Kept { rust: "rustc 1.95.0".into(), qemu: "7.2".into(), rows: rows.collect() }
    }

    #[test]
    fn a_row_that_grows_fails() {
        let old = kept(&[("cpu.getppid", 500.0), ("cpu.write_devnull", 900.0)]);
        let (told, good) = judge(&old, &kept(&[("cpu.getppid", 525.0), ("cpu.write_devnull", 900.0)]), true);
        assert!(good, "{told}");
        let (told, good) = judge(&old, &kept(&[("cpu.getppid", 526.0), ("cpu.write_devnull", 900.0)]), true);
        assert!(!good && told.contains("GREW    cpu.getppid: 500 -> 526 instructions, 5.2 % more"), "{told}");
        assert!(!told.contains("write_devnull"), "{told}");
    }

    #[test]
    fn a_row_that_waits_has_a_wider_bound() {
        let old = kept(&[("9p.stat.u", 1000.0)]);
        assert!(judge(&old, &kept(&[("9p.stat.u", 1249.0)]), true).1);
        assert!(!judge(&old, &kept(&[("9p.stat.u", 1251.0)]), true).1);
    }

    #[test]
    fn a_row_that_shrinks_or_is_new_is_told_and_one_that_is_gone_fails() {
        let old = kept(&[("cpu.getppid", 500.0), ("cpu.old", 1.0)]);
        let now = kept(&[("cpu.getppid", 400.0), ("cpu.new", 7.0)]);
        let (told, good) = judge(&old, &now, true);
        assert!(!good, "{told}");
        for part in
            ["shrank  cpu.getppid: 500 -> 400", "20.0 % less", "new     cpu.new: 7", "GONE    cpu.old: 1"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        let (told, good) = judge(&old, &now, false);
        assert!(good && !told.contains("GONE"), "only some were to be counted: {told}");
    }

    #[test]
    fn another_compiler_or_qemu_is_told_and_fails_nothing() {
        let old = kept(&[("cpu.getppid", 500.0)]);
        let now = Kept { qemu: "10.0".into(), ..kept(&[("cpu.getppid", 600.0)]) };
        let (told, good) = judge(&old, &now, true);
        assert!(good && told.contains("grew    cpu.getppid") && told.contains("QEMU 10.0"), "{told}");
        let now = Kept { rust: "rustc 1.99.0".into(), ..kept(&[("cpu.getppid", 600.0)]) };
        assert!(judge(&old, &now, true).1);
    }

    #[test]
    fn the_least_repetition_counts() {
        let said = "USERLAND\nR calib.start 1 ns 1 1 2 10\nR cpu.x 5 us 4 9 3 100\nBENCH-END broke=0\n";
        let counted = "0 50 0 50 \n@ ffffffff80000000 5 5\n! 3 lock\n50100 1000 49100 1000 60000 900 \n";
        let rows = read(said, counted).unwrap();
        assert_eq!(rows["cpu.x"], Count { kernel: 491.0, all: 501.0 });
        assert_eq!(rows["calib.start"], Count { kernel: 0.0, all: 5.0 });
        assert!(read(said, "0 50\n").is_err(), "a line is missing");
        assert!(read(said, "0 50\n\n").is_err(), "nothing was counted");
    }

    #[test]
    fn what_is_counted_wants_small_files() {
        assert!(is_small(REQUESTS) && is_small("cpu.getppid,cpu.stat_root"));
        assert!(!is_small("9p.stat.u,9p.lsl2000.u.cold"));
    }

    #[test]
    fn what_is_kept_is_of_rows_that_are_there() {
        let kept: Kept = serde_json::from_str(include_str!("../insn.json")).unwrap();
        assert!(kept.rows.len() >= 20, "{kept:?}");
        let counted = |name: &str| {
            ["cpu.", NETWORK].iter().any(|set| name.starts_with(set))
                || REQUESTS.split(',').any(|r| r == name)
        };
        for name in kept.rows.keys() {
            assert!(table::ROWS.iter().any(|row| row.name == name), "{name}");
        }
        for row in table::ROWS.iter().filter(|row| counted(row.name)) {
            assert!(kept.rows.contains_key(row.name), "{} is counted, and not kept", row.name);
        }
    }
}
