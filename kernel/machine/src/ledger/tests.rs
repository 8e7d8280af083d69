use super::*;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// There is one table, and one of the tests fills it: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const SOME: Terms = Terms { bytes: 1 << 20, accounts: 100, held: 10, trusted: false };

fn user(terms: Terms) -> User {
    User::new(terms).unwrap()
}

#[test]
fn what_a_thread_takes_is_on_its_bill_and_its_user_s() {
    let _alone = alone();
    let glenda = user(Terms::OWNER);
    let account = Account::new(&glenda).unwrap();
    let number = on(&account, || charge(1000));
    assert_eq!((number, account.bytes(), glenda.bytes()), (account.number, 1000, 1000));
    let other = Account::new(&glenda).unwrap();
    assert_ne!(on(&other, || charge(5)), number);
    // Whoever gives it back, it is credited to who took it.
    on(&other, || credit(number, 1000));
    assert_eq!((account.bytes(), other.bytes(), glenda.bytes()), (0, 5, 5));
    on(&other, || credit(other.number, 5));
    assert_eq!((as_kernel(|| charge(77)), glenda.bytes()), (0, 0));
}

#[test]
fn small_change_stays_with_the_thread_for_a_while() {
    let _alone = alone();
    let glenda = user(Terms::OWNER);
    let account = Account::new(&glenda).unwrap();
    on(&account, || {
        let number = charge(BATCH as usize);
        assert_eq!(account.bytes(), 0);
        assert_eq!(charge(1), number);
        assert_eq!(account.bytes(), BATCH as u64 + 1);
        credit(number, 100);
        assert_eq!(account.bytes(), BATCH as u64 + 1);
        // Somebody else's account comes between.
        let inner = Account::new(&glenda).unwrap();
        on(&inner, || assert_eq!(charge(3), inner.number));
        assert_eq!((inner.bytes(), account.bytes()), (3, BATCH as u64 + 1));
        credit(inner.number, 3);
    });
    assert_eq!((account.bytes(), glenda.bytes()), (BATCH as u64 - 99, BATCH as u64 - 99));
    credit(account.number, BATCH as usize - 99);
    assert_eq!(glenda.bytes(), 0);
}

#[test]
fn a_number_is_free_when_nobody_holds_it_and_nothing_is_charged_to_it() {
    let _alone = alone();
    let glenda = user(Terms::OWNER);
    let account = Account::new(&glenda).unwrap();
    let number = on(&account, || charge(10));
    assert_eq!(glenda.accounts(), (1, 1));
    assert!(is_held(number));
    drop(account);
    assert_eq!(glenda.accounts(), (0, 1));
    assert!(!is_held(number));
    assert_eq!(glenda.bytes(), 10);
    credit(number, 10);
    assert_eq!((glenda.accounts(), glenda.bytes()), ((0, 0), 0));
    let account = Account::new(&glenda).unwrap();
    drop(account);
    assert_eq!(glenda.accounts(), (0, 0));
}

#[test]
fn a_user_has_no_more_than_its_terms_allow() {
    let _alone = alone();
    let glenda = user(SOME);
    let mut held: Vec<_> = (0..10).map(|_| Account::new(&glenda).unwrap()).collect();
    assert!(Account::new(&glenda).is_none());
    held.truncate(9);
    let account = Account::new(&glenda).unwrap();
    on(&account, || {
        assert!(may_have(1 << 20) && !may_have((1 << 20) + 1));
        assert_eq!(standing(1 << 30), Standing::Other);
        charge(1 << 20);
        assert!(may_have(0) && !may_have(1));
        as_kernel(|| assert!(may_have(usize::MAX) && standing(0) == Standing::Kernel));
        credit(account.number, 1 << 20);
    });
    drop(account);
    // What is left of the dead counts, too.
    let mut left = Vec::new();
    for _ in 0..91 {
        let account = Account::new(&glenda).unwrap();
        left.push(on(&account, || charge(1)));
    }
    assert!(Account::new(&glenda).is_none());
    left.into_iter().for_each(|n| credit(n, 1));
    assert!(Account::new(&glenda).is_some());
    glenda.set_terms(Terms { held: 1, ..SOME });
    assert!(Account::new(&glenda).is_none());
}

#[test]
fn an_account_takes_its_bill_along_to_another_user() {
    let _alone = alone();
    let (glenda, none) = (user(Terms::OWNER), user(SOME));
    let account = Account::new(&glenda).unwrap();
    on(&account, || charge(100));
    on(&account, || assert_eq!(standing(100), Standing::Other));
    assert_eq!((group(0), group(account.number)), (Group::Kernel, Group::Owner));
    account.prefer(true);
    assert_eq!(group(account.number), Group::Console);
    on(&account, || assert_eq!((standing(100), standing(99)), (Standing::Owner, Standing::Other)));
    // What is there for longer than its process is not for that process.
    let inner = || (for_long(|| standing(100)), standing(100));
    on(&account, || assert_eq!(for_long(inner), (Standing::Other, Standing::Other)));
    on(&account, || assert_eq!(inner(), (Standing::Other, Standing::Owner)));
    account.set_user(&none);
    assert_eq!((glenda.bytes(), none.bytes()), (0, 100));
    assert_eq!((glenda.accounts(), none.accounts()), ((0, 0), (1, 1)));
    assert!(account.is_preferred());
    assert_eq!(group(account.number), Group::Others);
    on(&account, || assert_eq!(standing(100), Standing::Other));
    account.set_user(&glenda);
    on(&account, || assert_eq!(standing(100), Standing::Owner));
    account.prefer(false);
    on(&account, || assert_eq!(standing(100), Standing::Other));
    account.set_user(&none);
    credit(account.number, 100);
    drop(account);
    assert_eq!((none.bytes(), none.accounts()), (0, (0, 0)));
}

#[test]
fn groups_are_in_the_order_of_their_numbers() {
    assert!(Group::ALL.iter().enumerate().all(|(n, group)| *group as usize == n));
}

#[test]
fn a_user_s_place_is_free_again_when_nothing_is_charged_to_it() {
    let _alone = alone();
    let first = user(SOME);
    let account = Account::new(&first).unwrap();
    let number = on(&account, || charge(1));
    let place = first.0;
    drop((first, account));
    assert_ne!(user(SOME).0, place);
    credit(number, 1);
    // Its place is had again, and so is that of each of these.
    assert!((0..1000).all(|_| User::new(SOME).is_some()));
}

#[test]
fn sums_are_right_after_a_race() {
    let _alone = alone();
    let users = [user(Terms::OWNER), user(Terms::OWNER)];
    let accounts: Vec<_> = (0..4).map(|i| Account::new(&users[i % 2]).unwrap()).collect();
    std::thread::scope(|s| {
        for (i, account) in accounts.iter().enumerate() {
            let (accounts, users) = (&accounts, &users);
            s.spawn(move || {
                on(account, || {
                    let mut taken = Vec::new();
                    for n in 0..5000 {
                        let bytes = n * 7 % 3000;
                        let mine = charge(bytes);
                        taken.push((
                            if n % 3 == 0 { accounts[(i + 1) % 4].number } else { mine },
                            mine,
                            bytes,
                        ));
                        if n % 5 == 0 {
                            let (_, number, bytes) = taken.remove(taken.len() / 2);
                            credit(number, bytes);
                        }
                        if n % 50 == 0 {
                            account.set_user(&users[n / 50 % 2]);
                        }
                    }
                    // Half of it is given back on another account.
                    for (pays, number, bytes) in taken {
                        let payer = accounts.iter().find(|a| a.number == pays).unwrap();
                        on(payer, || credit(number, bytes));
                    }
                });
            });
        }
    });
    assert!(accounts.iter().all(|a| a.bytes() == 0));
    assert_eq!((users[0].bytes(), users[1].bytes()), (0, 0));
    drop(accounts);
    assert_eq!((users[0].accounts(), users[1].accounts()), ((0, 0), (0, 0)));
}

#[test]
fn the_table_ends() {
    let _alone = alone();
    let glenda = user(Terms::OWNER);
    let mut all = Vec::new();
    while let Some(account) = Account::new(&glenda) {
        all.push(account);
    }
    assert_eq!(all.len(), MOST as usize - 1);
    drop(all);
    assert_eq!(glenda.accounts(), (0, 0));
    assert!(Account::new(&glenda).is_some());
}

#[test]
fn a_charge_is_handed_to_an_account_of_the_same_user_that_is_held() {
    let _alone = alone();
    let (glenda, none) = (user(Terms::OWNER), user(SOME));
    let [giver, taker] = [0, 1].map(|_| Account::new(&glenda).unwrap());
    let stranger = Account::new(&none).unwrap();
    on(&giver, || charge(1000));
    assert!(hand_over(giver.number, taker.number, 600));
    credit(giver.number, 600);
    assert_eq!((giver.bytes(), taker.bytes(), glenda.bytes()), (400, 600, 1000));
    assert!(!hand_over(giver.number, stranger.number, 400) && !hand_over(giver.number, giver.number, 400));
    assert!(!hand_over(giver.number, 0, 400) && !hand_over(0, giver.number, 400));
    let number = taker.number;
    drop(taker);
    assert!(!hand_over(giver.number, number, 400));
    credit(number, 600);
    assert!(!hand_over(giver.number, number, 400));
    credit(giver.number, 400);
    assert_eq!((glenda.bytes(), glenda.accounts()), (0, (1, 1)));
}

#[test]
fn a_thread_pays_on_the_account_on_which_it_was_started() {
    let _alone = alone();
    let glenda = user(Terms::OWNER);
    let account = Account::new(&glenda).unwrap();
    account.prefer(true);
    let number = account.number;
    let seen = Arc::new(AtomicU64::new(0));
    let told = seen.clone();
    let gone = Arc::new(AtomicBool::new(false));
    let wait = gone.clone();
    let body = move || {
        while !wait.load(Ordering::SeqCst) {
            crate::thread::yield_now();
        }
        // Its process is gone, and whoever was preferred; the number is nobody else's.
        let standing = standing(usize::MAX);
        told.store(u64::from(payer()) << 1 | u64::from(standing == Standing::Other), Ordering::SeqCst);
    };
    let thread = on(&account, || crate::thread::spawn("pays", 0, alloc::boxed::Box::new(body))).unwrap();
    drop(account);
    assert!(glenda.bytes() > 0);
    gone.store(true, Ordering::SeqCst);
    thread.host_join();
    assert_eq!(seen.load(Ordering::SeqCst), u64::from(number) << 1 | 1);
}
