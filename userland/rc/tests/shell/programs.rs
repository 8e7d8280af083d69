//! The programs of the simulated system.

use rcshell::os::{Note, Os};

use crate::fake::Fake;

/// Runs a program; its exit status, or nothing if it is none.
pub fn run(os: &mut Fake, argv: &[String]) -> Option<String> {
    let args: Vec<&str> = argv.iter().skip(1).map(String::as_str).collect();
    Some(match os.name.clone().as_str() {
        "rc" => rcshell::main(os.clone(), argv),
        "echo" => {
            let (words, end) = match args.split_first() {
                Some((&"-n", rest)) => (rest, ""),
                _ => (&args[..], "\n"),
            };
            done(os.write(1, format!("{}{end}", words.join(" ")).as_bytes()))
        }
        // Shows where each argument begins and ends.
        "args" => {
            let text: String = args.iter().map(|a| format!("<{a}>")).collect();
            done(os.write(1, format!("{text}\n").as_bytes()))
        }
        "cat" => {
            if args.is_empty() {
                let text = input(os, 0);
                return Some(done(os.write(1, &text)));
            }
            for name in args {
                match os.open(name, abi::OREAD) {
                    Ok(fd) => {
                        let text = input(os, fd);
                        os.close(fd);
                        let _ = os.write(1, &text);
                    }
                    Err(e) => {
                        let _ = os.write(2, format!("cat: can't open {name}: {e}\n").as_bytes());
                        return Some("open".into());
                    }
                }
            }
            String::new()
        }
        "upper" => {
            let text = input(os, 0).to_ascii_uppercase();
            done(os.write(1, &text))
        }
        // Reads nothing, and says so only after the other side can have noticed.
        "true" => String::new(),
        "status" => args.join(" "),
        "getenv" => {
            let text = os.getenv(args[0]).unwrap_or_else(|| "unset".into());
            done(os.write(1, format!("{text}\n").as_bytes()))
        }
        "setenv" => {
            os.setenv(args[0], args[1].as_bytes());
            String::new()
        }
        // Writes to the descriptor that is named.
        "say" => done(os.write(args[0].parse().unwrap(), format!("{}\n", args[1]).as_bytes())),
        "fds" => {
            let text = format!("{:?}\n", os.descriptors());
            done(os.write(1, text.as_bytes()))
        }
        "pwd" => {
            let text = format!("{}\n", os.cwd);
            done(os.write(1, text.as_bytes()))
        }
        // DEL is typed while it runs: it dies, and the shell hears of it.
        "interrupted" => {
            os.world.notes.lock().unwrap().push_back(Note::Interrupt);
            "interrupt".into()
        }
        "post" => {
            let note = match args[0] {
                "hangup" => Note::Hangup,
                "alarm" => Note::Alarm,
                "term" => Note::Term,
                _ => Note::Interrupt,
            };
            os.world.notes.lock().unwrap().push_back(note);
            String::new()
        }
        "groups" => {
            let text = format!("{:?}\n", os.groups);
            done(os.write(1, text.as_bytes()))
        }
        // What changes a name space is only told here.
        "bind" | "mount" | "mntgen" | "chmod" | "cs" => {
            let _ = os.write(1, format!("{}\n", argv.join(" ")).as_bytes());
            if args.contains(&"absent") { "bad attach specifier".into() } else { String::new() }
        }
        // No file that is asked for is there.
        "test" => "false".into(),
        _ => return None,
    })
}

fn done(result: Result<(), String>) -> String {
    result.err().unwrap_or_default()
}

fn input(os: &mut Fake, fd: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buf = [0; 512];
    loop {
        match os.read(fd, &mut buf) {
            Ok(0) | Err(_) => return out,
            Ok(n) => out.extend_from_slice(&buf[..n]),
        }
    }
}

/// Their names, for `/bin`.
pub const NAMES: &[&str] = &[
    "rc",
    "echo",
    "args",
    "cat",
    "upper",
    "true",
    "status",
    "getenv",
    "setenv",
    "say",
    "fds",
    "pwd",
    "interrupted",
    "post",
    "groups",
    "bind",
    "chmod",
    "mntgen",
    "mount",
    "ndb/cs",
    "test",
];
