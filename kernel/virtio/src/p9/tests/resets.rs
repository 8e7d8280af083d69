//! The device breaks down, lies or is reset: every request comes back, and none before the device has let go of it.

use super::*;

#[test]
fn a_reset_gives_back_what_is_in_flight_but_not_before_it_is_over() {
    let (p9, device) = start();
    let done: Vec<Done> = (0..200).map(|tag| submit(&p9, request(tag))).collect();
    let taken = device.take().unwrap();
    let (tx, rx) = mpsc::channel();
    let early = done[usize::from(tag_of(&taken))].clone();
    *device.on_reset.lock().unwrap() = Some(Box::new(move || {
        // The device still writes, as QEMU's does until its workers have finished.
        std::thread::sleep(Duration::from_millis(20));
        taken.fill(b"late");
        let _ = tx.send(early.ready());
    }));
    assert_eq!(p9.reset(), Ok(()));
    *device.on_reset.lock().unwrap() = None;
    // The second reset is that of the fresh start.
    assert_eq!(
        rx.try_iter().collect::<Vec<_>>(),
        [false, true],
        "buffers go back after the reset, not before"
    );
    for d in &done {
        assert_eq!(d.take().expect("still out").result, Err(HungUp));
    }
    // And it works afresh, with the ring from its start and its interrupts.
    let done = submit(&p9, request(9));
    device.answer(&device.take().unwrap(), b"again");
    assert_eq!(wait(&done).result, Ok(12));
    assert_eq!((p9.status().failure, counter(&p9, "outstanding"), counter(&p9, "resets")), (None, 0, 1));
}

#[test]
fn a_device_that_breaks_down_hangs_up_until_it_is_reset() {
    let (p9, device) = start();
    let done: Vec<Done> = (0..150).map(|tag| submit(&p9, request(tag))).collect();
    let resets = device.registers().resets;
    device.break_down();
    assert!(done.iter().all(|d| wait(d).result == Err(HungUp)));
    assert_eq!(p9.status().failure.as_deref(), Some("device needs a reset"));
    assert!(device.registers().resets > resets);
    assert_eq!(wait(&submit(&p9, request(1))).result, Err(HungUp), "the session is over");
    assert_eq!(p9.reset(), Ok(()));
    let done = submit(&p9, request(1));
    device.answer(&device.take().unwrap(), b"");
    assert_eq!((wait(&done).result, p9.status().failure), (Ok(7), None));
}

#[test]
fn a_device_that_lies_hangs_up() {
    let lies: [&dyn Fn(&Fake); 4] = [
        &|d| d.give(500, 0),
        &|d| d.give(u32::from(d.take().unwrap().id), 100_000),
        &|d| d.run_ahead(3),
        &|d| {
            let id = u32::from(d.take().unwrap().id);
            d.give_quietly(id, 0);
            d.give(id, 0);
        },
    ];
    for (n, lie) in lies.iter().enumerate() {
        let (p9, device) = start();
        let done: Vec<Done> = (0..2).map(|tag| submit(&p9, request(tag))).collect();
        lie(&device);
        let results: Vec<_> = done.iter().map(|d| wait(d).result).collect();
        assert!(results.contains(&Err(HungUp)), "{n}: {results:?}");
        assert!(results.iter().all(|r| matches!(r, Err(HungUp) | Ok(0))), "{n}: {results:?}");
        assert!(p9.status().failure.is_some());
        assert_eq!(p9.reset(), Ok(()));
        let done = submit(&p9, request(5));
        device.answer(&device.take().unwrap(), b"");
        assert_eq!(wait(&done).result, Ok(7), "{n}");
    }
}

#[test]
fn a_device_that_does_not_come_back_is_dead() {
    let (p9, device) = start();
    let done = submit(&p9, request(1));
    device.quirks.lock().unwrap().refuse_features = true;
    assert_eq!(p9.reset(), Err(Broken("device does not start again")));
    assert_eq!(wait(&done).result, Err(HungUp));
    assert_eq!(wait(&submit(&p9, request(2))).result, Err(HungUp));
    assert_eq!(p9.status().failure.as_deref(), Some("device does not start again"));
    device.quirks.lock().unwrap().refuse_features = false;
    assert_eq!(p9.reset(), Ok(()), "until it does");
}

#[test]
fn resets_in_a_storm_lose_no_request() {
    let (p9, device) = start();
    // A request that is being sent may notify a device that is in the middle of a reset, which ignores it.
    device.quirks.lock().unwrap().lenient = true;
    let (peer, stop) = (device.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let server = std::thread::spawn(move || {
        let mut noise = Noise::new(11);
        while !stopped.load(SeqCst) {
            let Some(taken) = peer.wait() else { continue };
            match noise.below(40) {
                0 => peer.break_down(),
                // Not answered: only a reset brings it back.
                1 => {}
                _ => {
                    // Nothing, when there was a reset in between.
                    peer.answer(&taken, b"");
                }
            }
        }
    });
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4u16)
            .map(|n| {
                let p9 = &p9;
                scope.spawn(move || {
                    let mut slot = request(n);
                    for _ in 0..300 {
                        slot = wait(&submit(p9, slot));
                        assert!(
                            matches!(slot.result, Ok(7) | Err(HungUp) | Err(Broken(_))),
                            "{:?}",
                            slot.result
                        );
                    }
                })
            })
            .collect();
        while !workers.iter().all(|w| w.is_finished()) {
            std::thread::sleep(Duration::from_millis(2));
            let _ = p9.reset();
        }
    });
    stop.store(true, SeqCst);
    server.join().unwrap();
    eventually(|| counter(&p9, "outstanding") == 0);
}
