//! `elwood exec` with real machines. These want `make build` to have been run, so they run only when asked for:
//! `make test-exec`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What is tested, with its kernel beside it.
fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/elwood").canonicalize().expect("run 'make build'")
}

/// `elwood exec` in `dir`.
fn exec(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(built());
    command.current_dir(dir).args(["exec", "--accel", "tcg"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(dir: &Path, words: &[&str]) -> Output {
    exec(dir, words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until the machine has written `wanted`.
fn hears(child: &mut Child, wanted: &str) {
    let mut got = vec![0; wanted.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut got).unwrap();
    assert_eq!(text(&got), wanted);
}

fn wait(mut child: Child) -> ExitStatus {
    child.wait().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
#[ignore = "needs 'make build'"]
fn words_come_through_and_outputs_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo $#*; for(w) echo ($w); echo $ONE $TWO $#THREE; echo error >[1=2]";
    let out = exec(
        dir.path(),
        &["-env", "ONE", "-env=TWO=2 2", "rc", "-c", script, "a b", "", "it's", "ü\n", "-v"],
    )
    .env("ONE", "1")
    .env("THREE", "3")
    .output()
    .unwrap();
    assert_eq!(text(&out.stdout), "5\n(a b)\n()\n(it's)\n(ü\n)\n(-v)\n1 2 2 0\n".replace(['(', ')'], ""));
    assert_eq!(text(&out.stderr), "error\n");
    assert!(out.status.success());
}

#[test]
#[ignore = "needs 'make build'"]
fn input_is_any_bytes_and_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let sent: Vec<u8> = (0..100_000u32).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect();
    let mut child = exec(dir.path(), &["cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.stdout == sent, "{} of {} bytes came back", out.stdout.len(), sent.len());
    assert!(run(dir.path(), &["cat"]).stdout.is_empty());
}

#[test]
#[ignore = "needs 'make build'"]
fn statuses() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plain"), "echo\n").unwrap();
    std::fs::copy("/bin/true", dir.path().join("linux")).unwrap();
    for (words, status, told) in [
        (&["rc", "-c", "exit 3"][..], 3, ""),
        (&["rc", "-c", "exit usage"], 1, "elwood: the program ended with: usage\n"),
        (&["nothing"], 127, "elwood: '/bin/nothing' file does not exist\n"),
        (&["./plain"], 126, "permission denied\n"),
        (&["./linux"], 126, "/linux' exec header invalid\n"),
        (&["."], 126, "cannot exec directory\n"),
        (&["--append", "boot=/no", "echo"], 125, "file does not exist\n"),
    ] {
        let out = run(dir.path(), words);
        assert_eq!(out.status.code(), Some(status), "{words:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).ends_with(told), "{words:?}: {}", text(&out.stderr));
    }
}

#[test]
#[ignore = "needs 'make build'"]
fn the_folder_is_the_hosts_and_tmp_is_not() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let module = dir.path().canonicalize().unwrap();
    let package = module.join("a/p");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(module.join("go.mod"), "module m\n").unwrap();
    std::fs::write(module.join("data"), "d\n").unwrap();
    let script = "pwd; cat ../../data; echo made >new; @{ echo no >../new }; echo kept >/tmp/elwood-exec-test; \
                  cat /tmp/elwood-exec-test; ls /etc";
    let out = run(&package, &["rc", "-c", script]);
    let shown = text(&out.stdout);
    assert_eq!(shown, format!("{}\nd\nkept\n", package.display()));
    assert_eq!(std::fs::read_to_string(package.join("new")).unwrap(), "made\n");
    assert!(!module.join("a/new").exists() && !Path::new("/tmp/elwood-exec-test").exists());
    let told = text(&out.stderr);
    assert!(told.contains("/etc") && told.contains("../new"), "{told}");
}

#[test]
#[ignore = "needs 'make build'"]
fn signals_are_notes() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = exec(dir.path(), &["rc", "-c", "echo up; exec sleep 100"]).spawn().unwrap();
    hears(&mut child, "up\n");
    signal(&child, Signal::INT);
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", text(&out.stderr));
    let catches = "fn sigint { echo caught; exit 5 }; echo up; sleep 100";
    let mut child = exec(dir.path(), &["rc", "-c", catches]).spawn().unwrap();
    hears(&mut child, "up\n");
    signal(&child, Signal::INT);
    hears(&mut child, "caught\n");
    assert_eq!(wait(child).code(), Some(5));
    // Who does not listen gets a second chance of none.
    let mut child = exec(dir.path(), &["rc", "-c", "fn sigint {}; echo up; while() true"]).spawn().unwrap();
    hears(&mut child, "up\n");
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, Signal::INT);
    assert_eq!(wait(child).code(), Some(130));
}

#[test]
#[ignore = "needs 'make build'"]
fn time_and_readers_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let out = run(dir.path(), &["-timeout", "3s", "sleep", "100"]);
    assert_eq!(out.status.code(), Some(124), "{}", text(&out.stderr));
    assert!(begun.elapsed() < Duration::from_secs(30));
    let mut child = exec(dir.path(), &["rc", "-c", "while() echo y"]).spawn().unwrap();
    hears(&mut child, "y\ny\n");
    drop(child.stdout.take());
    assert_eq!(wait(child).code(), Some(141));
    // Who does not read what it writes does not keep it.
    let loops = ["-timeout", "3s", "rc", "-c", "while() echo y >[1=2]"];
    let mut child = exec(dir.path(), &loops).spawn().unwrap();
    let unread = child.stderr.take();
    assert_eq!(wait(child).code(), Some(124));
    drop(unread);
}

#[test]
#[ignore = "needs 'make build'"]
fn no_machine_outlives_its_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = exec(dir.path(), &["rc", "-c", "echo up; sleep 100"]).spawn().unwrap();
    hears(&mut child, "up\n");
    let mut qemus = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // "PID (NAME) STATE PARENT ..."
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
        if parent == Some(child.id()) {
            qemus.push(entry.path());
        }
    }
    assert_eq!(qemus.len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let lives = |process: &PathBuf| {
        let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    let end = Instant::now() + Duration::from_secs(10);
    while qemus.iter().any(lives) {
        assert!(Instant::now() < end, "QEMU runs on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs 'make build'"]
fn several_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> =
        ["1", "2", "3"].map(|n| exec(dir.path(), &["echo", n]).spawn().unwrap()).into_iter().collect();
    for (n, child) in (1..).zip(children) {
        let out = child.wait_with_output().unwrap();
        assert_eq!(text(&out.stdout), format!("{n}\n"), "{}", text(&out.stderr));
    }
}

/// A number that 'make test-many' gives, or a small one.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |n| n.parse().unwrap())
}

/// One machine after the other, and then as many at once: each says its own, and nothing is left of any.
#[test]
#[ignore = "needs 'make build'"]
fn again_and_again_and_all_at_once() {
    let (dir, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begin = |n: usize| {
        let mut command = exec(
            dir.path(),
            &["-m", "64", "rc", "-c", "echo $1; exit $2", &n.to_string(), &(n % 7).to_string()],
        );
        command.env("TMPDIR", temporary.path()).spawn().unwrap()
    };
    let end = |n: usize, child: Child| {
        let out = child.wait_with_output().unwrap();
        let said = (text(&out.stdout), out.status.code());
        assert_eq!(said, (format!("{n}\n"), Some((n % 7) as i32)), "{}", text(&out.stderr));
    };
    (0..number("IN_A_ROW", 3)).for_each(|n| end(n, begin(n)));
    let all: Vec<Child> = (0..number("AT_ONCE", 4)).map(begin).collect();
    all.into_iter().enumerate().for_each(|(n, child)| end(n, child));
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().flatten().map(|f| f.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The clock's rate as the kernel measured it at boot, in MHz. With `stalls` the host stops the machine again and again
/// meanwhile, each time for longer than the PIT's counter takes to go round.
fn measured_mhz(machine: &str, stalls: bool) -> u64 {
    let printed = Command::new(built())
        .args(["run", "--accel", "tcg", "--machine", machine, "--init", "echo up", "--print"])
        .output()
        .unwrap();
    let words = shlex::split(&text(&printed.stdout)).unwrap();
    let mut command = Command::new(&words[0]);
    let mut child = command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    while stalls && Instant::now() < end && child.try_wait().unwrap().is_none() {
        signal(&child, Signal::STOP);
        std::thread::sleep(Duration::from_millis(64));
        signal(&child, Signal::CONT);
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = text(&child.wait_with_output().unwrap().stdout);
    let line = said.lines().find(|l| l.starts_with("boot: pvh")).unwrap_or_else(|| panic!("{said}"));
    line.split(", ").find_map(|w| w.strip_suffix(" MHz")).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs 'make build'"]
fn a_host_that_stops_the_machine_does_not_spoil_its_clock() {
    for machine in ["microvm", "q35"] {
        let right = measured_mhz(machine, false);
        for _ in 0..4 {
            let stalled = measured_mhz(machine, true);
            assert!(stalled.abs_diff(right) < right / 10, "{machine}: {stalled} MHz, not {right}");
        }
    }
}

#[test]
#[ignore = "needs 'make build'"]
fn archives_are_laid_over_the_root_on_every_machine() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("news"), "laid over\n").unwrap();
    let archive = dir.path().join("a.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    builder.append_path_with_name(dir.path().join("news"), "lib/news").unwrap();
    builder.finish().unwrap();
    for machine in [&["-machine", "pc"][..], &["-M", "q35"], &[], &["-machine-option", "acpi=off"]] {
        let words = [machine, &["-initrd", "a.tar", "cat", "/lib/news"]].concat();
        let out = run(dir.path(), &words);
        assert_eq!(
            (text(&out.stdout), text(&out.stderr)),
            ("laid over\n".into(), String::new()),
            "{machine:?}"
        );
    }
    let out = run(dir.path(), &["-initrd", "news", "cat", "/lib/news"]);
    assert!(text(&out.stderr).contains("news: it is no tar archive") && !out.status.success(), "{out:?}");
}

#[test]
#[ignore = "needs 'make build'"]
fn a_script_on_standard_input_is_typed_and_its_end_ends_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("motd"), "of the host\n").unwrap();
    // What reads the console finds the end, too; and without any shell the machine has nothing to go on for.
    for (words, script) in [
        (&[][..], "cat /n/host/motd; sleep 1\ncat\ntyped\n"),
        (&[], "echo typed; cat /n/host/motd"),
        (
            &[
                "--append",
                "boot='/bin/rc -c ''. /lib/namespace; mount -d ''''#9'''' /dev/null /n/host host; while() cat'''",
            ],
            "",
        ),
        (&["--init", "cat /n/host/motd; for(i in 1 2 3) {cat; sleep 1}; echo typed"], ""),
        (&["--console", "virtio"], "echo typed\ncat /n/host/motd\n"),
    ] {
        let mut command = Command::new(built());
        command.current_dir(dir.path()).args(["run", "--accel", "tcg", "--share", "."]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(90), "{words:?} does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
        let out = child.wait_with_output().unwrap();
        let shown = text(&out.stdout);
        if !words.contains(&"--append") {
            assert!(shown.contains("of the host") && shown.contains("typed"), "{words:?}: {shown}");
            assert!(out.status.success(), "{words:?}: {shown}");
        }
    }
}
