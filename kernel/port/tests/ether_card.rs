//! A card and its listeners, over a wire between two.

use std::sync::mpsc::{Receiver as Heard, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use io::Ether;
use io::ether::{BROADCAST, Checksum, Features, Frame, Receiver, SendError, Statistics, Sum, Unfinished};
use port::dev::ether::card::{Card, Kind, LISTENERS_MOST, Listener, Wants};
use port::testkit::wire::{Faults, ROOM, WireCard, wire, wire_with};

/// Sends on what it hears: frames, `rest` as nothing at all.
struct Ear(Mutex<Sender<Vec<u8>>>, Mutex<Sender<Sum>>);

impl Receiver for Ear {
    fn receive(&self, frame: &Frame<'_>) {
        let _ = self.0.lock().unwrap().send(frame.bytes.to_vec());
        let _ = self.1.lock().unwrap().send(frame.sum);
    }

    fn changed(&self) {
        let _ = self.0.lock().unwrap().send(b"changed".to_vec());
    }
}

fn listen(card: &Arc<Card>, wants: Wants) -> (Listener, Heard<Vec<u8>>, Heard<Sum>) {
    let ((to, heard), (sums, seen)) = (channel(), channel());
    let ear = Arc::new(Ear(Mutex::new(to), Mutex::new(sums)));
    (card.listen(wants, ear).unwrap(), heard, seen)
}

fn only(kind: u16) -> Wants {
    Wants { kind: Kind::Only(kind), ..Wants::default() }
}

fn frame(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

fn soon(heard: &Heard<Vec<u8>>) -> Vec<u8> {
    heard.recv_timeout(Duration::from_secs(20)).expect("nothing comes")
}

fn send(from: &Listener, frame: &[u8]) -> Result<(), SendError> {
    from.send(&[frame], Unfinished::default())
}

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];

#[test]
fn who_wants_a_frame_hears_it_and_nobody_else() {
    let (a, b) = wire(Faults::default());
    let (a, b) = (Card::new(a), Card::new(b));
    let (sender, _, _) = listen(&a, only(0x800));
    let (_ip, ip, _) = listen(&b, only(0x800));
    let (_arp, arp, _) = listen(&b, only(0x806));
    let (_all, all, _) = listen(&b, Wants { kind: Kind::All, ..Wants::default() });
    let (_snoop, snoop, _) = listen(&b, Wants { kind: Kind::All, promiscuous: true, ..Wants::default() });
    let frames = [
        frame(B, A, 0x800, b"one"),
        frame(BROADCAST, A, 0x806, b"two"),
        frame(OTHER, A, 0x800, b"three"),
        frame(B, A, 0x1234, b"four"),
    ];
    frames.iter().for_each(|f| send(&sender, f).unwrap());
    assert_eq!([soon(&all), soon(&all), soon(&all)], [&frames[0][..], &frames[1], &frames[3]]);
    frames.iter().for_each(|f| assert_eq!(soon(&snoop), *f));
    assert_eq!((soon(&ip), soon(&arp)), (frames[0].clone(), frames[1].clone()));
    assert!(ip.try_recv().is_err() && arp.try_recv().is_err() && all.try_recv().is_err());
    assert_eq!(b.unheard(), 0);
    assert_eq!((b.ether().statistics().received, a.ether().statistics().sent), (4, 4));
}

#[test]
fn what_is_sent_is_heard_by_others_at_the_same_card() {
    let (a, b) = wire(Faults::default());
    let (a, b) = (Card::new(a), Card::new(b));
    let all = Wants { kind: Kind::All, ..Wants::default() };
    let (sender, own, _) = listen(&a, all);
    let (_ear, ear, _) = listen(&a, all);
    let (_far, far, _) = listen(&b, all);
    let to_all = frame(BROADCAST, A, 0x806, b"all");
    let to_b = frame(B, A, 0x806, b"b");
    let to_itself = frame(A, A, 0x806, b"itself");
    [&to_all, &to_b, &to_itself].into_iter().for_each(|f| send(&sender, f).unwrap());
    assert_eq!((soon(&ear), soon(&ear)), (to_all.clone(), to_itself.clone()));
    assert_eq!((soon(&far), soon(&far)), (to_all.clone(), to_b.clone()));
    assert!(own.try_recv().is_err(), "who sends does not hear himself");
    sender.set_wants(Wants { itself: true, promiscuous: true, ..all });
    send(&sender, &to_b).unwrap();
    assert_eq!(soon(&own), to_b);
    // Who bridges does not want back what he sent in another's name.
    sender.set_wants(Wants { itself: true, promiscuous: true, bridge: true, ..all });
    send(&sender, &frame(B, OTHER, 0x806, b"bridged")).unwrap();
    send(&sender, &to_b).unwrap();
    assert_eq!(soon(&own), to_b);
    assert!(
        far.recv_timeout(Duration::from_secs(20)).is_ok_and(|f| f == to_b),
        "what is for itself stays here"
    );
}

#[test]
fn a_checksum_that_nobody_made_is_told_as_missing() {
    let (a, b) = wire_with(Faults::default(), Features { checksum: true, ..Features::default() });
    let (a, b) = (Card::new(a), Card::new(b));
    let (sender, _, _) = listen(&a, only(0x800));
    let (_ear, _heard, sums) = listen(&b, only(0x800));
    let checksum = Checksum { start: 14, field: 16 };
    let unfinished = Unfinished { checksum: Some(checksum), cut: None };
    sender.send(&[&frame(B, A, 0x800, b"12"), b"34"], unfinished).unwrap();
    assert_eq!(sums.recv_timeout(Duration::from_secs(20)).unwrap(), Sum::Missing(checksum));
    let (plain, _other) = wire(Faults::default());
    let plain = Card::new(plain);
    let (sender, _, _) = listen(&plain, only(0x800));
    let f = frame(B, A, 0x800, b"1234");
    assert_eq!(sender.send(&[&f], unfinished), Err(SendError::Malformed));
}

#[test]
fn what_is_no_frame_is_refused() {
    let (a, _b) = wire(Faults::default());
    let a = Card::new(a);
    let (sender, _, _) = listen(&a, only(0x800));
    assert_eq!(send(&sender, &[0; 13]), Err(SendError::Malformed));
    assert_eq!(send(&sender, &frame(B, A, 0x800, &[0; 1501])), Err(SendError::Malformed));
    assert_eq!(send(&sender, &frame(A, A, 0x800, &[0; 1505])), Err(SendError::Malformed));
    assert_eq!(sender.send(&[&[0; 10][..]; 9], Unfinished::default()), Err(SendError::Malformed));
    send(&sender, &frame(B, A, 0x800, &[0; 1500])).unwrap();
}

/// A card whose wire answers before the sending is over.
#[derive(Default)]
struct Echo(Mutex<Option<Arc<dyn Receiver>>>);

impl Ether for Echo {
    fn name(&self) -> String {
        "echo".into()
    }
    fn mac(&self) -> [u8; 6] {
        A
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link(&self) -> bool {
        true
    }
    fn mbps(&self) -> Option<u32> {
        None
    }
    fn works(&self) -> bool {
        true
    }
    fn features(&self) -> Features {
        Features::default()
    }
    fn send(&self, _: &[&[u8]], _: Unfinished) -> Result<(), SendError> {
        let receiver = self.0.lock().unwrap().clone().unwrap();
        receiver.receive(&Frame { bytes: &frame(A, B, 0x806, b"answer"), sum: Sum::Unknown });
        Ok(())
    }
    fn connect(&self, receiver: Arc<dyn Receiver>) {
        *self.0.lock().unwrap() = Some(receiver);
    }
    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

#[test]
fn nobody_hears_an_answer_before_the_question() {
    let card = Card::new(Arc::new(Echo::default()));
    let (sender, ..) = listen(&card, only(0x806));
    let (_snoop, snoop, _) = listen(&card, Wants { kind: Kind::All, promiscuous: true, ..Wants::default() });
    let question = frame(BROADCAST, A, 0x806, b"question");
    send(&sender, &question).unwrap();
    assert_eq!((soon(&snoop), soon(&snoop)), (question, frame(A, B, 0x806, b"answer")));
}

#[test]
fn what_was_refused_and_is_sent_again_is_heard_once() {
    let (a, far) = wire(Faults::default());
    let a = Card::new(a);
    far.hold(true);
    let (sender, changed, _) = listen(&a, only(0x1234));
    let f = frame(B, A, 0x800, b"f");
    while send(&sender, &f).is_ok() {}
    let (_snoop, snoop, _) = listen(&a, Wants { kind: Kind::All, promiscuous: true, ..Wants::default() });
    let last = frame(B, A, 0x800, b"last");
    assert_eq!(send(&sender, &last), Err(SendError::Full));
    assert_eq!(soon(&snoop), last);
    far.connect(Arc::new(Nobody));
    far.hold(false);
    while sender.send_again(&[&last], Unfinished::default()).is_err() {
        assert_eq!(soon(&changed), b"changed");
    }
    assert!(snoop.try_iter().all(|heard| heard == b"changed"));
}

/// Hears nothing.
struct Nobody;

impl Receiver for Nobody {
    fn receive(&self, _: &Frame<'_>) {}
}

#[test]
fn the_places_at_a_card_are_bounded_and_free_again() {
    let (a, _b) = wire(Faults::default());
    let a = Card::new(a);
    let places: Vec<_> = (0..LISTENERS_MOST).map(|_| listen(&a, Wants::default())).collect();
    let (to, _heard) = channel();
    let (sums, _seen) = channel();
    let ear = Arc::new(Ear(Mutex::new(to), Mutex::new(sums)));
    assert!(a.listen(Wants::default(), ear.clone()).is_err());
    drop(places);
    assert!(a.listen(Wants::default(), ear).is_ok());
}

/// Sends `n` numbered frames, waiting where the card is full; gives what arrives until a last one that always does.
fn numbers(n: u32, faults: Faults) -> Vec<u32> {
    let (a, b) = wire(faults);
    let far: Arc<WireCard> = b.clone();
    let (a, b) = (Card::new(a), Card::new(b));
    let (sender, changed, _) = listen(&a, only(0x1234));
    let (_ear, heard, _) = listen(&b, only(0x800));
    for i in 0..n {
        let f = frame(B, A, 0x800, &i.to_be_bytes());
        while send(&sender, &f) == Err(SendError::Full) {
            assert_eq!(soon(&changed), b"changed");
        }
    }
    far.set_faults(Faults::default());
    let last = frame(B, A, 0x800, &u32::MAX.to_be_bytes());
    while send(&sender, &last) == Err(SendError::Full) {
        assert_eq!(soon(&changed), b"changed");
    }
    let number = |f: Vec<u8>| u32::from_be_bytes(*f.last_chunk().unwrap());
    std::iter::from_fn(|| Some(number(soon(&heard)))).take_while(|i| *i != u32::MAX).collect()
}

#[test]
fn a_good_wire_delivers_everything_in_order_and_is_full_now_and_then() {
    let n = 20 * ROOM as u32;
    assert_eq!(numbers(n, Faults::default()), (0..n).collect::<Vec<_>>());
}

#[test]
fn a_bad_wire_loses_repeats_and_overtakes() {
    let faults = Faults { lost: 100, seed: 7, ..Faults::default() };
    let got = numbers(1000, faults);
    assert!((850..950).contains(&got.len()) && got.is_sorted(), "{} of 1000", got.len());
    let got = numbers(1000, Faults { doubled: 100, seed: 7, ..Faults::default() });
    assert!((1050..1150).contains(&got.len()) && got.is_sorted(), "{} of 1000", got.len());
    let got = numbers(1000, Faults { overtaken: 200, seed: 7, ..Faults::default() });
    assert!(got.len() >= 999 && !got.is_sorted(), "{} of 1000", got.len());
}

#[test]
fn a_cable_is_pulled_and_put_in() {
    let (near, b) = wire(Faults::default());
    let (a, b) = (Card::new(near.clone()), Card::new(b));
    let (sender, changed, _) = listen(&a, only(0x1234));
    let (_ear, heard, _) = listen(&b, only(0x800));
    near.set_link(false);
    assert_eq!((soon(&changed), near.link()), (b"changed".to_vec(), false));
    send(&sender, &frame(B, A, 0x800, b"lost")).unwrap();
    near.set_link(true);
    assert_eq!((soon(&changed), near.link()), (b"changed".to_vec(), true));
    send(&sender, &frame(B, A, 0x800, b"kept")).unwrap();
    assert_eq!(soon(&heard), frame(B, A, 0x800, b"kept"));
}
