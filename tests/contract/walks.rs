//! Walks over the log: page by page from the newest, and leaf by leaf from the oldest.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::audit_search::{AuditSearch, EventPage, Scope};
use tranche_domain::Role;
use uuid::Uuid;

use super::StoreUnderTest;
use super::log::{Dice, any_filter, expected, filled, start};
use super::pipeline;
use super::scene::{CHECKER, World};
use super::search::{ALL, found};
use super::tools::ended;
use super::tree::number;

/// Page after page by cursor, until none comes.
async fn walk(search: &dyn AuditSearch, filter: &EventFilter, limit: u32) -> Vec<Uuid> {
    let mut page = EventPage { limit, ..ALL };
    let mut ids: Vec<Uuid> = Vec::new();
    loop {
        let events = search.events(filter, Scope::All, page).await;
        let events = events.expect("it is searched");
        assert!(events.len() <= limit as usize);
        let Some(last) = events.last() else {
            return ids;
        };
        page.before = Some(last.event.id);
        ids.extend(events.iter().map(|logged| logged.event.id));
    }
}

/// Leaf after leaf, until none comes.
async fn follow(
    search: &dyn AuditSearch,
    filter: &EventFilter,
    from: &mut i64,
    limit: u32,
) -> Vec<(i64, Uuid)> {
    let mut met = Vec::new();
    loop {
        let some = search.in_order(*from, filter, Scope::All, limit).await;
        let some = some.expect("it is read");
        let leaf = |logged: &tranche_application::audit::record::LoggedEvent| {
            let index = logged.leaf_index.expect("it has a place");
            assert!((*from..some.next).contains(&index));
            (index, logged.event.id)
        };
        met.extend(some.events.iter().map(leaf));
        if some.next == *from {
            return met;
        }
        assert!(some.next <= *from + i64::from(limit));
        *from = some.next;
    }
}

/// By cursor, whatever the size of a page (S4).
pub async fn pages_are_the_whole_and_nothing_twice(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    let search = subject.search();
    let mut dice = Dice::new(5);
    for limit in [1, 7, 50, 299, 300, 1_000] {
        let all = walk(search.as_ref(), &EventFilter::default(), limit).await;
        assert_eq!(all, expected(&events, &EventFilter::default()), "{limit}");
        for _ in 0..10 {
            let filter = any_filter(&mut dice);
            let some = walk(search.as_ref(), &filter, limit.max(3)).await;
            assert_eq!(some, expected(&events, &filter), "{limit} {filter:?}");
        }
    }
}

/// By offset, and by both (S4).
pub async fn an_offset_passes_over_the_newest(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    let mut dice = Dice::new(9);
    for round in 0..60 {
        let filter = match round {
            0 => EventFilter::default(),
            _ => any_filter(&mut dice),
        };
        let all = expected(&events, &filter);
        let (offset, limit) = (dice.roll(40), dice.roll(30));
        let before = all.get(dice.roll(20)).copied();
        let rest = all
            .iter()
            .filter(|id| before.is_none_or(|before| **id < before));
        let rest: Vec<Uuid> = rest.skip(offset).take(limit).copied().collect();
        let page = EventPage {
            before,
            offset: u32::try_from(offset).expect("few"),
            limit: u32::try_from(limit).expect("few"),
            archived: false,
        };
        assert_eq!(
            found(subject, &filter, Scope::All, page).await,
            rest,
            "{filter:?}"
        );
    }
}

/// Writers commit newer and older events all the while: what was there before the walk comes once.
pub async fn a_walk_beside_writers_meets_each_event_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let before: Vec<_> = pipeline::events(&world, 200);
    // Ids from before, to come in between.
    let between: Vec<_> = pipeline::events(&world, 200);
    let after: Vec<_> = pipeline::events(&world, 200);
    let log = subject.audit_store();
    let both = [&before[..], &after[..]].concat();
    log.append(&both, world.now())
        .await
        .expect("it is appended");
    let writer = tokio::spawn(async move {
        let newest = pipeline::events(&world, 200);
        for (one, other) in between.chunks(5).zip(newest.chunks(5)) {
            let late = log.append(one, world.now()).await;
            late.expect("it is appended");
            let new = log.append(other, world.now()).await;
            new.expect("it is appended");
        }
    });
    let search = subject.search();
    let mut walks = 0;
    while walks < 5 || !writer.is_finished() {
        let met = walk(search.as_ref(), &EventFilter::default(), 9).await;
        let once: HashSet<Uuid> = met.iter().copied().collect();
        assert_eq!(once.len(), met.len(), "none comes twice");
        assert!(both.iter().all(|event| once.contains(&event.id)));
        assert!(met.is_sorted_by(|one, next| one > next));
        walks += 1;
    }
    ended(writer).await;
}

/// From any place, in steps of any size, through a filter or none (S4, S6).
pub async fn the_order_of_the_log_is_gapless(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 250).await;
    let search = subject.search();
    let mut from = 0;
    let none = follow(search.as_ref(), &EventFilter::default(), &mut from, 10).await;
    assert_eq!((none.len(), from), (0, 0), "nothing has its place yet");
    assert_eq!(search.end().await.expect("it is told"), 0);
    while number(subject.tree().as_ref(), 40)
        .await
        .expect("it numbers")
        != Some(0)
    {}
    assert_eq!(search.end().await.expect("it is told"), 250);
    let mut dice = Dice::new(13);
    for limit in [1, 7, 249, 250, 1_000] {
        for round in 0..6 {
            let filter = match round {
                0 => EventFilter::default(),
                _ => any_filter(&mut dice),
            };
            let mut from = 0;
            let met = follow(search.as_ref(), &filter, &mut from, limit).await;
            assert_eq!(from, 250);
            assert!(met.is_sorted_by(|one, next| one.0 < next.0));
            let mut ids: Vec<Uuid> = met.iter().map(|(_, id)| *id).collect();
            ids.sort_unstable_by(|one, other| other.cmp(one));
            assert_eq!(ids, expected(&events, &filter), "{limit} {filter:?}");
        }
    }
}

/// Acts that began early and commit late, beside writers and sealer: each event comes once, to a
/// reader who never looks back.
pub async fn late_commits_come_later_in_the_order(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let mut milestones = Vec::new();
    for number in 1..=5 {
        let milestone = world.draft(project, number).await.id;
        world.submit(milestone).await.expect("it is submitted");
        milestones.push(milestone);
    }
    // Their ids are older than those of the writer.
    let acts: Vec<_> = milestones
        .iter()
        .map(|_| world.act(CHECKER, Role::Approver))
        .collect();
    let (log, tree) = (subject.audit_store(), subject.tree());
    let there = {
        let world = world.clone();
        tokio::spawn(async move {
            for _ in 0..30 {
                let some = pipeline::events(&world, 5);
                log.append(&some, world.now()).await.expect("appended");
            }
        })
    };
    let (search, filter) = (subject.search(), EventFilter::default());
    let (mut from, mut met) = (0, Vec::new());
    for (milestone, act) in milestones.into_iter().zip(acts) {
        let mut late = world.begin().await;
        let locked = late.milestones().lock(milestone).await.expect("it locks");
        let approval = locked.expect("it is there").approve(&act);
        let approval = approval.expect("it is submitted");
        late.record(&approval).await.expect("it is recorded");
        let beside = {
            let tree = Arc::clone(&tree);
            tokio::spawn(async move { number(tree.as_ref(), 100).await })
        };
        met.extend(follow(search.as_ref(), &filter, &mut from, 7).await);
        late.commit().await.expect("it is committed");
        ended(beside).await.expect("it numbers");
        met.extend(follow(search.as_ref(), &filter, &mut from, 7).await);
    }
    ended(there).await;
    while number(tree.as_ref(), 100).await.expect("it numbers") != Some(0) {}
    met.extend(follow(search.as_ref(), &filter, &mut from, 7).await);
    let indices: Vec<i64> = met.iter().map(|(index, _)| *index).collect();
    assert_eq!(indices, (0..155).collect::<Vec<_>>());
    let once: HashSet<Uuid> = met.iter().map(|(_, id)| *id).collect();
    assert_eq!(once.len(), 155);
}

/// What was archived is read when asked for, in its place, and always in the order of the log.
pub async fn the_archive_is_read_along(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    number(subject.tree().as_ref(), 1_000)
        .await
        .expect("it numbers");
    let october = start() + TimeDelta::days(32);
    let archived = subject.archive(october).await;
    assert!(archived > 80, "{archived}");
    let mut dice = Dice::new(17);
    for round in 0..60 {
        let filter = match round {
            0 => EventFilter::default(),
            _ => any_filter(&mut dice),
        };
        let page = EventPage {
            archived: true,
            ..ALL
        };
        let all = expected(&events, &filter);
        assert_eq!(
            found(subject, &filter, Scope::All, page).await,
            all,
            "{filter:?}"
        );
        let log = found(subject, &filter, Scope::All, ALL).await;
        assert!(log.iter().all(|id| all.contains(id)));
        if round == 0 {
            assert_eq!(log.len() as u64 + archived, 300);
        }
        let search = subject.search();
        let met = follow(search.as_ref(), &filter, &mut 0, 100).await;
        assert_eq!(met.len(), all.len());
    }
}
