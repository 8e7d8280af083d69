#![forbid(unsafe_code)]
//! Runs tests of Go's standard library in Elwood, as a user would: `go test -exec 'elwood exec'` with GOOS=plan9.
//!
//! [`toolchain`] finds or fetches Go, [`events`] reads what `go test -json` says, [`expectations`] has the failures
//! that are known by name and why they are. A failure that is not among them makes this fail; one that does not fail
//! is told.

mod events;
mod expectations;
mod report;
mod toolchain;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// The packages, in the order of the report.
const PACKAGES: &[&str] = &[
    "errors",
    "bytes",
    "strings",
    "strconv",
    "fmt",
    "sort",
    "io",
    "io/fs",
    "bufio",
    "path",
    "path/filepath",
    "os",
    "os/exec",
    "net",
    "net/http",
    "net/http/httptest",
    "net/rpc",
    "net/smtp",
    "net/textproto",
    "syscall",
    "time",
    "sync",
    "sync/atomic",
    "runtime",
    "text/template",
    "encoding/binary",
    "math",
    "math/rand",
    "hash/crc32",
    "crypto/sha256",
    "crypto/tls",
    "regexp",
    "flag",
    "log",
];

/// Those that `make test` runs when the toolchain is there.
const FEW: &[&str] = &["errors", "strings", "sort", "io", "syscall"];

/// Memory of a machine, in MiB. The tests of runtime want this much.
const MEMORY_MIB: u32 = 2048;

#[derive(Parser)]
#[command(about = "Run tests of Go's standard library in Elwood")]
struct Options {
    /// The version of Go; $GO_TOOLCHAIN, the folder of a toolchain that is there, is used instead of any
    #[arg(long = "go", default_value = toolchain::VERSIONS[0].0)]
    version: String,
    /// The packages, with blanks between them; all that are known to work unless said
    #[arg(long, default_value = "")]
    packages: String,
    /// Only a few packages, and nothing at all if the toolchain would have to be fetched
    #[arg(long)]
    few: bool,
    /// Only tests whose names match this, as `go test -run` takes it
    #[arg(long)]
    run: Option<String>,
    /// Run each test that many times
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Machines at once
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Time for a package
    #[arg(long, default_value = "10m")]
    timeout: String,
    /// The elwood command, with its kernel beside it
    #[arg(long, default_value = "build/elwood")]
    elwood: PathBuf,
    /// More options for elwood exec, with blanks between them
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    options: String,
    /// Show everything that the tests print
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gotest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the tests and tells the results; whether all is as it is expected.
fn run(options: &Options) -> Result<bool> {
    let there = toolchain::there(&options.version);
    let root = match there {
        Some(root) => root,
        None if options.few => {
            println!(
                "go-test: skipped, Go is not here; 'make go-test' fetches it, or GO_TOOLCHAIN says where it is"
            );
            return Ok(true);
        }
        None => toolchain::fetch(&options.version)?,
    };
    let elwood = options.elwood.canonicalize().with_context(|| options.elwood.display().to_string())?;
    let asked: Vec<&str> = options.packages.split_whitespace().collect();
    let packages = match (asked.is_empty(), options.few) {
        (false, _) => &asked,
        (true, true) => FEW,
        (true, false) => PACKAGES,
    };
    let version = toolchain::version_of(&root)?;
    println!("go-test: Go {version}, QEMU {}, {} packages", vm::qemu_version()?, packages.len());
    let known = expectations::ours(&version)?;
    let begun = Instant::now();
    let results = go_test(options, &root, &elwood, packages, &known)?;
    let good = report::tell(&results, &known, packages);
    println!("go-test: {:.0} s", begun.elapsed().as_secs_f64());
    Ok(good)
}

/// Runs `go test` and collects what it says.
fn go_test(
    options: &Options,
    root: &Path,
    elwood: &Path,
    packages: &[&str],
    known: &[expectations::Expectation],
) -> Result<events::Results> {
    let words = elwood.to_str().context("the path of elwood")?;
    ensure!(!words.contains(char::is_whitespace), "{words}: go test -exec takes no path with blanks");
    let mut command = Command::new(root.join("bin/go"));
    command
        .current_dir(root.join("src"))
        .args(["test", "-json", "-short", "-vet=off", "-count", &options.count.to_string()])
        .args(["-p", &options.jobs.to_string(), "-timeout", &options.timeout])
        .arg("-exec")
        .arg(format!("{words} exec -m {MEMORY_MIB} {}", options.options).trim_end());
    if let Some(run) = &options.run {
        command.args(["-run", run]);
    }
    let skip = expectations::skip_pattern(known, packages);
    if !skip.is_empty() {
        command.args(["-skip", &skip]);
    }
    let mut go = command
        .args(packages)
        .env("GOROOT", root)
        .env("GOOS", "plan9")
        .env("GOARCH", "amd64")
        .env("GOCACHE", vm::cache()?.join("go-build"))
        .env("GOTOOLCHAIN", "local")
        // The tests run in folders of their own.
        .env("QEMU", vm::qemu())
        .env("GOPROXY", "off")
        .env("GOFLAGS", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start go")?;
    let mut results = events::Results::default();
    let output = BufReader::new(go.stdout.take().context("no output")?);
    for line in output.lines() {
        let line = line?;
        match events::parse(&line) {
            Some(event) => {
                if options.verbose
                    && let Some(text) = &event.output
                {
                    print!("{text}");
                }
                if let Some(done) = results.add(event)
                    && let Some(package) = results.packages.get(&done)
                {
                    println!("{}", report::line(&done, package));
                }
            }
            None => println!("{line}"),
        }
    }
    go.wait()?;
    Ok(results)
}
