//! What is told of conversations, whose they are, and who pays.

use super::*;

#[test]
fn the_texts_are_plan_9s() {
    let w = World::new();
    let status = text::ifc_status(&w.0, 0).unwrap();
    let lines: Vec<_> = status.lines().collect();
    assert!(lines[0].starts_with("device /dev/null maxtu 16384 sendra 0 recvra 0 mflag 0 "), "{status}");
    let fields: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(fields, ["127.0.0.1", "/104", "127.0.0.0", "4294967295", "4294967295"]);
    assert!(lines[2].starts_with("\t::1                                      /128       ::1 "));
    assert_eq!(text::ifc_status(&w.0, 1), Err(DOES_NOT_EXIST));
    assert_eq!(
        text::routes(&w.0).unwrap(),
        "127.0.0.0       /104 127.0.0.0       4i    ifc   0\n\
         127.0.0.1       /128 127.0.0.1       4u    ifc   0\n\
         ::1             /128 ::1             6u    ifc   0\n"
    );
    let own = text::own_addresses(&w.0).unwrap();
    assert_eq!(own.lines().next().unwrap(), format!("{:<44} 01 4u  ", "127.0.0.1"));
}

#[test]
fn what_waits_is_on_the_bill_of_who_has_begun_it_and_has_an_end() {
    let w = World::new();
    let user = User::new(Terms { bytes: 1 << 20, accounts: 10, held: 10, trusted: false }).unwrap();
    let rich = User::new(Terms::OWNER).unwrap();
    let (caller, server) = (Account::new(&user).unwrap(), Account::new(&rich).unwrap());
    let open = |account: &Arc<Account>| {
        w.0.open(Proto::Tcp, Bearer { owner: "bob".into(), account: Some(account.clone()), is_hosts: false })
    };
    let l = open(&server).unwrap();
    w.0.announce(&l, parse_local("127.0.0.1!80").unwrap()).unwrap();
    let small = server.bytes();
    let begin = || {
        let c = open(&caller).unwrap();
        w.0.connect(&c, end("127.0.0.1!80"), None).unwrap();
        let taken = w.0.listen(&l).unwrap();
        [c, taken]
    };
    let [c, taken] = begin();
    // Who says nothing pays for little.
    assert!(caller.bytes() < 4 << 10 && server.bytes() < small + (4 << 10));
    // What the other side does not read waits here, and there; there it may be as it came, at nobody's expense.
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let writer = |c: Arc<Conversation>| {
        let (stack, sent) = (w.0.clone(), sent.clone());
        std::thread::spawn(move || {
            while stack.write(&c, &[7; 1000]).is_ok() {
                sent.fetch_add(1000, std::sync::atomic::Ordering::SeqCst);
            }
        })
    };
    let mut writers = vec![writer(c.clone())];
    let rests = || {
        // Until as much waits as may.
        let mut before = usize::MAX;
        while before != sent.load(std::sync::atomic::Ordering::SeqCst) {
            before = sent.load(std::sync::atomic::Ordering::SeqCst);
            sleep(Duration::from_millis(50));
        }
    };
    rests();
    let waits = 64 << 10;
    assert!((waits..waits + (24 << 10)).contains(&caller.bytes()), "{}", caller.bytes());
    assert!(w.status(&c).ends_with("qout 65536\n") && w.status(&taken).contains("qin 65"));
    // When a user has all that he may, no more waits for him, and he still talks where little waits.
    let mut more = Vec::new();
    for _ in 0..20 {
        let pair = begin();
        writers.push(writer(pair[0].clone()));
        more.extend(pair);
    }
    rests();
    assert!(caller.bytes() <= 1 << 20, "{}", caller.bytes());
    for one in more.iter().chain([&c, &taken]) {
        w.0.hang_up(one, true).unwrap();
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    for one in more.into_iter().chain([c, taken]) {
        w.0.close(&one);
    }
    assert_eq!(w.settles_at(1), 1);
    assert_eq!((caller.bytes(), server.bytes()), (0, small));
    w.0.close(&l);
    drop(l);
    assert_eq!(server.bytes(), 0);
}

#[test]
fn what_was_looked_at_is_opened_and_not_another_with_its_number() {
    let w = World::new();
    let mine = w.open(Proto::Tcp);
    let seen = w.0.get(Proto::Tcp, mine.number).unwrap();
    w.0.open_again(&seen).unwrap();
    w.0.close(&mine);
    w.0.close(&mine);
    let bob = || Bearer { owner: "bob".into(), account: None, is_hosts: false };
    let other = w.0.open(Proto::Tcp, bob()).unwrap();
    assert_eq!(other.number, mine.number);
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    assert_eq!(w.0.set_owner(&seen, Some("glenda".into()), None), Err(DOES_NOT_EXIST));
    // The same owner's is another, too.
    w.0.close(&other);
    let _third = w.open(Proto::Tcp);
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    // What has been given away, or closed to others, since then is not opened either.
    let seen = w.0.get(Proto::Tcp, mine.number).unwrap();
    w.0.set_owner(&seen, None, Some(0o600)).unwrap();
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    let seen = w.0.get(Proto::Tcp, mine.number).unwrap();
    w.0.set_owner(&seen, Some("bob".into()), None).unwrap();
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    assert_eq!(w.0.set_owner(&seen, Some("glenda".into()), None), Err(DOES_NOT_EXIST));
    assert_eq!(&*w.0.get(Proto::Tcp, mine.number).unwrap().owner, "bob");
}

#[test]
fn others_leave_half_of_the_conversations() {
    let w = World::new();
    let bob = || w.0.open(Proto::Udp, Bearer { owner: "bob".into(), account: None, is_hosts: false });
    let mut his: Vec<_> = std::iter::from_fn(|| bob().ok()).collect();
    assert_eq!(his.len(), 2048);
    let mine = w.open(Proto::Udp);
    w.0.close(&his.pop().unwrap());
    his.push(bob().unwrap());
    assert!(bob().is_err());
    his.iter().chain([&mine]).for_each(|c| w.0.close(c));
}
