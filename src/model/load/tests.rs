//! The laws of a load: what is drawn, and that the checker finds each fault and nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fake_users;
use super::key_history::{Acknowledgement, ImpossibleAnswer, KeyHistory};
use super::keys::{Choice, ExistingKeys, Fingerprint, draw};
use super::mix::{LoadOperation, Mix};
use super::random::Stream;
use super::write_tag::WriteTag;
use crate::model::user::{EMAIL_CHARS_MAX, NAME_CHARS_MAX, User, UserId};

const ACKNOWLEDGED: Acknowledgement = Acknowledgement { at_ms: 7, shard: 1 };

#[test]
fn a_user_is_the_same_for_ever() {
    let line = |seed, id| {
        let user = fake_users::user(seed, UserId::new(id));
        [user.name, user.region, user.email].map(Option::unwrap).join("|")
    };
    insta::assert_snapshot!(
        [(1, 1), (1, 2), (1, 3), (1, 1_000_000), (2, 1), (1, -5)].map(|(seed, id)| line(seed, id)).join("\n")
    );
}

#[test]
fn users_are_plausible_and_their_regions_skewed() {
    let users: Vec<User> = (1..=20_000).map(|id| fake_users::user(7, UserId::new(id))).collect();
    for (region, share) in fake_users::REGIONS {
        let count = users.iter().filter(|user| user.region.as_deref() == Some(region)).count();
        assert!(count.abs_diff(usize::try_from(share).unwrap() * 200) < 400, "{region}: {count}");
    }
    let names: BTreeSet<_> = users.iter().map(|user| &user.name).collect();
    assert!(names.len() > 500, "{}", names.len());
    for user in &users {
        let email = user.email.as_deref().unwrap();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".@-".contains(&byte);
        assert!(email.bytes().all(fits), "{email}");
        assert!(email.len() <= EMAIL_CHARS_MAX && fake_users::is_synthetic(Some(email)));
        assert!(user.name.as_ref().unwrap().chars().count() <= NAME_CHARS_MAX);
    }
    for real in [None, Some("alice@example.com"), Some("a@reload.example"), Some("load.example@x.org")] {
        assert!(!fake_users::is_synthetic(real), "{real:?}");
    }
}

#[test]
fn a_mark_reads_back_and_nothing_else_does() {
    let tag = WriteTag { run: 0xAB, key: UserId::new(-3), client: 7, version: 12, is_created: false };
    assert_eq!(tag.to_string(), "user.-3+c7v12@r000000ab.load.example");
    assert_eq!(WriteTag::read(&tag.to_string()), Some(tag));
    let created = WriteTag { is_created: true, ..tag };
    assert_eq!(created.to_string(), "user.-3+n7v12@r000000ab.load.example");
    assert_eq!(WriteTag::read(&created.to_string()), Some(created));
    assert!(fake_users::is_synthetic(Some(&tag.to_string())));
    let longest = WriteTag {
        run: u32::MAX,
        key: UserId::new(i64::MIN),
        client: u32::MAX,
        version: u32::MAX,
        is_created: true,
    };
    assert!(longest.to_string().len() <= EMAIL_CHARS_MAX);
    for other in
        ["", "a@load.example", "user.1+c1v1@load.example", "user.1+c01v1@r000000ab.load.example", "x+c1v1@y"]
    {
        assert_eq!(WriteTag::read(other), None, "{other}");
    }
}

#[test]
fn a_mix_is_read_and_drawn_by_its_weights() {
    let mix: Mix = "update=5,get=80,create=15".parse().unwrap();
    assert_eq!(mix, Mix::default());
    assert_eq!(mix.to_string(), "get=80,create=15,update=5");
    let mut stream = Stream::new(1, 1);
    let mut counts = [0_i32; 4];
    for _ in 0..100_000 {
        counts[mix.draw(&mut stream).index()] += 1;
    }
    for (count, requested) in counts.into_iter().zip([80_000, 15_000, 5_000, 0]) {
        assert!((count - requested).abs() < 1_000, "{counts:?}");
    }
    for bad in
        ["", "get", "get=", "get=-1", "get=1.5", "fetch=1", "get=0", "get=1,get=2", "get=1,", "get=1000001"]
    {
        assert!(bad.parse::<Mix>().is_err(), "{bad}");
    }
    assert_eq!(LoadOperation::ALL.map(LoadOperation::index), [0, 1, 2, 3]);
}

#[test]
fn keys_are_drawn_as_they_are_to_be() {
    let mut stream = Stream::new(1, 2);
    let mut counts = |choice| {
        let mut counts = [0_u32; 100];
        for turn in 0..100_000 {
            counts[usize::try_from(draw(choice, 100, turn, &mut stream)).unwrap()] += 1;
        }
        counts
    };
    assert!(counts(Choice::Sequential).iter().all(|count| *count == 1_000));
    assert!(counts(Choice::Uniform).iter().all(|count| count.abs_diff(1_000) < 200));
    let zipf = counts(Choice::Zipf);
    // 100,000 divided by the 100th harmonic number, and by the rank.
    for (rank, count) in (1_u32..).zip(zipf).filter(|(rank, _)| [1, 2, 3, 10].contains(rank)) {
        let requested = 19_278 / rank;
        assert!(count.abs_diff(requested) < requested / 8, "{rank}: {count}, not {requested}");
    }
    for choice in [Choice::Uniform, Choice::Zipf, Choice::Sequential] {
        assert_eq!(draw(choice, 0, 5, &mut stream), 0);
        assert_eq!(draw(choice, 1, 5, &mut stream), 0);
    }
}

proptest! {
    #[test]
    fn what_is_known_is_found_again(ids in prop::collection::btree_set(-30_i64..30, 0..40)) {
        let mut known = ExistingKeys::default();
        for id in &ids {
            known.push(&fake_users::user(1, UserId::new(*id)));
        }
        prop_assert_eq!(known.len(), ids.len());
        for (place, id) in ids.iter().enumerate() {
            prop_assert_eq!(known.id(place), UserId::new(*id));
        }
        for id in (-35..35).map(UserId::new) {
            let is_known = ids.contains(&id.number());
            let print = is_known.then(|| Fingerprint::of(&fake_users::user(1, id)));
            prop_assert_eq!(known.print(id), print);
        }
    }
}

/// The user of a version: as it was at the start, or with a tag.
fn shown(key: UserId, version: u32) -> User {
    let user = fake_users::user(1, key);
    let tag = WriteTag { run: 9, key, client: 3, version, is_created: false };
    let email = if version == 0 { user.email.clone() } else { Some(tag.to_string()) };
    User { email, ..user }
}

/// A key that was there, or is to be created.
fn history(is_there: bool) -> (UserId, KeyHistory) {
    let key = UserId::new(17);
    (key, KeyHistory::new(9, key, 3, Fingerprint::of(&fake_users::user(1, key)), is_there))
}

/// The same after so many writes that were acknowledged.
fn written(is_there: bool, versions: u32) -> (UserId, KeyHistory) {
    let (key, mut history) = history(is_there);
    for _ in 0..versions {
        history.begin(false);
        history.acknowledge(ACKNOWLEDGED);
    }
    (key, history)
}

#[test]
fn a_lost_write_is_found_and_counted() {
    let (key, mut history) = written(true, 3);
    let wrong = history.judge(history.min_version(), Some(&shown(key, 1)));
    assert_eq!(wrong, Err(ImpossibleAnswer::Older(1)));
    let lost = history.take_back_to(1, history.min_version());
    assert_eq!((lost.writes, lost.last, lost.is_revival), (2, Some(ACKNOWLEDGED), false));
    // From here on the older one is right, and what was lost would be wrong.
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Ok(()));
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 3))), Err(ImpossibleAnswer::NotDone(3)));
    assert!(history.is_writable());
    assert_eq!(history.begin(false).version, 4);
}

#[test]
fn what_is_written_while_a_loss_is_found_is_not_lost() {
    let (key, mut history) = written(true, 3);
    let min_version = history.min_version();
    assert_eq!(history.judge(min_version, Some(&shown(key, 1))), Err(ImpossibleAnswer::Older(1)));
    // Before it is taken back, the next write is done.
    history.begin(false);
    history.acknowledge(ACKNOWLEDGED);
    let lost = history.take_back_to(1, min_version);
    assert_eq!((lost.writes, lost.last), (2, None));
    assert_eq!(history.min_version(), 4);
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 4))), Ok(()));
}

#[test]
fn a_read_that_began_before_a_loss_may_show_what_is_lost() {
    let (key, mut history) = written(true, 3);
    let before = history.min_version();
    history.take_back_to(1, before);
    assert_eq!(history.judge(before, Some(&shown(key, 3))), Ok(()));
    // It does not count again by that.
    assert_eq!(history.min_version(), 1);
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 3))), Err(ImpossibleAnswer::NotDone(3)));
}

#[test]
fn a_created_user_that_is_gone_is_found() {
    let (_, mut history) = written(false, 1);
    assert_eq!(history.judge(history.min_version(), None), Err(ImpossibleAnswer::Older(0)));
    let (_, mut history) = written(true, 0);
    assert_eq!(history.judge(history.min_version(), None), Err(ImpossibleAnswer::Missing));
}

#[test]
fn a_revived_delete_is_found() {
    let (key, mut history) = written(true, 1);
    history.begin(true);
    // Until it is acknowledged, both are right.
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Ok(()));
    history.acknowledge(ACKNOWLEDGED);
    assert!(!history.is_writable());
    assert_eq!(history.judge(history.min_version(), None), Ok(()));
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Err(ImpossibleAnswer::Older(1)));
    assert!(history.take_back_to(1, history.min_version()).is_revival);
}

#[test]
fn an_absence_that_was_seen_before_the_user_came_is_no_word_about_its_end() {
    let (key, mut history) = history(false);
    history.begin(false);
    let before = history.min_version();
    history.acknowledge(ACKNOWLEDGED);
    history.begin(true);
    assert_eq!(history.judge(before, None), Ok(()));
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Ok(()));
}

#[test]
fn what_one_read_has_shown_counts_for_the_next() {
    let (key, mut history) = written(true, 1);
    history.begin(false);
    let floor_of_a_slow_read = history.min_version();
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 2))), Ok(()));
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Err(ImpossibleAnswer::Older(1)));
    assert_eq!(history.judge(floor_of_a_slow_read, Some(&shown(key, 1))), Ok(()));
}

#[test]
fn an_unknown_outcome_leaves_both_possible_until_it_is_seen() {
    let (key, mut history) = written(true, 1);
    history.begin(false);
    for _ in 0..2 {
        assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Ok(()));
        assert!(!history.is_writable());
    }
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 2))), Ok(()));
    assert!(history.is_writable());
    assert_eq!(history.judge(history.min_version(), Some(&shown(key, 1))), Err(ImpossibleAnswer::Older(1)));
}

#[test]
fn what_was_not_done_must_not_show() {
    let (key, mut history) = written(true, 1);
    history.begin(false);
    history.refuse();
    assert_eq!(history.judge(0, Some(&shown(key, 2))), Err(ImpossibleAnswer::NotDone(2)));
    assert_eq!(history.judge(0, Some(&shown(key, 5))), Err(ImpossibleAnswer::NotDone(5)));
    assert_eq!(history.judge(1, Some(&shown(key, 1))), Ok(()));
}

#[test]
fn other_users_and_other_values_are_told_apart() {
    let (key, mut history) = written(true, 1);
    let other = UserId::new(18);
    let judge = |history: &mut KeyHistory, user: User| history.judge(0, Some(&user));
    assert_eq!(judge(&mut history, shown(other, 1)), Err(ImpossibleAnswer::OtherUser));
    let mixed_up = User { email: shown(other, 1).email, ..shown(key, 1) };
    assert_eq!(judge(&mut history, mixed_up), Err(ImpossibleAnswer::OtherUser));
    let renamed = User { name: Some("Somebody".into()), ..shown(key, 1) };
    assert_eq!(judge(&mut history, renamed), Err(ImpossibleAnswer::OtherUser));
    for email in [None, Some("alice@example.com".to_owned())] {
        assert_eq!(judge(&mut history, User { email, ..shown(key, 1) }), Err(ImpossibleAnswer::Unknown));
    }
    let of_another_client = WriteTag { run: 9, key, client: 4, version: 1, is_created: false }.to_string();
    let user = User { email: Some(of_another_client), ..shown(key, 1) };
    assert_eq!(judge(&mut history, user), Err(ImpossibleAnswer::Unknown));
    history.give_up();
    assert_eq!(history.judge(1, None), Ok(()));
    assert!(!history.is_writable());
}

/// What happens to a register with one writer. Writes take effect between their begin and their end; a read
/// takes its value at one instant between its own.
#[derive(Debug, Clone, Copy)]
enum Event {
    Begin { deletes: bool },
    TakeEffect,
    Acknowledge,
    Refuse,
    StartRead(usize),
    Look(usize),
    EndRead(usize),
}

const READERS: usize = 3;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => Just(Event::Begin { deletes: false }),
        1 => Just(Event::Begin { deletes: true }),
        6 => Just(Event::TakeEffect),
        6 => Just(Event::Acknowledge),
        1 => Just(Event::Refuse),
        6 => (0..READERS).prop_map(Event::StartRead),
        8 => (0..READERS).prop_map(Event::Look),
        6 => (0..READERS).prop_map(Event::EndRead),
    ];
    prop::collection::vec(event, 1..200)
}

/// A read that has begun: what counted then, how much had been written, and what it saw.
type Read = (u32, usize, Option<Option<u32>>);

/// What is wrong with the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// An acknowledged write is undone at this event.
    LosesAt(usize),
    /// A read that begins after this event shows what was there before the last write that counts.
    StaleAfter(usize),
    /// A write that was refused takes effect all the same.
    DoesWhatItRefuses,
}

/// Runs the events on a register with a fault. Whether the checker complained, and whether a reader was really
/// shown what cannot be true, by a naive rule: a value of before a write that was acknowledged, or shown, before the
/// read began; or a value that was never written.
fn run(is_there: bool, events: &[Event], fault: Fault) -> (bool, bool) {
    let (key, mut history) = history(is_there);
    let mut value: Option<u32> = is_there.then_some(0);
    let mut before: Vec<Option<u32>> = Vec::new();
    // Version and whether it deletes; the register's own view of what is in flight.
    let mut flying: Option<(u32, bool, bool)> = None;
    // When each value was written, and since when it counts.
    let mut counting: Vec<Option<u32>> = vec![value];
    let mut refused: Vec<u32> = Vec::new();
    let mut reads: [Option<Read>; READERS] = [None; READERS];
    let (mut complained, mut impossible) = (false, false);
    for (now, event) in events.iter().enumerate() {
        if fault == Fault::LosesAt(now)
            && flying.is_none()
            && let Some(older) = before.pop()
        {
            value = older;
        }
        match *event {
            Event::Begin { deletes }
                if flying.is_none()
                    && (history.is_writable()
                        || history.min_version() == 0
                            && !is_there
                            && counting.len() == 1
                            && refused.is_empty()) =>
            {
                if deletes && !history.is_writable() {
                    continue;
                }
                flying = Some((history.begin(deletes).version, deletes, false));
            }
            Event::TakeEffect => {
                if let Some((version, deletes, is_done @ false)) = &mut flying {
                    before.push(value);
                    value = (!*deletes).then_some(*version);
                    *is_done = true;
                }
            }
            Event::Acknowledge => {
                if let Some((version, deletes, true)) = flying {
                    history.acknowledge(ACKNOWLEDGED);
                    counting.push((!deletes).then_some(version));
                    flying = None;
                }
            }
            Event::Refuse => {
                if let Some((version, deletes, false)) = flying {
                    history.refuse();
                    refused.push(version);
                    if fault == Fault::DoesWhatItRefuses && !deletes {
                        value = Some(version);
                    }
                    flying = None;
                }
            }
            Event::StartRead(reader) if reads[reader].is_none() => {
                reads[reader] = Some((history.min_version(), counting.len(), None));
            }
            Event::Look(reader) => {
                let stale = matches!(fault, Fault::StaleAfter(after) if now > after);
                if let Some((_, _, seen @ None)) = &mut reads[reader] {
                    *seen = Some(if stale { before.last().copied().unwrap_or(value) } else { value });
                }
            }
            Event::EndRead(reader) => {
                let Some((min_version, counted, Some(seen))) = reads[reader] else { continue };
                reads[reader] = None;
                let in_flight = flying.map(|(version, deletes, _)| (!deletes).then_some(version));
                let possible = counting[counted - 1..].contains(&seen) || in_flight == Some(seen);
                impossible |= !possible;
                let user = seen.map(|version| shown(key, version));
                complained |= history.judge(min_version, user.as_ref()).is_err();
            }
            _ => {}
        }
    }
    (complained, impossible)
}

proptest! {
    #[test]
    fn a_register_without_a_fault_is_never_accused(is_there: bool, events in events()) {
        prop_assert_eq!(run(is_there, &events, Fault::None), (false, false));
    }

    #[test]
    fn whatever_cannot_be_true_is_found(is_there: bool, events in events(), at in 0_usize..200, which in 0_usize..3) {
        let fault = [Fault::LosesAt(at), Fault::StaleAfter(at), Fault::DoesWhatItRefuses][which];
        let (complained, impossible) = run(is_there, &events, fault);
        prop_assert!(complained || !impossible);
    }
}

/// The law above would hold of a register whose faults never show.
#[test]
fn the_faults_do_show() {
    use Event::{Acknowledge, Begin, EndRead, Look, Refuse, StartRead, TakeEffect};
    let read = [StartRead(0), Look(0), EndRead(0)];
    let write = [Begin { deletes: false }, TakeEffect, Acknowledge];
    let delete = [Begin { deletes: true }, TakeEffect, Acknowledge];
    let refuse = [Begin { deletes: false }, Refuse];
    for (events, fault) in [
        ([&write[..], &read].concat(), Fault::LosesAt(3)),
        ([&write[..], &delete, &read].concat(), Fault::LosesAt(6)),
        ([&write[..], &read].concat(), Fault::StaleAfter(3)),
        ([&refuse[..], &read].concat(), Fault::DoesWhatItRefuses),
    ] {
        assert_eq!(run(true, &events, fault), (true, true), "{events:?} {fault:?}");
    }
}
