//! Conversations of the machine with itself.

mod calls;
mod datagrams;
mod owners;
mod streams;

use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use machine::ledger::{Account, Terms, User};
use net::address::{Local, parse, parse_local};
use net::error::*;
use net::{Bearer, Conversation, Proto, Stack, text};
use smoltcp::wire::IpEndpoint;

struct World(Arc<Stack>);

impl World {
    fn new() -> World {
        let stack = Stack::new().unwrap();
        stack.start().unwrap();
        World(stack)
    }

    fn open(&self, proto: Proto) -> Arc<Conversation> {
        self.0.open(proto, Bearer { owner: "glenda".into(), account: None, is_hosts: true }).unwrap()
    }

    fn announce(&self, proto: Proto, at: &str) -> Arc<Conversation> {
        let c = self.open(proto);
        self.0.announce(&c, parse_local(at).unwrap()).unwrap();
        c
    }

    fn dial(&self, proto: Proto, to: &str) -> Result<Arc<Conversation>> {
        let c = self.open(proto);
        match self.0.connect(&c, end(to), None) {
            Ok(()) => Ok(c),
            Err(e) => {
                self.0.close(&c);
                Err(e)
            }
        }
    }

    /// Two ends of a connection, and who took the call.
    fn pair(&self, at: &str) -> [Arc<Conversation>; 3] {
        let l = self.announce(Proto::Tcp, at);
        let a = self.dial(Proto::Tcp, at).unwrap();
        let b = self.0.listen(&l).unwrap();
        [a, b, l]
    }

    fn read_all(&self, c: &Conversation) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let bytes = self.0.read(c, 10_000)?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend(bytes);
        }
    }

    fn status(&self, c: &Conversation) -> String {
        text::status(&self.0, c).unwrap()
    }

    /// How many conversations of TCP there are, when it is as many as expected or a second has passed.
    fn settles_at(&self, want: usize) -> usize {
        let begun = Instant::now();
        loop {
            let mut count = 0;
            let mut from = 0;
            while let Some(files) = self.0.next(Proto::Tcp, from) {
                from = files.shared.number + 1;
                count += 1;
            }
            if count == want || begun.elapsed() > Duration::from_secs(1) {
                return count;
            }
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.0.end();
    }
}

type Result<T> = std::result::Result<T, net::Error>;

fn end(text: &str) -> IpEndpoint {
    let Local { addr, port } = parse_local(text).unwrap();
    IpEndpoint::new(addr.unwrap(), port)
}
