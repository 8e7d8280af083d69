//! Which files exportfs(4) serves: names that go with all expressions behind `+` and with none behind `-`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::sys::Lock;

use crate::regexp::{self, Finder};

/// Expressions for names; without any all go with them.
#[derive(Default)]
pub struct Patterns {
    all: Vec<(bool, Lock<Finder>)>,
}

impl Patterns {
    /// Reads lines `+ RE` and `- RE`; others mean nothing.
    ///
    /// # Errors
    /// An expression is none.
    pub fn parse(text: &str) -> Result<Patterns, String> {
        let mut all = Vec::new();
        for line in text.lines() {
            let (wanted, pattern) = match (line.strip_prefix("+ "), line.strip_prefix("- ")) {
                (Some(pattern), _) => (true, pattern),
                (_, Some(pattern)) => (false, pattern),
                _ => continue,
            };
            let re = regexp::parse(pattern, false).map_err(|e| format!("{pattern}: {e}"))?;
            all.push((wanted, Lock::new(Finder::new(re))));
        }
        Ok(Patterns { all })
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Does the name in a directory, whose elements below the root these are, go with them?
    pub fn allow(&self, dir: &[Vec<u8>], name: &[u8]) -> bool {
        let mut path = Vec::new();
        for element in dir.iter().map(Vec::as_slice).chain([name]) {
            path.push(b'/');
            path.extend_from_slice(element);
        }
        self.all.iter().all(|(wanted, finder)| finder.lock().matches(&path) == *wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_with_all_and_with_none() {
        let allow = |text: &str, path: &str| {
            let mut elements: Vec<Vec<u8>> = path.split('/').map(|e| e.as_bytes().to_vec()).collect();
            let name = elements.pop().unwrap();
            Patterns::parse(text).unwrap().allow(&elements, &name)
        };
        let text = "+ ^/(2003(/10..(/usr(/glenda/?)?)?)?)?\n- \\.(aes|pgp)$\n# and this is nothing\n";
        for (path, allowed) in [
            ("2003", true),
            ("2003/1002", true),
            ("2003/1002/usr/glenda/x", true),
            ("2003/1002/usr/glenda/x.aes", false),
            ("2004.pgp", false),
        ] {
            assert_eq!(allow(text, path), allowed, "{path}");
        }
        assert!(!allow("+ ^/a\n+ b$\n", "a"));
        assert!(allow("+ ^/a\n+ b$\n", "a/b"));
        assert!(allow("", "anything"));
        assert!(Patterns::parse("+ (").is_err());
        assert!(Patterns::parse("nothing").unwrap().is_empty());
    }
}
