//! The line that a program prints when it is called wrongly is the one that its page has under SYNOPSIS.

use std::collections::BTreeMap;

use super::{files, read};

/// Those that take every word for what it is, and print no such line.
const WITHOUT: [&str; 5] = ["cat", "echo", "test", "hostexec", "bootroot"];

/// The synopses of the manual's pages: the lines of each command, without its folder.
fn synopses() -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for page in ["sys/man/1", "sys/man/4", "sys/man/8"].into_iter().flat_map(files) {
        let text = read(&page);
        let mut last: Option<String> = None;
        let lines = text.lines().skip_while(|line| *line != "SYNOPSIS").skip(1);
        for line in lines.take_while(|line| line.is_empty() || line.starts_with('\t')) {
            let (goes_on, line) = (line.starts_with("\t    "), line.trim());
            if let Some(before) = last.as_ref().filter(|_| goes_on) {
                let lines: &mut Vec<String> = all.entry(String::clone(before)).or_default();
                *lines.last_mut().unwrap() += &format!(" {line}");
                continue;
            }
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            let name = name.rsplit('/').next().unwrap();
            all.entry(name.into()).or_default().push(format!("{name} {rest}").trim_end().into());
            last = Some(name.to_owned());
        }
    }
    all
}

/// What is between the quotes at the beginning of a text, with its escapes understood.
fn literal(text: &str) -> Option<String> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut found = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(found),
            '\\' => match chars.next()? {
                'n' => found.push('\n'),
                't' => found.push('\t'),
                other => found.push(other),
            },
            other => found.push(other),
        }
    }
}

/// The synopses in the source of a program in Rust, each as often as it is there.
fn in_rust(source: &str) -> Vec<String> {
    let words: Vec<&str> = source.split_whitespace().collect();
    // A literal of two lines.
    let text = words.join(" ").replace("( args", "(args").replace("\\ ", "");
    let mut found = Vec::new();
    for mark in ["usage(args, ", "usage(self, ", "synopsis = ", "SYNOPSIS: &str = ", "USAGE: &str = "] {
        found.extend(text.split(mark).skip(1).filter_map(literal));
    }
    found
}

/// Those in a script of rc.
fn in_rc(source: &str) -> Vec<String> {
    let lines = source.lines().filter_map(|line| line.split_once("echo ")?.1.split_once(" >[1=2]"));
    let texts = lines.map(|(text, _)| text.replace('\'', ""));
    texts.filter_map(|text| text.strip_prefix("usage: ").map(|text| text.replace("; ", "\n\t"))).collect()
}

#[test]
fn programs_say_what_their_pages_say() {
    let synopses = synopses();
    // NAME, and the lines that the program prints, without "usage: ".
    let mut programs: Vec<(String, Vec<String>)> = Vec::new();
    for folder in ["userland/cmd/src/bin/cmds", "userland/cmd/src/bin/more"] {
        let table = read(&format!("{folder}/main.rs"));
        let table = table.split("commands! {").nth(1).unwrap().split('}').next().unwrap();
        for line in table.lines() {
            let Some((name, module)) = line.split_once(" => ") else { continue };
            let (name, module) = (name.trim().trim_matches('"'), module.split(',').next().unwrap());
            let path = if module == "tar" {
                format!("{folder}/tar/mod.rs")
            } else {
                format!("{folder}/{module}.rs")
            };
            let mut source = read(&path);
            // It is kill with another file.
            if module == "slay" {
                source = read(&format!("{folder}/kill.rs"));
            }
            let source =
                source.replace("no_flags(", "usage(args, ").replace("one_flag('s', ", "usage(args, ");
            programs
                .push((name.into(), in_rust(&source).iter().map(|text| format!("{name} {text}")).collect()));
        }
    }
    let others = [
        ("fsrules", "userland/cmd/src/bin/fsrules/main.rs"),
        ("tlsclient", "userland/tls/src/bin/tlsclient/client.rs"),
        ("tlssrv", "userland/tls/src/bin/tlsclient/server.rs"),
        ("usertests", "userland/usertests/src/main.rs"),
    ];
    for (name, path) in others {
        programs
            .push((name.into(), in_rust(&read(path)).iter().map(|text| format!("{name} {text}")).collect()));
    }
    let rc = in_rust(&read("userland/rc/src/start.rs"));
    programs.push(("rc".into(), rc.iter().map(|text| text.trim_start_matches("usage: ").into()).collect()));
    for script in ["9fs", "broke", "dircp", "g", "lookman", "man"] {
        programs.push((script.into(), in_rc(&read(&format!("boot/root/rc/bin/{script}")))));
    }
    let mut wrong = Vec::new();
    for (name, said) in &programs {
        if WITHOUT.contains(&name.as_str()) {
            continue;
        }
        let Some(page) = synopses.get(name) else {
            wrong.push(format!("{name} has no synopsis in the manual"));
            continue;
        };
        if said.is_empty() {
            wrong.push(format!("{name} says nothing of its usage"));
        }
        let page = page.join("\n\t");
        for said in said.iter().map(|said| said.trim_end()).filter(|said| *said != page) {
            wrong.push(format!("{name}:\n  says {said}\n  page {page}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(programs.len() > 80, "only {} programs were looked at", programs.len());
}
