use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

const SETTINGS: BreakerSettings =
    BreakerSettings { threshold: 3, timeout: secs(60), check_interval: secs(30), probes: 2 };

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn breaker() -> Breaker {
    Breaker::new(SETTINGS)
}

/// A request that begins and ends at `now`.
fn ask(breaker: &mut Breaker, health: Health, now: Duration) {
    let permit = breaker.admit(now).expect("let through");
    breaker.settle(permit, health, now);
}

/// A breaker that has opened at second 0.
fn opened() -> Breaker {
    let mut breaker = breaker();
    (0..3).for_each(|_| ask(&mut breaker, Health::Ill, secs(0)));
    assert_eq!((breaker.state(secs(0)), breaker.check_at()), (BreakerState::Open, Some(secs(0))));
    breaker
}

/// The same once a check has found that the database is away indeed.
fn confirmed() -> Breaker {
    let mut breaker = opened();
    breaker.checked(Health::Ill, secs(0));
    breaker
}

#[test]
fn only_failures_in_a_row_open_it() {
    use Health::{Doubtful, Ill, Unknown, Well};
    let check = |story: &[Health], expected: BreakerState| {
        let mut breaker = breaker();
        story.iter().for_each(|health| ask(&mut breaker, *health, SECOND));
        assert_eq!(breaker.state(SECOND), expected, "{story:?}");
    };
    check(&[Ill, Ill], BreakerState::Closed);
    check(&[Ill, Ill, Ill], BreakerState::Open);
    check(&[Ill, Ill, Well, Ill, Ill], BreakerState::Closed);
    check(&[Ill, Unknown, Ill, Doubtful, Ill], BreakerState::Open);
    check(&[Doubtful; 50], BreakerState::Closed);
    check(&[Unknown; 50], BreakerState::Closed);
}

#[test]
fn an_open_one_says_when_to_come_back() {
    assert_eq!(opened().admit(secs(0)), Err(secs(0)));
    let mut breaker = confirmed();
    assert_eq!(breaker.admit(secs(0)), Err(secs(30)));
    assert_eq!(breaker.admit(secs(29)), Err(SECOND));
    assert_eq!(breaker.is_offline(secs(59)), Some(secs(60)));
    assert_eq!(breaker.is_offline(secs(60)), None);
    assert_eq!((breaker.check_at(), breaker.openings()), (Some(secs(30)), 1));
}

#[test]
fn a_database_that_asks_for_a_pause_gets_it() {
    let busy = |wait| Health::Busy { wait: secs(wait) };
    // The longest wait counts, whoever was told of it, and nobody looks before.
    let mut breaker = breaker();
    [120, 5, 90].into_iter().for_each(|wait| ask(&mut breaker, busy(wait), SECOND));
    assert_eq!((breaker.admit(SECOND), breaker.check_at()), (Err(secs(120)), Some(secs(121))));
    assert_eq!(breaker.admit(secs(100)), Err(secs(21)));
    breaker.checked(Health::Ill, secs(121));
    assert_eq!(breaker.admit(secs(121)), Err(secs(30)));
    breaker.checked(busy(200), secs(151));
    assert_eq!(breaker.admit(secs(151)), Err(secs(200)));
    breaker.checked(Health::Well, secs(351));
    assert!(breaker.calm_permit().is_some());
    // A request that was under way when it opened.
    let mut breaker = self::breaker();
    let late = breaker.admit(secs(0)).expect("let through");
    (0..3).for_each(|_| ask(&mut breaker, busy(10), secs(0)));
    breaker.settle(late, busy(120), secs(1));
    assert_eq!(breaker.admit(secs(1)), Err(secs(120)));
    // A short pause ends in a look, not in the breaker's own time.
    let mut breaker = self::breaker();
    (0..3).for_each(|_| ask(&mut breaker, busy(10), secs(0)));
    assert_eq!((breaker.check_at(), breaker.is_offline(secs(0))), (Some(secs(10)), Some(secs(60))));
    // Nobody is left alone for days, and what is over is over.
    let mut breaker = self::breaker();
    (0..3).for_each(|_| ask(&mut breaker, busy(1_000_000), secs(0)));
    assert_eq!(breaker.admit(secs(0)), Err(secs(3600)));
    breaker.reset_health();
    (0..3).for_each(|_| ask(&mut breaker, Health::Ill, secs(1)));
    assert_eq!(breaker.check_at(), Some(secs(1)));
}

#[test]
fn when_the_time_is_over_some_may_try_and_the_first_decides() {
    let mut half = confirmed();
    assert_eq!(half.state(secs(60)), BreakerState::HalfOpen);
    let (one, two) = (half.admit(secs(60)).expect("a probe"), half.admit(secs(60)).expect("a probe"));
    assert!(one.is_probe() && half.admit(secs(60)).is_err());
    let mut good = half.clone();
    good.settle(one, Health::Well, secs(61));
    assert_eq!(good.state(secs(61)), BreakerState::Closed);
    // Nothing of the time before counts against it.
    good.settle(two, Health::Ill, secs(62));
    assert!(good.calm_permit().is_some());
    let mut bad = half.clone();
    bad.settle(one, Health::Ill, secs(61));
    bad.settle(two, Health::Well, secs(62));
    assert_eq!(bad.is_offline(secs(62)), Some(secs(121)));
    // Who leaves or learns nothing makes room; a slow one has the database checked.
    half.settle(one, Health::Unknown, secs(61));
    half.settle(two, Health::Doubtful, secs(61));
    assert_eq!((half.state(secs(61)), half.check_at()), (BreakerState::HalfOpen, Some(secs(61))));
    assert!(half.admit(secs(61)).is_ok() && half.admit(secs(61)).is_ok());
}

#[test]
fn what_began_before_the_opening_says_nothing() {
    let mut breaker = breaker();
    let late = [(); 5].map(|()| breaker.admit(secs(0)).expect("let through"));
    (0..3).for_each(|_| ask(&mut breaker, Health::Ill, secs(0)));
    for permit in &late[..3] {
        breaker.settle(*permit, Health::Ill, secs(50));
    }
    breaker.settle(late[3], Health::Well, secs(50));
    assert_eq!((breaker.is_offline(secs(50)), breaker.openings()), (Some(secs(60)), 1));
    ask(&mut breaker, Health::Well, secs(60));
    breaker.settle(late[4], Health::Ill, secs(61));
    assert!(breaker.calm_permit().is_some());
}

#[test]
fn a_check_decides_while_it_is_open() {
    let mut well = confirmed();
    well.checked(Health::Well, secs(30));
    assert!(well.admit(secs(30)).is_ok_and(|permit| !permit.is_probe()));
    // No caller pays for finding out that nothing has changed.
    let mut ill = confirmed();
    for at in [30, 60, 90, 120] {
        ill.checked(Health::Ill, secs(at));
        assert_eq!(ill.check_at(), Some(secs(at + 30)));
        assert_eq!(ill.admit(secs(at + 29)), Err(SECOND));
    }
    assert_eq!(ill.openings(), 1);
    // A pool without a free connection tells nothing.
    let mut unknown = confirmed();
    unknown.checked(Health::Unknown, secs(30));
    assert_eq!((unknown.is_offline(secs(31)), unknown.check_at()), (Some(secs(60)), Some(secs(60))));
}

#[test]
fn requests_without_an_answer_count_once_a_check_has_none_either() {
    let doubted = |times| {
        let mut breaker = breaker();
        (0..times).for_each(|_| ask(&mut breaker, Health::Doubtful, secs(1)));
        assert_eq!(breaker.check_at(), Some(secs(1)));
        breaker
    };
    // Slow statements on a database that answers.
    let mut slow = doubted(50);
    slow.checked(Health::Well, secs(2));
    assert!(slow.calm_permit().is_some() && slow.check_at().is_none());
    slow = doubted(50);
    slow.checked(Health::Unknown, secs(2));
    assert!(slow.calm_permit().is_some());
    let mut silent = doubted(3);
    silent.checked(Health::Doubtful, secs(2));
    assert_eq!(silent.state(secs(2)), BreakerState::Open);
    // One is checked again and again.
    let mut one = doubted(1);
    for at in 2..4 {
        one.checked(Health::Ill, secs(at));
        assert_eq!((one.state(secs(at)), one.check_at()), (BreakerState::Closed, Some(secs(at + 1))));
    }
    one.checked(Health::Ill, secs(4));
    assert_eq!(one.state(secs(4)), BreakerState::Open);
    // Nobody has asked: an idle client's database may be away.
    let mut idle = breaker();
    (0..9).for_each(|at| idle.checked(Health::Ill, secs(at)));
    assert!(idle.calm_permit().is_some());
}

#[test]
fn what_an_administrator_says_holds() {
    let mut forced = breaker();
    let before = forced.admit(secs(0)).expect("let through");
    assert_eq!(forced.force_offline(secs(100), secs(5)), secs(105));
    forced.settle(before, Health::Well, secs(6));
    forced.checked(Health::Well, secs(7));
    forced.checked(Health::Ill, secs(8));
    assert_eq!(forced.admit(secs(9)), Err(secs(96)));
    assert_eq!(forced.check_at(), Some(secs(105)));
    assert_eq!((forced.is_forced(secs(104)), forced.is_forced(secs(105))), (Some(secs(105)), None));
    assert_eq!(opened().is_forced(secs(1)), None, "the database is away by itself");
    let mut reset = forced.clone();
    reset.reset_health();
    assert!(reset.calm_permit().is_some() && reset.is_offline(secs(9)).is_none());
    assert!(forced.admit(secs(105)).is_ok_and(Permit::is_probe));
    let mut later = opened();
    later.force_offline(secs(100), secs(1));
    later.checked(Health::Well, secs(101));
    assert!(later.calm_permit().is_some());
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A request begins.
    Begin,
    /// The request at this place of those under way ends.
    End(usize, Health),
    Check(Health),
    Pass(u64),
    Force(u64),
    Reset,
}

fn healths() -> impl Strategy<Value = Health> {
    prop::sample::select(vec![Health::Well, Health::Ill, Health::Ill, Health::Doubtful, Health::Unknown])
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Begin),
        6 => (0..8_usize, healths()).prop_map(|(which, health)| Event::End(which, health)),
        1 => healths().prop_map(Event::Check),
        2 => (0..90_u64).prop_map(Event::Pass),
        1 => (1..90_u64).prop_map(Event::Force),
        1 => Just(Event::Reset),
    ];
    prop::collection::vec(event, 0..120)
}

proptest! {
    #[test]
    fn nobody_gets_through_an_open_one_and_few_through_a_half_open_one(events in events()) {
        let (mut breaker, mut now) = (breaker(), secs(0));
        let mut running: Vec<Permit> = Vec::new();
        for event in events {
            let (before, state) = (breaker.clone(), breaker.state(now));
            match event {
                Event::Begin => match breaker.admit(now) {
                    Ok(permit) => {
                        prop_assert!(state != BreakerState::Open);
                        prop_assert_eq!(permit.is_probe(), state == BreakerState::HalfOpen);
                        running.push(permit);
                    }
                    Err(wait) => {
                        prop_assert!(state != BreakerState::Closed);
                        prop_assert!(breaker.is_offline(now).is_none_or(|until| now + wait <= until));
                    }
                },
                Event::End(which, health) if which < running.len() => {
                    let permit = running.swap_remove(which);
                    breaker.settle(permit, health, now);
                    if permit.epoch() != before.epoch {
                        prop_assert_eq!(breaker.phase, before.phase);
                    } else if health == Health::Well {
                        prop_assert!(breaker.calm_permit().is_some());
                    }
                }
                Event::End(..) => {}
                Event::Check(health) => breaker.checked(health, now),
                Event::Pass(time) => now += secs(time),
                Event::Force(time) => {
                    let until = breaker.force_offline(secs(time), now);
                    prop_assert_eq!(breaker.is_offline(now), Some(until));
                }
                Event::Reset => {
                    breaker.reset_health();
                    prop_assert!(breaker.calm_permit().is_some());
                }
            }
            // Whoever holds a place holds it in the count, and nobody else does.
            let probes = running.iter().filter(|p| p.is_probe() && p.epoch() == breaker.epoch).count();
            if let Phase::HalfOpen { probing } = breaker.phase {
                prop_assert_eq!(probing as usize, probes);
                prop_assert!(probing <= SETTINGS.probes);
            }
            // Open is only what has failed or was forced, and it never stays so for ever.
            if let Some(until) = breaker.is_offline(now) {
                prop_assert!(until <= now + secs(90));
            }
            prop_assert_eq!(breaker.openings() == before.openings(), breaker.epoch == before.epoch
                || breaker.phase == CALM);
        }
        // Left alone it lets somebody through again, however it was treated.
        let end = breaker.is_offline(now).unwrap_or(now);
        running.iter().for_each(|permit| breaker.settle(*permit, Health::Unknown, end));
        prop_assert!(breaker.admit(end).is_ok());
    }
}
