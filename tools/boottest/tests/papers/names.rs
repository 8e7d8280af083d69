//! What the papers name is there: files, folders, headings, targets of the Makefile, functions; and what comments cite
//! of the facts is there, too.

use std::collections::BTreeSet;

use super::{files, papers, read, root};

/// The texts between backquotes, and the lines that are indented as code.
fn code(paper: &str) -> Vec<String> {
    let text = read(paper);
    let mut found = Vec::new();
    let mut prose = String::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(quoted) => found.push(quoted.to_owned()),
            None => prose += &format!("{line}\n"),
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
    found
}

/// How a heading is named in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim())
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for paper in papers() {
        let folder = root().join(&paper).parent().unwrap().to_owned();
        for link in read(&paper).split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { root().join(&paper) } else { folder.join(path) };
            if !path.exists() {
                wrong.push(format!("{paper}: {target}"));
            } else if !heading.is_empty() {
                let text = std::fs::read_to_string(path).unwrap();
                if !headings(&text).any(|h| anchor(h) == heading) {
                    wrong.push(format!("{paper}: no such heading: {target}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_and_folders_are_there() {
    const TOPS: [&str; 7] = ["boot", "docs", "fuzz", "kernel", "sys", "tools", "userland"];
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for paper in papers() {
        for word in code(&paper).iter().flat_map(|text| text.split_whitespace()) {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
            let top = word.split('/').next().unwrap();
            // NAME is for the reader to choose.
            if !word.contains('/') || !TOPS.contains(&top) || word.contains("NAME") {
                continue;
            }
            seen += 1;
            if !root().join(word).exists() {
                wrong.push(format!("{paper}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 100, "only {seen} names were looked at");
}

#[test]
fn targets_of_the_makefile_are_there() {
    let makefile = read("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).unwrap();
    let targets: BTreeSet<&str> = phony.split_whitespace().collect();
    let mut seen = BTreeSet::new();
    for paper in papers() {
        for text in code(&paper) {
            let words: Vec<&str> = text.trim_start_matches("$ ").split_whitespace().collect();
            // Before the command may be variables and sudo, behind it options and variables.
            let plain = |word: &&&str| !word.contains('=') && !word.starts_with('-') && **word != "sudo";
            let mut words = words.iter().filter(plain);
            if words.next() == Some(&"make")
                && let Some(target) =
                    words.next().filter(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
            {
                assert!(targets.contains(*target), "{paper}: {text}: no such target");
                seen.insert(target.to_string());
            }
        }
    }
    assert!(seen.len() > 6, "{seen:?}");
}

#[test]
fn functions_on_the_hot_ways_are_where_the_pages_say() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let papers = ["docs/hacking.md", "docs/performance.md"].map(read);
    for line in papers.iter().flat_map(|paper| paper.lines()) {
        // - `function` (`folder`): what it does
        let parts: Vec<&str> = line.split('`').collect();
        let ["- ", function, " (", folder, rest, ..] = parts[..] else { continue };
        if !rest.starts_with("):") {
            continue;
        }
        seen += 1;
        let defined = |text: &str| {
            let function = [format!("fn {function}("), format!("fn {function}<")];
            function.iter().any(|f| text.contains(f)) || text.lines().any(|l| l == format!("{}:", parts[1]))
        };
        let sources = files(folder);
        if !sources.iter().any(|path| defined(&read(path))) {
            wrong.push(format!("{function} is not in {folder}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 50, "only {seen} functions were looked for");
}

#[test]
fn what_comments_cite_of_the_facts_is_there() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let sources = ["boot", "fuzz", "kernel", "sys", "tools", "userland"].into_iter().flat_map(files);
    let here = "tools/boottest/tests/papers/";
    for path in
        sources.filter(|path| [".rs", ".S"].iter().any(|end| path.ends_with(end)) && !path.starts_with(here))
    {
        // Comments may be broken anywhere.
        let lines = read(&path);
        let lines = lines.lines().map(|line| line.trim().trim_start_matches(['/', '!']).trim());
        let text = lines.collect::<Vec<_>>().join(" ");
        for cited in text.split("facts/").skip(1) {
            let Some((name, rest)) = cited.split_once(".md") else { continue };
            let rest = rest.trim_start_matches(['`', ',', ' ']);
            let Some(rest) = rest.strip_prefix("section") else {
                wrong.push(format!("{path}: facts/{name}.md without a section"));
                continue;
            };
            let facts = read(&format!("docs/facts/{name}.md"));
            let numbers: BTreeSet<&str> = headings(&facts)
                .filter_map(|h| h.split(' ').next())
                .map(|n| n.trim_end_matches('.'))
                .collect();
            let words = rest.trim_start_matches('s').split_whitespace().filter(|word| *word != "and");
            let words = words.map(|word| word.trim_matches(|c: char| !c.is_ascii_digit()));
            let sections: Vec<&str> = words.take_while(|word| !word.is_empty()).collect();
            assert!(!sections.is_empty(), "{path}: facts/{name}.md section {rest}");
            seen += sections.len();
            let missing = sections.iter().filter(|section| !numbers.contains(*section));
            wrong.extend(missing.map(|section| format!("{path}: no section {section} in facts/{name}.md")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 7, "only {seen} citations were looked at");
}
