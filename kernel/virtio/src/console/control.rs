//! Control messages: how a device with several ports and its driver speak about them.
//!
//! Virtio 1.3 section 5.3.6.2. A message is a port number (4 bytes), an event (2), a value (2), and for a name its
//! text. QEMU ends that with a NUL and counts it.

/// Bytes of a message without text.
pub(crate) const HEAD: usize = 8;
/// The port number of a message about no port.
pub(crate) const NO_PORT: u32 = u32::MAX;

/// Driver: the driver can take messages now.
pub(crate) const DEVICE_READY: u16 = 0;
/// Device: there is a port.
pub(crate) const PORT_ADD: u16 = 1;
/// Device: it has gone.
pub(crate) const PORT_REMOVE: u16 = 2;
/// Driver: the port can be used (value 1), or not (0).
pub(crate) const PORT_READY: u16 = 3;
/// Device: the port is a console.
pub(crate) const CONSOLE_PORT: u16 = 4;
/// Both: this side has opened (1) or closed (0) the port.
pub(crate) const PORT_OPEN: u16 = 6;
/// Device: the name of a port.
pub(crate) const PORT_NAME: u16 = 7;

/// What a device says about a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// It is there.
    Add,
    /// It has gone.
    Remove,
    /// It is a console: its host is meant to be a person.
    Console,
    /// The host has connected, or left.
    Open(bool),
    /// This is its name, which may be no UTF-8.
    Name(&'a [u8]),
}

/// Port and event of a received message. `None` when it is none, or says nothing that matters here: how large
/// a console's screen is.
pub(crate) fn parse(bytes: &[u8]) -> Option<(u32, Event<'_>)> {
    let (head, text) = bytes.split_first_chunk::<HEAD>()?;
    let [a, b, c, d, e, f, g, h] = *head;
    let event = match u16::from_le_bytes([e, f]) {
        PORT_ADD => Event::Add,
        PORT_REMOVE => Event::Remove,
        CONSOLE_PORT => Event::Console,
        PORT_OPEN => Event::Open(u16::from_le_bytes([g, h]) != 0),
        PORT_NAME => Event::Name(text.split(|b| *b == 0).next().unwrap_or(&[])),
        _ => return None,
    };
    Some((u32::from_le_bytes([a, b, c, d]), event))
}

/// A message as the driver sends it.
pub(crate) fn message(port: u32, event: u16, value: u16) -> [u8; HEAD] {
    let ([a, b, c, d], [e, f], [g, h]) = (port.to_le_bytes(), event.to_le_bytes(), value.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(message(NO_PORT, DEVICE_READY, 1), [255, 255, 255, 255, 0, 0, 1, 0]);
        assert_eq!(message(1, PORT_OPEN, 1), [1, 0, 0, 0, 6, 0, 1, 0]);
        assert_eq!(parse(&message(5, PORT_ADD, 1)), Some((5, Event::Add)));
        assert_eq!(parse(&message(5, PORT_REMOVE, 1)), Some((5, Event::Remove)));
        assert_eq!(parse(&message(5, PORT_OPEN, 0)), Some((5, Event::Open(false))));
        assert_eq!(parse(b"\x02\0\0\0\x07\0\x01\0org.x\0"), Some((2, Event::Name(b"org.x"))));
        assert_eq!(parse(b"\x02\0\0\0\x07\0\x01\0\xff\0"), Some((2, Event::Name(b"\xff"))));
        assert_eq!(parse(b"\x02\0\0\0\x07\0\x01\0"), Some((2, Event::Name(b""))));
        assert_eq!(parse(&message(5, CONSOLE_PORT, 1)), Some((5, Event::Console)));
        assert_eq!(parse(&message(5, 5, 1)), None);
        assert_eq!(parse(b"\x02\0\0\0\x07\0\x01"), None);
    }
}
