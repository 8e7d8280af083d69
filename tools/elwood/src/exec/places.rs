//! Which folders of the host the program sees, and where: each at its own path.
//!
//! The current folder and the program's are writable; the module around the current folder and Go's own tree can be
//! read. Nothing else of the host is in the machine, unless `--share` says so. The guest's /tmp is its own memory; a
//! share of the host's /tmp itself is laid behind it, to be read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

/// Folders that the guest has itself and cannot do without.
const GUESTS_OWN: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/env", "/fd", "/lib", "/mnt", "/n", "/net", "/proc", "/rc", "/srv", "/usr",
];

/// A folder to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path, which is absolute and has no links and dots in it.
    pub path: String,
    /// Whether the program may change what is in it.
    pub writable: bool,
}

/// What is looked at to find them.
pub struct Around<'a> {
    /// The current folder.
    pub dir: &'a Path,
    /// The program's file, unless it is one of the guest's own.
    pub program: Option<&'a Path>,
    /// `$GOROOT`.
    pub goroot: Option<&'a OsStr>,
    /// What `--share` says: `DIR` or `DIR:rw`.
    pub said: &'a [String],
}

/// The folders, each before those that lie in it, none twice.
///
/// # Errors
/// A folder that was asked for and is not there, or that would hide the guest's own.
pub fn places(around: &Around<'_>) -> Result<Vec<Place>> {
    let mut all = Vec::new();
    for said in around.said {
        let (dir, writable) = said.strip_suffix(":rw").map_or((said.as_str(), false), |dir| (dir, true));
        ensure!(Path::new(dir).is_dir(), "--share {said}: no folder {dir}");
        all.push(place(Path::new(dir), writable)?);
    }
    // A program can run in the guest's own folders, but those are not the host's.
    if !is_guests_own(around.dir) {
        all.push(place(around.dir, true)?);
    }
    if let Some(folder) = around.program.and_then(Path::parent) {
        all.push(place(folder, true)?);
    }
    let module = around.dir.ancestors().find(|d| d.join("go.mod").is_file());
    let tree = around.dir.ancestors().find(|d| d.join("VERSION").is_file() && d.join("src/runtime").is_dir());
    let goroot = around.goroot.map(Path::new).filter(|d| d.join("src").is_dir());
    for dir in [module, tree, goroot].into_iter().flatten().filter(|d| !is_guests_own(d)) {
        all.push(place(dir, false)?);
    }
    Ok(tidy(all))
}

fn is_guests_own(dir: &Path) -> bool {
    dir.to_str().is_some_and(|dir| GUESTS_OWN.contains(&dir))
}

fn place(dir: &Path, writable: bool) -> Result<Place> {
    let path: PathBuf = dir.canonicalize()?;
    let Some(text) = path.to_str().filter(|t| !t.contains(char::is_control)) else {
        bail!("{}: Plan 9 has no such names", path.display());
    };
    ensure!(
        !is_guests_own(&path),
        "{text}: the guest has a {text} of its own, so nothing in that folder of the host can be run"
    );
    Ok(Place { path: text.into(), writable: writable && text != "/tmp" })
}

/// Sorts, and leaves out what another one shows as well.
fn tidy(mut all: Vec<Place>) -> Vec<Place> {
    // Of two for one folder the writable one comes first.
    all.sort_by(|a, b| (&a.path, b.writable).cmp(&(&b.path, a.writable)));
    let mut kept: Vec<Place> = Vec::new();
    for place in all {
        // What is nearest around it decides what can be done there.
        let around = kept.iter().rfind(|k| Path::new(&place.path).starts_with(&k.path));
        if around.is_none_or(|k| place.writable && !k.writable) {
            kept.push(place);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(all: &[(&str, bool)]) -> String {
        let all = all.iter().map(|&(path, writable)| Place { path: path.into(), writable }).collect();
        let kept = tidy(all);
        let words = kept.iter().map(|p| format!("{}{}", p.path, if p.writable { ":rw" } else { "" }));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn no_folder_is_shared_twice() {
        assert_eq!(shown(&[("/m/p", true), ("/m", false)]), "/m /m/p:rw");
        assert_eq!(shown(&[("/m/p", true), ("/m", true), ("/m/p/q", false)]), "/m:rw");
        assert_eq!(shown(&[("/m", false), ("/m", true)]), "/m:rw");
        assert_eq!(shown(&[("/a", false), ("/a/b", false), ("/ab", false)]), "/a /ab");
        assert_eq!(shown(&[("/a", false), ("/a/b", true), ("/a/b/c", false)]), "/a /a/b:rw");
    }

    #[test]
    fn the_folders_around_a_test() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let package = top.join("module/pkg/deep");
        let build = top.join("build");
        for made in [&package, &build, &top.join("go/src/runtime")] {
            std::fs::create_dir_all(made).unwrap();
        }
        std::fs::write(top.join("module/go.mod"), "module m\n").unwrap();
        std::fs::write(build.join("deep.test"), "").unwrap();
        let goroot = top.join("go");
        let around = Around {
            dir: &package,
            program: Some(&build.join("deep.test")),
            goroot: Some(goroot.as_os_str()),
            said: &[],
        };
        let found = places(&around).unwrap();
        let text: Vec<_> =
            found.iter().map(|p| (p.path.strip_prefix(top.to_str().unwrap()).unwrap(), p.writable)).collect();
        assert_eq!(text, [("/build", true), ("/go", false), ("/module", false), ("/module/pkg/deep", true)]);
        let said = ["/no/such/folder".to_owned()];
        assert!(places(&Around { said: &said, ..around }).is_err());
        assert!(places(&Around { said: &["/dev".into()], ..around }).is_err());
        let home = Around { dir: Path::new("/"), program: None, goroot: None, said: &[] };
        assert_eq!(places(&home).unwrap(), []);
    }
}
