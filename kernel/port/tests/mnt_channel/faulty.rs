//! Servers that die, say nonsense, or nothing at all.

use super::*;

#[test]
fn a_server_that_dies() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) =
        start(&t, &served, |_, bytes| if bytes[4] == kind::TREAD { Act::Die } else { Act::Answer });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
    let mut buf = [0; 9];
    let read = |buf: &mut [u8]| text(sysfile::pread(&t.up, fd, &mut Dst::Kernel(buf), 0));
    assert_eq!(read(&mut buf), Err(error::EHUNGUP.into()));
    done.wait();
    assert_eq!(read(&mut buf), Err(error::EHUNGUP.into()));
    assert!(t.stat("/n/f").unwrap_err().is(error::EHUNGUP));
    // Another one in its place.
    let again = Served::plan9(|host| {
        host.file("f", b"54321").unwrap();
    });
    for _ in 0..20 {
        let (fd, done) = start(&t, &again, |_, _| Act::Answer);
        mount(&t.up, fd, "/n", "").unwrap();
        assert_eq!(t.read("/n/f").unwrap(), b"54321");
        end(&t, &again, &done);
    }
    sysfile::close(&t.up, fd).unwrap();
}

#[test]
fn interrupted_calls_are_flushed() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) =
        start(&t, &served, |_, bytes| if bytes[4] == kind::TREAD { Act::Hold } else { Act::Answer });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
    for round in 1..=20 {
        let (p, result) = t.start(move |up| {
            let mut buf = [0; 9];
            let read = text(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0));
            thread::current().clear_interrupt();
            exit::exit(up, "");
            read
        });
        served.until_held(round);
        notes::post(&p, "interrupt", NoteClass::User);
        // The server says Rflush and nothing else.
        assert_eq!(result.wait(), Err(error::EINTR.into()));
        assert_eq!(served.count(kind::TFLUSH), round as usize);
    }
    sysfile::close(&t.up, fd).unwrap();
    end(&t, &served, &done);
}

/// A server that was started anew behind the same port knows nothing of the session, nor of what is flushed.
#[test]
fn a_refused_flush_ends_the_session() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) = start(&t, &served, |_, bytes| match bytes[4] {
        kind::TREAD => Act::Hold,
        kind::TFLUSH => {
            let refused = Rmsg::Error { ename: "no version agreed on".into(), errno: 0 };
            Act::Say(refused.to_vec(Dialect::P9, tag(bytes)).unwrap())
        }
        _ => Act::Answer,
    });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
    let (p, result) = t.start(move |up| {
        let mut buf = [0; 9];
        let read = text(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0));
        thread::current().clear_interrupt();
        exit::exit(up, "");
        read
    });
    served.until_held(1);
    notes::post(&p, "interrupt", NoteClass::User);
    assert_eq!(result.wait(), Err(error::EHUNGUP.into()));
    assert!(t.stat("/n/f").unwrap_err().is(error::EHUNGUP));
    sysfile::close(&t.up, fd).unwrap();
    sysfile::unmount(&t.up, None, "/n").unwrap();
    done.wait();
}

/// Nothing that comes out of a channel may do more than end its session.
#[test]
fn nonsense_from_a_server() {
    let clunk = Rmsg::Clunk {}.to_vec(Dialect::P9, 0).unwrap();
    type Say = fn(&[u8]) -> Vec<u8>;
    let cases: &[(&str, Say)] = &[
        ("another type", |t| Rmsg::Clunk {}.to_vec(Dialect::P9, tag(t)).unwrap()),
        ("a size of nothing", |_| vec![0; 100]),
        ("a size of 4 GiB", |_| vec![0xff; 100]),
        ("a size of six", |_| vec![6, 0, 0, 0, 1, 1, 0]),
        ("more than fits", |t| {
            let mut r = vec![0; 20_000];
            r[..4].copy_from_slice(&20_000u32.to_le_bytes());
            r[4..7].copy_from_slice(&[kind::RSTAT, t[5], t[6]]);
            r
        }),
        ("a stat that is none", |t| {
            Rmsg::Stat { stat: ninep::wire::Record(b"rubbish") }.to_vec(Dialect::P9, tag(t)).unwrap()
        }),
    ];
    for &(name, say) in cases {
        let t = kernel();
        let served = Served::plan9(|host| {
            host.file("f", b"12345").unwrap();
        });
        let stray = clunk.clone();
        let (fd, done) = start(&t, &served, move |_, bytes| match bytes[4] {
            kind::TSTAT => Act::Say(say(bytes)),
            // A reply that nobody asked for is dropped.
            kind::TFLUSH => Act::Say(stray.clone()),
            _ => Act::Answer,
        });
        mount(&t.up, fd, "/n", "").unwrap();
        let e = t.stat("/n/f").unwrap_err();
        let known = [error::EMOUNTRPC, error::EHUNGUP, error::EBADSTAT].iter().any(|k| e.is(k));
        assert!(known, "{name}: {e}");
        sysfile::unmount(&t.up, None, "/n").unwrap();
        done.wait();
    }
    assert_eq!(machine::host::machine().panics(), 0);
}

#[test]
fn stray_replies_are_dropped() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let mut model = Server::plan9();
    model.host.file("f", b"12345").unwrap();
    let (fd, done) = start(&t, &served, move |_, bytes| {
        let stray = Rmsg::Clunk {}.to_vec(Dialect::P9, 0xeeee).unwrap();
        Act::Say([&stray[..], &model.handle(bytes), &stray].concat())
    });
    mount(&t.up, fd, "/n", "").unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"12345");
    sysfile::unmount(&t.up, None, "/n").unwrap();
    done.wait();
}

#[test]
fn a_mount_that_nobody_answers_can_be_given_up() {
    let t = kernel();
    let [ours, theirs] = sysfile::pipe(&t.up).unwrap();
    let (p, mounting) = t.start(move |up| {
        let mounted = text(mount(up, ours, "/n", ""));
        thread::current().clear_interrupt();
        sysfile::close(up, ours).unwrap();
        mounted
    });
    // Somebody reads the message, but says nothing.
    let mut buf = [0; 100];
    assert!(sysfile::pread(&t.up, theirs, &mut Dst::Kernel(&mut buf), -1).unwrap() > 0);
    assert_eq!(buf[4], kind::TVERSION);
    notes::post(&p, "interrupt", NoteClass::User);
    assert_eq!(mounting.wait(), Err(error::EINTR.into()));
    assert_eq!(sysfile::pread(&t.up, theirs, &mut Dst::Kernel(&mut buf), -1).unwrap(), 0, "the end");
    sysfile::close(&t.up, theirs).unwrap();
}

/// A server that does not read: what is to be written piles up, and when the last file is closed the writer goes.
#[test]
fn a_server_that_does_not_read_does_not_keep_the_channel() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"").unwrap();
    });
    let stop = Arc::new(AtomicU32::new(0));
    let (stopped, go) = (stop.clone(), Arc::new(Completion::<()>::new()));
    let going = go.clone();
    let (fd, done) = start(&t, &served, move |_, bytes| {
        if bytes[4] == kind::TWRITE && stopped.swap(1, Ordering::SeqCst) == 0 {
            going.wait();
            return Act::Die;
        }
        Act::Answer
    });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OWRITE).unwrap();
    // Twelve times 128 KiB fill the pipe.
    let writers: Vec<_> = (0..12)
        .map(|_| t.start(move |up| text(sysfile::pwrite(up, fd, &Src::Kernel(&vec![1; 131_072]), 0))).1)
        .collect();
    while stop.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    go.put(());
    for w in writers {
        assert_eq!(w.wait(), Err(error::EHUNGUP.into()));
    }
    done.wait();
    sysfile::close(&t.up, fd).unwrap();
    sysfile::unmount(&t.up, None, "/n").unwrap();
}
