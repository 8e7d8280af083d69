use super::*;
use alloc::vec;
use machine::page::Page;

fn pinned(len: usize, off: usize, first: u8) -> Pinned {
    let p = Pinned::new(Page::new_zeroed().unwrap(), off, len);
    p.write(0, &(0..len).map(|i| first.wrapping_add(i as u8)).collect::<Vec<_>>());
    p
}

/// A request whose reply room is 11 bytes 0..11, then 5 bytes 11..16, then none, then 4096 bytes 16...
fn scattered() -> Box<Request> {
    let mut q = Request::new(8192, 8192).unwrap();
    assert_eq!((q.r_len, q.r_room()), (8192, 8192));
    q.r_len = 11;
    q.r.write(0, &(0..32).map(|i| if i < 11 { i } else { 0xee }).collect::<Vec<u8>>());
    q.r_data = vec![pinned(5, 4091, 11), pinned(0, 0, 0), pinned(4096, 0, 16)];
    q
}

#[test]
fn a_reply_is_gathered_from_any_place_to_any_place() {
    let q = scattered();
    let room = 11 + 5 + 4096;
    assert_eq!(q.r_room(), room);
    assert_eq!(q.segments(), 3, "no message yet, and no empty piece");
    let whole: Vec<u8> = (0..room).map(|i| i as u8).collect();
    let places = [0, 1, 10, 11, 12, 15, 16, 17, 4000, room - 1, room, room + 1, usize::MAX];
    for at in places {
        for len in [0, 1, 2, 4, 5, 6, 11, 12, 17, 300, room, room + 9] {
            let mut buf = vec![0xcc; len];
            let n = q.reply_read(at, &mut buf);
            let expect = whole.get(at..).unwrap_or(&[]);
            assert_eq!(n, len.min(expect.len()), "{len} at {at}");
            assert_eq!(buf[..n], expect[..n], "{len} at {at}");
            assert!(buf[n..].iter().all(|b| *b == 0xcc), "nothing is written beyond the room");
        }
    }
}

#[test]
fn an_offer_of_more_than_there_is_reads_what_there_is() {
    let mut q = Request::new(64, 64).unwrap();
    q.r_len = 100;
    assert_eq!(q.reply_read(60, &mut [0; 10]), 4);
    q.r_data.push(pinned(1, 0, 9));
    let mut buf = [0; 10];
    assert_eq!(q.reply_read(60, &mut buf), 5);
    assert_eq!(buf[4], 9);
}

#[test]
fn the_length_of_a_message_counts_its_data() {
    let mut q = Request::new(8192, 8192).unwrap();
    q.t_len = 23;
    q.t_data = vec![pinned(100, 3996, 0), pinned(28, 0, 0)];
    assert_eq!(q.t_total(), 151);
    // The message, its two pieces of data, and the two pages that the reply has room in.
    assert_eq!(q.segments(), 5);
}

#[test]
fn neighbours_in_memory_are_one_segment_but_not_of_both_ways() {
    let mut q = Request::new(64, 64).unwrap();
    q.t_len = 30;
    let page = Page::new_zeroed().unwrap();
    let part = |off, len| Pinned::new(page.clone(), off, len);
    q.t_data = vec![part(0, 100), part(100, 0), part(100, 50), part(200, 50), part(250, 10)];
    q.r_data = vec![part(260, 40), part(300, 1), part(0, 7)];
    let mut seen = vec![];
    q.each_segment(|phys, len, is_room| seen.push((phys.wrapping_sub(page.phys()), len, is_room)));
    let heads =
        [(q.t.phys().wrapping_sub(page.phys()), 30, false), (q.r.phys().wrapping_sub(page.phys()), 64, true)];
    let [t, r] = heads;
    assert_eq!(seen, [t, (0, 150, false), (200, 60, false), r, (260, 41, true), (0, 7, true)]);
    assert_eq!((q.segments(), q.t_total(), q.r_room()), (6, 240, 112));
}

#[test]
fn a_request_comes_back_through_its_completion_and_can_be_used_again() {
    let q = Request::new(8192, 8192).unwrap();
    let done = q.done.clone();
    let (t, r) = (q.t.phys(), q.r.phys());
    let device = std::thread::spawn(move || {
        q.r.write(0, b"reply");
        q.complete(Ok(5));
    });
    let q = done.wait();
    device.join().unwrap();
    assert_eq!(q.result, Ok(5));
    q.complete(Err(TransportError::HungUp));
    let q = done.take().unwrap();
    assert_eq!(q.result, Err(TransportError::HungUp));
    assert_eq!((q.t.phys(), q.r.phys()), (t, r), "the same buffers");
    // Taken out, it does not keep itself alive.
    let weak = Arc::downgrade(&done);
    drop((q, done));
    assert!(weak.upgrade().is_none());
}

#[test]
fn no_memory_is_an_error() {
    machine::host::new_machine();
    machine::host::limit_pages(3);
    assert!(Request::new(8192, 8192).is_err());
    assert_eq!(machine::mem::kernel_bytes(), 0, "the half that was had is given back");
    machine::host::limit_pages(4);
    assert!(Request::new(8192, 8192).is_ok());
}
