//! The telnet protocol (RFC 854), as far as a terminal has part in it: who echoes, and what the terminal is called.
//! Everything else that is offered or asked for is refused. Functions of bytes.

use alloc::vec::Vec;

/// Bytes that mean something.
const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;
/// Options: the other side echoes; nobody says whose turn it is; what the terminal is called.
const ECHO: u8 = 1;
const GO_AHEAD: u8 = 3;
const TERMINAL: u8 = 24;
/// Bytes of an option's details that are looked at.
const DETAILS: usize = 64;

/// One side of a conversation.
#[derive(Default)]
pub struct Telnet {
    /// What the terminal is called.
    terminal: Vec<u8>,
    /// No carriage returns are shown at all.
    no_returns: bool,
    /// The other side echoes, and takes what is typed a character at a time.
    pub echoed: bool,
    /// Which options the other side has, and we.
    theirs: Vec<u8>,
    ours: Vec<u8>,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Text,
    /// Behind a carriage return.
    Return,
    /// Behind IAC.
    Command,
    /// Behind WILL and the like.
    Option(u8),
    /// In details, and behind IAC in them.
    Details(Vec<u8>, bool),
}

impl Telnet {
    /// The side of a terminal that is called so; perhaps it shows no carriage returns at all.
    pub fn new(terminal: Vec<u8>, no_returns: bool) -> Telnet {
        Telnet { terminal, no_returns, ..Telnet::default() }
    }

    /// Takes what has come: what is to be shown, and what is to be answered.
    pub fn hear(&mut self, bytes: &[u8], shown: &mut Vec<u8>, answer: &mut Vec<u8>) {
        for &byte in bytes {
            self.state = match (core::mem::take(&mut self.state), byte) {
                (State::Command, IAC) => {
                    shown.push(IAC);
                    State::Text
                }
                (State::Command, SB) => State::Details(Vec::new(), false),
                (State::Command, WILL..=DONT) => State::Option(byte),
                (State::Command, _) => State::Text,
                (State::Option(verb), option) => {
                    self.option(verb, option, answer);
                    State::Text
                }
                (State::Details(details, true), SE) => {
                    if details == [TERMINAL, 1] && self.ours.contains(&TERMINAL) {
                        answer.extend_from_slice(&[IAC, SB, TERMINAL, 0]);
                        answer.extend(self.terminal.iter().filter(|b| **b < SE));
                        answer.extend_from_slice(&[IAC, SE]);
                    }
                    State::Text
                }
                (State::Details(details, false), IAC) => State::Details(details, true),
                (State::Details(mut details, _), byte) => {
                    if details.len() < DETAILS {
                        details.push(byte);
                    }
                    State::Details(details, false)
                }
                (State::Return, b'\n') => {
                    shown.push(b'\n');
                    State::Text
                }
                (before, byte) => {
                    if matches!(before, State::Return) && !self.no_returns {
                        shown.push(b'\r');
                    }
                    match byte {
                        IAC => State::Command,
                        b'\r' => State::Return,
                        // Behind a carriage return it says that this was one.
                        0 if matches!(before, State::Return) => State::Text,
                        byte => {
                            shown.push(byte);
                            State::Text
                        }
                    }
                }
            };
        }
    }

    /// What is offered, asked for, or taken back. Only what changes something is answered, so that two who agree do not
    /// tell each other for ever.
    fn option(&mut self, verb: u8, option: u8, answer: &mut Vec<u8>) {
        let theirs = verb == WILL || verb == WONT;
        let (list, yes, no) =
            if theirs { (&mut self.theirs, DO, DONT) } else { (&mut self.ours, WILL, WONT) };
        let known: &[u8] = if theirs { &[ECHO, GO_AHEAD] } else { &[GO_AHEAD, TERMINAL] };
        let has = list.contains(&option);
        if verb == WILL || verb == DO {
            if has {
                return;
            }
            if !known.contains(&option) {
                answer.extend_from_slice(&[IAC, no, option]);
                return;
            }
            list.push(option);
            answer.extend_from_slice(&[IAC, yes, option]);
        } else if has {
            list.retain(|o| *o != option);
            answer.extend_from_slice(&[IAC, no, option]);
        }
        self.echoed = self.theirs.contains(&ECHO);
    }

    /// What is typed, as it is sent.
    pub fn say(typed: &[u8]) -> Vec<u8> {
        let mut sent = Vec::with_capacity(typed.len());
        for &byte in typed {
            match byte {
                b'\n' => sent.extend_from_slice(b"\r\n"),
                b'\r' => sent.extend_from_slice(b"\r\0"),
                IAC => sent.extend_from_slice(&[IAC, IAC]),
                byte => sent.push(byte),
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown and answered, however the bytes are cut.
    fn heard(bytes: &[u8], no_returns: bool) -> (Vec<u8>, Vec<u8>, bool) {
        let mut all = Vec::new();
        for size in [1, 2, 3, 1000] {
            let mut telnet = Telnet::new(b"dumb".to_vec(), no_returns);
            let (mut shown, mut answer) = (Vec::new(), Vec::new());
            bytes.chunks(size).for_each(|piece| telnet.hear(piece, &mut shown, &mut answer));
            all.push((shown, answer, telnet.echoed));
        }
        all.dedup();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn text_is_shown() {
        assert_eq!(heard(b"a\r\nb\r\0c\rd\xff\xffe", false).0, b"a\nb\rc\rd\xffe");
        assert_eq!(heard(b"a\r\nb\r\0c\rd\r\r\n", true).0, b"a\nbcd\n");
        // Commands without options are nothing to show.
        assert_eq!(heard(b"a\xff\xf1b\xff\xf9", false).0, b"ab");
    }

    #[test]
    fn options_are_answered_once() {
        let (shown, answer, echoed) = heard(&[IAC, WILL, ECHO, b'x', IAC, WILL, ECHO, IAC, DO, 31], false);
        assert_eq!((shown, answer, echoed), (b"x".to_vec(), [IAC, DO, ECHO, IAC, WONT, 31].to_vec(), true));
        let bytes = [IAC, WILL, ECHO, IAC, WONT, ECHO, IAC, WONT, 5, IAC, DONT, 5, IAC, WILL, 5];
        assert_eq!(heard(&bytes, false).1, [IAC, DO, ECHO, IAC, DONT, ECHO, IAC, DONT, 5]);
        assert!(!heard(&bytes, false).2);
    }

    #[test]
    fn the_terminal_has_a_name() {
        let ask = [IAC, SB, TERMINAL, 1, IAC, SE];
        // Nobody has agreed yet that it is told.
        assert_eq!(heard(&ask, false).1, []);
        let (_, answer, _) = heard(&[&[IAC, DO, TERMINAL][..], &ask].concat(), false);
        assert_eq!(answer, [&[IAC, WILL, TERMINAL, IAC, SB, TERMINAL, 0][..], b"dumb", &[IAC, SE]].concat());
        // Details without end take no memory, and others mean nothing.
        let mut long = [IAC, SB].to_vec();
        long.resize(100_000, 7);
        assert_eq!(heard(&[&long[..], &[IAC, SE, b'y']].concat(), false).0, b"y");
    }

    #[test]
    fn what_is_typed_is_escaped() {
        assert_eq!(Telnet::say(b"ls\n\xff\r"), b"ls\r\n\xff\xff\r\0");
    }
}
