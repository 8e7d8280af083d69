//! The failures that are known. A line of the file is
//!
//! ```text
//! VERSION PACKAGE TEST fail|skip REASON...
//! ```
//!
//! VERSION is `*` or the beginning of one, as `1.24`. A test that is to be skipped is not run at all; that is for those
//! that would take the machine or the time of others.

use anyhow::{Result, bail};

use crate::events::is_part;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The test's package.
    pub package: String,
    /// Its name; a part of a test is meant with it.
    pub test: String,
    /// Whether it is not even run.
    pub skip: bool,
    /// Why.
    pub reason: String,
}

/// Those of this repository for a version of Go.
pub fn ours(version: &str) -> Result<Vec<Expectation>> {
    parse(include_str!("../expectations"), version)
}

fn parse(text: &str, version: &str) -> Result<Vec<Expectation>> {
    let mut out = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(of), Some(package), Some(test), Some(kind)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            bail!("expectations: {line}");
        };
        let reason = words.collect::<Vec<_>>().join(" ");
        if !matches!(kind, "fail" | "skip") || reason.is_empty() {
            bail!("expectations: {line}");
        }
        let is_of = of == "*" || version.strip_prefix(of).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        if is_of {
            out.push(Expectation {
                package: package.into(),
                test: test.into(),
                skip: kind == "skip",
                reason,
            });
        }
    }
    Ok(out)
}

/// The line that says that this test fails.
pub fn find<'a>(known: &'a [Expectation], package: &str, test: &str) -> Option<&'a Expectation> {
    known.iter().find(|k| !k.skip && k.package == package && is_part(test, &k.test))
}

/// What `go test -skip` is to be given. It goes by names alone, so a name counts for all the packages.
pub fn skip_pattern(known: &[Expectation], packages: &[&str]) -> String {
    let exact = |test: &str| test.split('/').map(|part| format!("^{part}$")).collect::<Vec<_>>().join("/");
    let skipped = known.iter().filter(|k| k.skip && packages.contains(&k.package.as_str()));
    skipped.map(|k| exact(&k.test)).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text =
            "# note\n\n* os TestA fail no network\n1.24 os TestB/x skip too long\n1.2 io TestC fail why\n";
        let of = |version| parse(text, version).unwrap();
        assert_eq!(of("1.27.3").len(), 1);
        let old = of("1.24.11");
        assert_eq!(old.len(), 2);
        assert_eq!(find(&old, "os", "TestA/part").unwrap().reason, "no network");
        assert_eq!(find(&old, "os", "TestAB"), None);
        assert_eq!(find(&old, "os", "TestB/x"), None);
        assert_eq!(skip_pattern(&old, &["os"]), "^TestB$/^x$");
        assert_eq!(skip_pattern(&old, &["io"]), "");
        for bad in ["* os TestA", "* os TestA fail", "* os TestA pass why"] {
            assert!(parse(bad, "1").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_file_is_good() {
        assert!(ours("1.27.3").is_ok());
    }
}
