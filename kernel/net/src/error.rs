//! What a failed operation says: the texts that programs for Plan 9 know.

/// A failure: the text that the program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub &'static str);

/// The result of nearly everything here.
pub type Result<T> = core::result::Result<T, Error>;

impl From<machine::OutOfMemory> for Error {
    fn from(_: machine::OutOfMemory) -> Error {
        NO_MEMORY
    }
}

impl From<machine::Interrupted> for Error {
    fn from(_: machine::Interrupted) -> Error {
        INTERRUPTED
    }
}

/// There is nobody at that port.
pub const REFUSED: Error = Error("connection refused");
/// Nobody answers.
pub const TIMED_OUT: Error = Error("connection timed out");
/// The other side has ended it at once.
pub const RESET: Error = Error("connection reset by peer");
/// Somebody has that port.
pub const ADDRESS_IN_USE: Error = Error("address in use");
/// No interface leads there.
pub const NO_ROUTE: Error = Error("no route");
/// The address is not one of this machine's.
pub const NOT_LOCAL: Error = Error("not a local IP address");
/// No group of addresses stands there.
pub const NOT_A_GROUP: Error = Error("addmulti for a non multicast address");
/// What stands there is no address.
pub const BAD_ADDRESS: Error = Error("bad ip address");
/// What stands there is no mask, or none that a network of this kind has.
pub const BAD_MASK: Error = Error("bad ip mask");
/// A number that says nothing here.
pub const BAD_ARGUMENT: Error = Error("bad arg in system call");
/// What stands there is no port.
pub const BAD_PORT: Error = Error("bad local port");
/// The same, of the other's.
pub const BAD_REMOTE_PORT: Error = Error("bad remote port");
/// All ports are taken.
pub const NO_PORTS: Error = Error("no free ports");
/// It is connected, or announced, already.
pub const IN_USE: Error = Error("connection in use");
/// It is over.
pub const HUNG_UP: Error = Error("i/o on hungup channel");
/// What was announced is no more.
pub const LISTEN_HUNG_UP: Error = Error("listen hungup");
/// It is neither connected nor announced.
pub const NOT_CONNECTED: Error = Error("not connected");
/// It is not announced.
pub const NOT_ANNOUNCED: Error = Error("not announced");
/// Longer than a datagram can be.
pub const TOO_LONG: Error = Error("datagram too long");
/// Shorter than its headers.
pub const TOO_SHORT: Error = Error("read or write too small");
/// A control message is not known.
pub const BAD_CONTROL: Error = Error("bad process or channel control request");
/// No conversation is left.
pub const NO_CONVERSATION: Error = Error("no free devices");
/// No memory is left.
pub const NO_MEMORY: Error = Error("kernel allocate failed");
/// A note came.
pub const INTERRUPTED: Error = Error("interrupted");
/// There is no such thing.
pub const DOES_NOT_EXIST: Error = Error("file does not exist");
/// Too many of them.
pub const TOO_MANY: Error = Error("too many addresses or routes");
/// The machine's owner has said of as many which card they have.
pub const TOO_MANY_NEIGHBOURS: Error = Error("too many neighbours");
/// Its address cannot be one.
pub const BAD_CARD: Error = Error("bad ether address");
/// No packet of IPv6 need be shorter than what it takes.
pub const SMALL_MTU: Error = Error("mtu too small for IPv6");
/// Only the machine's owner may.
pub const NOT_PERMITTED: Error = Error("permission denied");
