//! What `go test -json` says, a JSON object a line (see `go doc test2json`), and what comes of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// What happened: run, pass, fail, skip, output and others.
    pub action: String,
    /// To a test of this package, or to the package itself.
    #[serde(default)]
    pub package: String,
    /// The package as the messages of a build have it.
    #[serde(default)]
    pub import_path: String,
    /// The test; none for the package.
    pub test: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub elapsed: f64,
    /// A piece of what was printed.
    pub output: Option<String>,
}

/// Reads a line; nothing when it is no event.
pub fn parse(line: &str) -> Option<Event> {
    serde_json::from_str(line).ok()
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It passed.
    Pass,
    /// It failed.
    Fail,
    /// It did not want to run.
    Skip,
}

/// A package's tests.
#[derive(Debug, Default)]
pub struct Package {
    /// How each test ended; in repeated runs the worst.
    pub tests: BTreeMap<String, End>,
    /// What was printed by tests that have not passed, and by the package itself under the empty name.
    pub output: BTreeMap<String, String>,
    /// How the package ended.
    pub end: Option<End>,
    /// Seconds.
    pub elapsed: f64,
}

impl Package {
    /// How many ended so.
    pub fn count(&self, end: End) -> usize {
        self.tests.values().filter(|&&e| e == end).count()
    }

    /// The failures that no other failure explains: of a test and its parts the parts, and the empty name if the
    /// package failed and none of its tests did.
    pub fn failures(&self) -> Vec<&str> {
        let failed: Vec<&str> =
            self.tests.iter().filter(|(_, e)| **e == End::Fail).map(|(name, _)| name.as_str()).collect();
        let is_whole = |name: &str| failed.iter().any(|f| is_part(f, name) && *f != name);
        let mut out: Vec<&str> = failed.iter().copied().filter(|name| !is_whole(name)).collect();
        if out.is_empty() && self.end != Some(End::Pass) && self.end != Some(End::Skip) {
            out.push("");
        }
        out
    }
}

/// Whether `test` is `whole` or a part of it.
pub fn is_part(test: &str, whole: &str) -> bool {
    test.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All packages by name.
#[derive(Debug, Default)]
pub struct Results {
    /// See [`Results`].
    pub packages: BTreeMap<String, Package>,
}

impl Results {
    /// Takes an event in; gives the package's name when it has ended.
    pub fn add(&mut self, event: Event) -> Option<String> {
        let end = match event.action.as_str() {
            "pass" => Some(End::Pass),
            "fail" => Some(End::Fail),
            "skip" => Some(End::Skip),
            _ => None,
        };
        // A build's messages name what was built, as "os [os.test]".
        let name = if event.package.is_empty() { &event.import_path } else { &event.package };
        let name = name.split(' ').next().unwrap_or_default().to_owned();
        let package = self.packages.entry(name.clone()).or_default();
        let test = event.test.unwrap_or_default();
        if let Some(text) = event.output {
            package.output.entry(test.clone()).or_default().push_str(&text);
        }
        let end = end?;
        if test.is_empty() {
            package.end = Some(end);
            package.elapsed = event.elapsed;
            return Some(name);
        }
        if end == End::Pass {
            package.output.remove(&test);
        }
        let so_far = package.tests.entry(test).or_insert(end);
        if *so_far != End::Fail {
            *so_far = end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn results(lines: &[&str]) -> Results {
        let mut results = Results::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let test = words.get(2).map(|t| format!(",\"Test\":\"{t}\"")).unwrap_or_default();
            let text = format!(
                "{{\"Action\":\"{}\",\"Package\":\"{}\"{test},\"Output\":\"said\\n\"}}",
                words[0], words[1]
            );
            results.add(parse(&text).unwrap());
        }
        results
    }

    #[test]
    fn the_parts_explain_the_whole() {
        let r = results(&[
            "pass os TestA",
            "fail os TestB/one",
            "fail os TestB",
            "fail os TestBB",
            "skip os TestC",
            "fail os",
        ]);
        let os = &r.packages["os"];
        assert_eq!(os.failures(), ["TestB/one", "TestBB"]);
        assert_eq!((os.count(End::Pass), os.count(End::Fail), os.count(End::Skip)), (1, 3, 1));
        assert_eq!(os.output["TestB"], "said\n");
        assert!(!os.output.contains_key("TestA"));
    }

    #[test]
    fn a_package_may_fail_alone() {
        assert_eq!(results(&["pass os TestA", "fail os"]).packages["os"].failures(), [""]);
        // It was never heard of again.
        assert_eq!(results(&["pass os TestA"]).packages["os"].failures(), [""]);
        assert!(results(&["pass os"]).packages["os"].failures().is_empty());
        // What fails once of several times has failed.
        let r = results(&["fail os TestA", "pass os TestA", "fail os"]);
        assert_eq!(r.packages["os"].failures(), ["TestA"]);
        assert!(parse("# os").is_none());
    }
}
