//! Replies of name servers, through what reads them, to the resolver's cache and its lines.
//!
//! The first byte chooses the kind that was asked for. The rest is replies, each behind its length in two bytes; their
//! number and their question are made to fit, since a wrong one is no reply, and there the matter ends.

use std::cell::{Cell, RefCell};

use cmd::asked::Answers;
use cmd::dns::cache::{BYTES, Cache, Known, MOST};
use cmd::dns::message::{Answer, Kind, RECORDS, Record, VALUE, query, read};
use cmd::dns::{Network, Read, Resolver};
use cmd::ndb::Ndb;

const KINDS: [Kind; 9] =
    [Kind::Ip, Kind::Ipv6, Kind::Ptr, Kind::Mx, Kind::Ns, Kind::Cname, Kind::Soa, Kind::Txt, Kind::Srv];
const ASKED: &str = "www.example";
const NUMBER: u16 = 7;

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let kind = KINDS[usize::from(*first) % KINDS.len()];
    let question = query(NUMBER, ASKED, kind);
    let mut cache = Cache::default();
    let mut replies = Vec::new();
    let mut rest = rest;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (reply, next) = behind.split_at(usize::from(u16::from_be_bytes(*len)).min(behind.len()));
        rest = next;
        let _ = read(NUMBER, ASKED, kind, reply);
        let reply = fitting(&question, reply);
        match read(NUMBER, ASKED, kind, &reply).expect("a reply to the question") {
            Answer::Records(records, seconds) => {
                check(&records, kind);
                cache.put(ASKED, kind, Known::Records(records), seconds, 0);
            }
            Answer::NoName(seconds) => cache.put(ASKED, kind, Known::NoName, seconds, 0),
            Answer::Alias(name, _) => check_name(&name),
            Answer::NoRecords(_) | Answer::Cut | Answer::Failed => {}
        }
        assert!(cache.size().0 <= MOST && cache.size().1 <= BYTES, "{:?}", cache.size());
        replies.push(reply);
    }
    let net = Replies { replies: RefCell::new(replies), clock: Cell::new(0) };
    let resolver = Resolver::new(&net, Ndb::default());
    for _ in 0..3 {
        let lines = resolver.answer(&format!("{ASKED} {}", kind.word())).unwrap_or_default();
        assert!(lines.len() <= RECORDS && lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
    }
}

fn check(records: &[Record], kind: Kind) {
    assert!((1..=RECORDS).contains(&records.len()));
    for record in records {
        check_name(&record.owner);
        assert!(record.kind == kind && record.value.len() <= VALUE, "{record:?}");
        assert!(!record.value.contains(char::is_control), "{record:?}");
        match kind {
            Kind::Ptr | Kind::Ns | Kind::Cname => check_name(&record.value),
            Kind::Mx => check_name(record.value.split(' ').nth(1).expect("a name")),
            _ => {}
        }
    }
}

fn check_name(name: &str) {
    assert_eq!(cmd::dns::message::name(name).as_deref(), Some(name));
}

/// The reply with the head and the question of one to this query.
fn fitting(query: &[u8], reply: &[u8]) -> Vec<u8> {
    let mut fitting = query.to_vec();
    let head = reply.first_chunk::<10>().copied().unwrap_or_default();
    // A reply, and its other flags, code and counts as they are, of which there are not many.
    fitting[2] = head[0] & !0x78 | 0x80;
    fitting[3..12].copy_from_slice(&[head[1], 0, 1, head[2] & 3, head[3], head[4] & 3, head[5], 0, 0]);
    fitting.extend(reply.get(10..).unwrap_or_default());
    fitting
}

/// A network on which these are the replies.
struct Replies {
    replies: RefCell<Vec<Vec<u8>>>,
    clock: Cell<i64>,
}

impl Network for &Replies {
    fn servers(&self) -> Vec<String> {
        vec!["one".into()]
    }

    fn exchange(
        &self,
        _net: &str,
        _server: &str,
        query: &[u8],
        _ms: u32,
        reads: Read,
    ) -> Result<Answer, String> {
        self.clock.set(self.clock.get() + 1);
        let reply = self.replies.borrow_mut().pop().ok_or("nobody answers")?;
        // An alias is another question.
        let mut reply = if reply.starts_with(&query[..2]) { reply } else { fitting(query, &reply) };
        reply[..2].copy_from_slice(&query[..2]);
        reads(&reply).ok_or_else(|| "no reply".into())
    }

    fn random(&self) -> u16 {
        NUMBER
    }

    fn now(&self) -> i64 {
        self.clock.get()
    }
}
