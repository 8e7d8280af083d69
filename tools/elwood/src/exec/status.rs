//! From a Plan 9 exit string to an exit status of the host.

/// The exit status when the program cannot be executed, and when there is none.
pub const NOT_EXECUTABLE: u8 = 126;
/// See [`NOT_EXECUTABLE`].
pub const NOT_FOUND: u8 = 127;
/// When the time that was given is over.
pub const TIMED_OUT: u8 = 124;

/// Notes that end a program as a signal of the host does: their exit status is 128 and the signal's number.
const SIGNALS: [(&str, u8); 5] =
    [("hangup", 129), ("interrupt", 130), ("abort", 134), ("kill", 137), ("alarm", 142)];

/// The exit status for an exit string, and whether the string is to be shown because the number does not say it all.
pub fn of(exit: &str) -> (u8, bool) {
    let exit = exit.trim_end();
    if exit.is_empty() {
        return (0, false);
    }
    if let Ok(number) = exit.parse::<i64>() {
        // As the host cuts it; what is no success stays none.
        let low = (number & 0xff) as u8;
        return if number == 0 || low != 0 { (low, false) } else { (1, true) };
    }
    // A shell passes on what its program died of, with the program's name and number: `sleep 12: interrupt`.
    let passed_on = exit.split_once(": ").filter(|(who, _)| {
        who.rsplit_once(' ').is_some_and(|(name, pid)| !name.is_empty() && pid.parse::<u32>().is_ok())
    });
    let cause = passed_on.map_or(exit, |(_, cause)| cause);
    if let Some((_, status)) = SIGNALS.iter().find(|(note, _)| *note == cause) {
        return (*status, true);
    }
    match cause {
        "sys: write on closed pipe" => (141, true),
        "sys: killed" => (137, true),
        _ => (1, true),
    }
}

/// The exit status for the reason why a program was not executed.
pub fn of_refusal(reason: &str) -> u8 {
    if reason.ends_with("does not exist") { NOT_FOUND } else { NOT_EXECUTABLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_statuses_and_texts_are_shown() {
        assert_eq!(of(""), (0, false));
        assert_eq!(of("0"), (0, false));
        assert_eq!(of("3"), (3, false));
        assert_eq!(of("-1"), (255, false));
        assert_eq!(of("256"), (1, true));
        assert_eq!(of("usage"), (1, true));
        assert_eq!(of("sys: trap: fault read addr=0x0 pc=0x20004a"), (1, true));
        assert_eq!(of("interrupt"), (130, true));
        assert_eq!(of("sys: killed"), (137, true));
        assert_eq!(of("echo 5: interrupt"), (130, true));
        assert_eq!(of("rc 12: sys: killed"), (137, true));
        assert_eq!([of("sys: interrupt"), of("interrupt me"), of("echo: interrupt")], [(1, true); 3]);
    }

    #[test]
    fn there_is_no_such_program() {
        assert_eq!(of_refusal("'/x' file does not exist"), NOT_FOUND);
        assert_eq!(of_refusal("exec header invalid"), NOT_EXECUTABLE);
    }
}
