//! The IP stack of the kernel with a network card: frames that an input makes, among them what programs do with their
//! conversations, and time that passes.
//!
//! The stack has addresses, a gateway, and conversations in many states; the frames fit to what it has sent. There is
//! one thread: who would have to wait is interrupted, and the time is the input's. Nothing may panic, go on without an
//! end, or allocate much without asking; afterwards an ordinary call is answered, and when all is closed nothing is
//! left.

mod card;
mod frame;
mod input;
mod judge;
mod make;

use std::sync::Arc;

use machine::heap::Call;
use machine::host::clock::host_advance;
use machine::{clock, thread};
use net::address::{Local, parse, parse_local};
use net::tried::FOREVER;
use net::{Bearer, Conversation, Proto, Stack, text};

use card::{Card, Reaction};
use frame::{ACK, FIN, PSH, SYN};
use input::Input;
use judge::called;

/// Things of an input that happen, at most.
const MOST_STEPS: usize = 120;
/// Rounds after each of them, of 256 packets, at most.
const MOST_ROUNDS: usize = 400;
/// Conversations that are open at a time.
const MOST_OPEN: usize = 40;
const MS: u64 = 1_000_000;

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    machine::host::new_machine();
    let _alone = Alone::begin();
    let mut world = World::new();
    let mut input = Input(bytes);
    for _ in 0..MOST_STEPS {
        if input.is_over() {
            break;
        }
        world.step(&mut input);
        world.settle();
    }
    world.is_answered();
    world.is_over();
}

/// This thread is interrupted whenever it would wait, as long as this is there.
struct Alone;

impl Alone {
    fn begin() -> Alone {
        thread::current().interrupt();
        Alone
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        thread::current().clear_interrupt();
    }
}

/// A call of the kernel: it has its grant of memory, and the card begins to count.
macro_rules! call {
    ($world:expr, $($what:tt)*) => {{
        $world.card.0.lock().sent = 0;
        let _call = Call::enter("#I");
        $($what)*
    }};
}

struct World {
    stack: Arc<Stack>,
    card: Arc<Card>,
    ifc: u32,
    /// Announced at `*!80` as long as the world is.
    listener: Arc<Conversation>,
    open: Vec<Arc<Conversation>>,
}

impl World {
    fn new() -> World {
        let stack = Stack::new().unwrap();
        let listener = stack.open(Proto::Tcp, bearer()).unwrap();
        let mut world = World { stack, card: Arc::default(), ifc: 0, listener, open: Vec::new() };
        world.card.0.lock().answers = true;
        world.connect_card();
        world.stack.announce(&world.listener, parse_local("*!80").unwrap()).unwrap();
        for (proto, at, headers) in [
            (Proto::Tcp, "10.0.0.2!81", false),
            (Proto::Udp, "*!53", true),
            (Proto::Udp, "*!54", false),
            (Proto::Icmp, "*!1", false),
        ] {
            world.announce(proto, at, headers);
        }
        // One that talks, with bytes that nobody has read, and that has sent some.
        let reaction = Reaction { flags: SYN | ACK, off: 0, bytes: 100 };
        for to in ["10.0.0.1", "fd00::1"] {
            world.dial(Proto::Tcp, to, 7, None, reaction);
        }
        if let Some(talks) = world.open.last().cloned() {
            let _ = world.stack.write(&talks, &[7; 3000]);
        }
        world.dial(Proto::Icmp, "10.0.0.1", 1, None, Reaction::default());
        world.settle();
        world
    }

    /// Gives the stack an interface at the card, and its addresses and routes.
    fn connect_card(&mut self) {
        self.ifc = self.stack.new_interface().unwrap();
        self.stack.bind_card(self.ifc, self.card.clone(), "/net/ether0").unwrap();
        self.addresses();
        for (to, via) in [("0.0.0.0", "10.0.0.254"), ("::", "fd00::fe")] {
            let _ =
                self.stack.add_route(parse(to).unwrap(), 0, parse(via).unwrap(), net::config::tag("fuzz"));
        }
    }

    fn addresses(&self) {
        for (addr, bits) in [("10.0.0.2", 24), ("fd00::2", 64), ("fe80::2", 64)] {
            self.stack.add_address(self.ifc, parse(addr).unwrap(), Some(bits)).unwrap();
        }
    }

    fn announce(&mut self, proto: Proto, at: &str, headers: bool) {
        let Ok(c) = self.stack.open(proto, bearer()) else { return };
        let _ = call!(self, self.stack.announce(&c, parse_local(at).unwrap()));
        if headers {
            let _ = self.stack.set_headers(&c, true);
        }
        self.open.push(c);
    }

    fn dial(&mut self, proto: Proto, to: &str, port: u16, from: Option<Local>, reaction: Reaction) {
        self.card.0.lock().reaction = reaction;
        let Ok(c) = self.stack.open(proto, bearer()) else { return };
        let _ = call!(self, self.stack.connect(&c, (parse(to).unwrap(), port).into(), from));
        self.open.push(c);
    }

    /// A frame comes.
    fn comes(&self, frame: Vec<u8>) {
        self.card.0.lock().come.push_back(frame);
    }

    /// One thing happens.
    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte() % 40;
        match what {
            0..24 => {
                let frame = make::frame(input, &self.card.0.lock());
                self.comes(frame);
            }
            24 => {
                for _ in 0..=input.byte() % 8 {
                    let frame = make::frame(input, &self.card.0.lock());
                    self.comes(frame);
                }
            }
            25 | 26 => {
                let ms = input.of(&[1, 10, 250, 1100, 3000, 11_000, 21_000, 61_000, 3_600_000]);
                self.time(ms * MS, 300);
            }
            27 if input.once_in(4) => {
                let to = input.word();
                for port in 0..300 {
                    self.comes(called(10_000 + port, u32::from(to), SYN, &[]));
                }
            }
            _ if self.open.len() >= MOST_OPEN => {
                let c = self.open.remove(usize::from(input.byte()) % self.open.len());
                call!(self, self.stack.close(&c));
            }
            28 => self.configure(input),
            29 | 30 => self.begin(input),
            _ => self.use_one(what, input),
        }
    }

    /// Something is said to one of the conversations.
    fn use_one(&mut self, what: u8, input: &mut Input<'_>) {
        let at = usize::from(input.byte()) % (self.open.len() + 1);
        let c = self.open.get(at).unwrap_or(&self.listener).clone();
        match what {
            31 | 32 => {
                let max = input.of(&[10, 0, 1, 60, 1000, 65536]);
                let read = call!(self, self.stack.read(&c, max));
                assert!(read.as_ref().map_or(true, |bytes| bytes.len() <= max), "{read:?}");
            }
            33 | 34 => {
                let len = input.of(&[1, 28, 60, 100, 1400, 1473, 5000, 100_000]);
                let mut bytes = vec![input.byte(); len];
                let head: &[u8] = match c.proto {
                    Proto::Udp if input.once_in(2) => &input.raw(53),
                    Proto::Udp => &[&[0; 10][..], &[255, 255, 10, 0, 0, 1]].concat(),
                    Proto::Icmp => &[[0; 20].as_slice(), &[8, 0]].concat(),
                    _ => &[[0; 40].as_slice(), &[128, 0]].concat(),
                };
                bytes.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
                if c.proto == Proto::Udp && len > 52 {
                    bytes[16..48].fill(0);
                    bytes[48..52].copy_from_slice(&[0, 9, 0, 53]);
                }
                let _ = call!(self, self.stack.write(&c, &bytes));
            }
            35 => {
                if at < self.open.len() {
                    self.open.remove(at);
                    call!(self, self.stack.close(&c));
                }
            }
            36 => {
                if at < self.open.len() {
                    let at_once = input.once_in(2);
                    let _ = call!(self, self.stack.hang_up(&c, at_once));
                }
            }
            37 => {
                if let Ok(call) = call!(self, self.stack.listen(&c)) {
                    self.open.push(call);
                }
            }
            38 => {
                let ms = input.of(&[1000, 0, 1, 60_000, u64::from(u32::MAX)]);
                let _ = call!(self, self.stack.set_keepalive(&c, ms));
                let hops = input.byte();
                let _ = call!(self, self.stack.set_hops(&c, hops));
            }
            _ => {
                let texts = [text::status, text::local, text::remote, text::error];
                texts.iter().for_each(|f| drop(call!(self, f(&self.stack, &c))));
                drop(call!(self, (text::routes(&self.stack), text::ip_stats(&self.stack))));
                drop(call!(self, text::ifc_status(&self.stack, 1)));
            }
        }
    }

    /// A conversation begins.
    fn begin(&mut self, input: &mut Input<'_>) {
        let proto = input.of(&[Proto::Tcp, Proto::Tcp, Proto::Tcp, Proto::Udp, Proto::Icmp, Proto::Icmpv6]);
        let port = input.of(&make::PORTS[1..]);
        if input.once_in(4) {
            // Never at 80, which is the listener's for all addresses.
            let addr = input.of(&["*", "10.0.0.2", "fd00::2", "127.0.0.1", "10.0.0.9"]);
            let headers = input.once_in(2);
            return self.announce(proto, &format!("{addr}!{port}"), headers);
        }
        let to = input.of(&[
            "10.0.0.1",
            "fd00::1",
            "192.0.2.7",
            "10.0.0.2",
            "127.0.0.1",
            "::1",
            "10.0.0.3",
            "255.255.255.255",
            "224.0.0.1",
            "0.0.0.0",
            "10.0.0.255",
            "ff02::1",
            "fe80::1",
            "2001:db8::7",
            "10.0.0.0",
            "::",
        ]);
        let from = input.once_in(3).then(|| Local { addr: None, port: input.of(&make::PORTS) });
        let reaction = Reaction {
            flags: input.of(&[SYN | ACK, 0, SYN, ACK, SYN | ACK | FIN, 20, 4, SYN | ACK | PSH]),
            off: input.of(&[0, 0, 0, 1, u32::MAX, 77]),
            bytes: input.of(&[0, 0, 5, 1400]),
        };
        self.card.0.lock().answers = !input.once_in(6);
        self.dial(proto, to, port, from, reaction);
    }

    /// The machine's owner changes something.
    fn configure(&mut self, input: &mut Input<'_>) {
        let addr = input.of(&["10.0.0.2", "fd00::2", "10.0.0.3", "fe80::2", "192.0.2.7", "fd00::7"]);
        let addr = parse(addr).unwrap();
        let what = input.byte();
        match if what < 240 { what % 8 } else { 8 + what % 2 } {
            0..3 => drop(call!(self, self.stack.remove_address(self.ifc, addr))),
            n @ (3..6 | 8) => {
                let bits =
                    input.of(&[Some(24), None, Some(0), Some(31), Some(32), Some(64), Some(128), Some(255)]);
                let _ = match n {
                    8 => call!(self, self.stack.try_address(self.ifc, addr, bits)),
                    _ => call!(self, self.stack.add_address(self.ifc, addr, bits)),
                };
            }
            9 => {
                let lives = input.of(&[[FOREVER; 2], [1, 1], [60, 0], [0, 0]]);
                let (bits, on_link) = (input.byte() % 70, input.once_in(2));
                let _ = call!(self, self.stack.add_of_card(self.ifc, addr, bits, on_link, lives));
            }
            6 => {
                let via = parse(input.of(&[
                    "10.0.0.254",
                    "fd00::fe",
                    "10.0.0.2",
                    "10.0.0.255",
                    "224.0.0.1",
                    "::1",
                ]));
                let (via, bits) = (via.unwrap(), input.byte() % 130);
                let _ = call!(self, self.stack.add_route(addr, bits, via, *b"fuzz"));
                if input.once_in(2) {
                    call!(self, self.stack.flush_routes(None));
                }
            }
            _ => {
                let _ = call!(self, self.stack.unbind(self.ifc));
                if input.once_in(2) {
                    self.time(2000 * MS, 300);
                }
                self.connect_card();
            }
        }
    }

    /// Everything is done that is to be done now. When next something is.
    fn settle(&self) -> u64 {
        self.card.0.lock().sent = 0;
        for _ in 0..MOST_ROUNDS {
            let (more, until_ns) = self.stack.round();
            if !more {
                return until_ns;
            }
        }
        panic!("there is always something left to do");
    }

    /// Time passes, and whenever something is to be done it is, at most so often.
    fn time(&self, ns: u64, wakes: usize) {
        let end = clock::now_ns().saturating_add(ns);
        for _ in 0..wakes {
            let until_ns = self.settle().min(end);
            host_advance(until_ns.saturating_sub(clock::now_ns()));
            if until_ns == end {
                break;
            }
        }
        host_advance(end.saturating_sub(clock::now_ns()));
        self.settle();
    }
}

fn bearer() -> Bearer {
    Bearer { owner: "glenda".into(), account: None, is_hosts: true }
}
