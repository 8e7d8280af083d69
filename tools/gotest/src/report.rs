//! What is told of the results.

use crate::events::{End, Package, Results};
use crate::expectations::{Expectation, find};

/// How much of a failure's output is shown, in lines.
const SHOWN: usize = 40;

/// A line of the table.
pub fn line(name: &str, package: &Package) -> String {
    let count = |end| package.count(end);
    format!(
        "{name:<16} {:>5} pass {:>3} fail {:>4} skip {:>7.1} s",
        count(End::Pass),
        count(End::Fail),
        count(End::Skip),
        package.elapsed
    )
}

/// Tells what is not as expected. Whether there is no failure that is not.
pub fn tell(results: &Results, known: &[Expectation], packages: &[&str]) -> bool {
    let mut good = true;
    for name in packages {
        let Some(package) = results.packages.get(*name) else {
            println!("{name}: go did not run it");
            good = false;
            continue;
        };
        for test in package.failures() {
            let shown = if test.is_empty() { "(the package)" } else { test };
            match find(known, name, test) {
                Some(k) => println!("{name} {shown}: fails as expected: {}", k.reason),
                None => {
                    println!("{name} {shown}: FAILS");
                    good = false;
                    for line in last_lines(package, test) {
                        println!("    {line}");
                    }
                }
            }
        }
        for k in known.iter().filter(|k| k.package == *name) {
            let end = package.tests.get(&k.test);
            match (k.skip, end) {
                (true, _) => println!("{name} {}: not run: {}", k.test, k.reason),
                (false, Some(End::Pass)) => println!("{name} {}: passes, and was expected to fail", k.test),
                _ => {}
            }
        }
    }
    good
}

/// The end of what a test printed, or the package if the test said nothing.
fn last_lines<'a>(package: &'a Package, test: &str) -> Vec<&'a str> {
    let output = package.output.get(test).or_else(|| package.output.get("")).map_or("", String::as_str);
    let lines: Vec<&str> = output.lines().collect();
    lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::parse;

    #[test]
    fn only_news_is_bad() {
        let mut results = Results::default();
        for text in [
            r#"{"Action":"fail","Package":"os","Test":"TestA/b"}"#,
            r#"{"Action":"fail","Package":"os","Test":"TestA"}"#,
            r#"{"Action":"fail","Package":"os","Elapsed":1.5}"#,
        ] {
            results.add(parse(text).unwrap());
        }
        let known = |test: &str| {
            vec![Expectation { package: "os".into(), test: test.into(), skip: false, reason: "r".into() }]
        };
        assert!(tell(&results, &known("TestA"), &["os"]));
        assert!(tell(&results, &known("TestA/b"), &["os"]));
        assert!(!tell(&results, &known("TestB"), &["os"]));
        assert!(!tell(&results, &known("TestA"), &["os", "io"]));
        assert_eq!(
            line("os", &results.packages["os"]),
            "os                   0 pass   2 fail    0 skip     1.5 s"
        );
    }
}
