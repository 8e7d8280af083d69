//! `/proc/n/status`: 176 bytes in fixed columns, which ps and kill read.

use alloc::string::String;

/// What a status file says. Times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Name of the program.
    pub name: String,
    /// Owner.
    pub user: String,
    /// `Ready`, `Pread`...
    pub state: String,
    /// In user mode.
    pub user_ms: u64,
    /// In the kernel.
    pub sys_ms: u64,
    /// Since it began.
    pub real_ms: u64,
    /// Kilobytes of memory.
    pub kilobytes: u64,
    /// Priority it was given.
    pub base_priority: u64,
    /// Priority now.
    pub priority: u64,
}

impl Status {
    /// Reads the text; `None` when it is not of that form.
    pub fn parse(text: &str) -> Option<Status> {
        // Names may hold blanks, and characters of several bytes: they are cut by column.
        let column = |n| text.char_indices().nth(n).map(|(at, _)| at);
        let (user, state, rest) = (column(28)?, column(56)?, column(68)?);
        let field = |from, to| text.get(from..to).map(|s: &str| String::from(s.trim()));
        let mut numbers = text.get(rest..)?.split_whitespace().map(|n| n.parse().ok());
        let mut number = || numbers.next().flatten();
        let mut status = Status {
            name: field(0, user)?,
            user: field(user, state)?,
            state: field(state, rest)?,
            user_ms: number()?,
            sys_ms: number()?,
            real_ms: number()?,
            ..Status::default()
        };
        for _children in 0..3 {
            number()?;
        }
        status.kilobytes = number()?;
        status.base_priority = number()?;
        status.priority = number()?;
        Some(status)
    }
}

/// What ps shows besides the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Show {
    /// -p: priorities.
    pub priority: bool,
    /// -r: elapsed time.
    pub real: bool,
}

/// The line of ps for the process `pid`; `command` is its name or arguments, `group` its note group (-n).
pub fn line(pid: &str, status: &Status, command: &str, group: Option<&str>, show: Show) -> String {
    let mut out = alloc::format!("{:<10} {pid:>8} ", status.user);
    if let Some(group) = group {
        out.push_str(&alloc::format!("{group:>8} "));
    }
    let minutes = |ms: u64, width: usize| {
        let s = ms / 1000;
        alloc::format!("{:>width$}:{:02} ", s / 60, s % 60)
    };
    if show.real {
        out.push_str(&minutes(status.real_ms, 5));
    }
    out.push_str(&minutes(status.user_ms, 4));
    out.push_str(&minutes(status.sys_ms, 3));
    if show.priority {
        out.push_str(&alloc::format!("{:2} {:2} ", status.base_priority, status.priority));
    }
    out.push_str(&alloc::format!("{:7}K {:<8.8} {command}", status.kilobytes, status.state));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let mut text = alloc::format!("{:<27} {:<27} {:<11} ", "my prog", "glenda", "Pread");
        for n in [61_500, 20, 125_000, 0, 0, 0, 1234, 10, 13] {
            text.push_str(&alloc::format!("{n:11} "));
        }
        assert_eq!(text.len(), 176);
        text
    }

    #[test]
    fn columns() {
        let s = Status::parse(&sample()).unwrap();
        assert_eq!((s.name.as_str(), s.user.as_str(), s.state.as_str()), ("my prog", "glenda", "Pread"));
        assert_eq!((s.real_ms, s.kilobytes, s.base_priority, s.priority), (125_000, 1234, 10, 13));
        let s = Status::parse(&sample().replace("my prog", "πάντα: ")).unwrap();
        assert_eq!((s.name.as_str(), s.user.as_str(), s.priority), ("πάντα:", "glenda", 13));
        assert_eq!(Status::parse("short"), None);
        assert_eq!(Status::parse(&sample()[..150]), None);
    }

    #[test]
    fn lines() {
        let s = Status::parse(&sample()).unwrap();
        assert_eq!(
            line("12", &s, "my prog", None, Show::default()),
            "glenda           12    1:01   0:00    1234K Pread    my prog"
        );
        let all = Show { priority: true, real: true };
        assert_eq!(
            line("12", &s, "x", Some("3"), all),
            "glenda           12        3     2:05    1:01   0:00 10 13    1234K Pread    x"
        );
    }
}
