//! Trails come back as they were saved, and are replaced only by what was made of them.

use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::Conflict;
use tranche_application::ports::trails::{Adopted, TrailStore};
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::trail::{JsonText, Part, TrailAmendment, TrailContent};
use tranche_domain::{MessageId, Occasion, ProjectId, Trail};
use uuid::Uuid;

use super::TrailsUnderTest;
use super::world::{
    adopt, amended, amended_by, at, completion, cost, message, model, noon, occasion, opened,
    placeholder, text, tokens, whole,
};
use crate::contract::tools::conflicts;

async fn read(trails: &dyn TrailStore, message: MessageId) -> Option<Trail> {
    let read = trails.read(message, Scope::All).await;
    read.expect("it is read")
}

/// Saves the first state of a trail.
pub async fn saved(
    trails: &dyn TrailStore,
    n: u128,
    project: ProjectId,
    content: TrailContent,
) -> Trail {
    let change = opened(n, project, content);
    trails.save(&change).await.expect("it is saved");
    change.into_trail()
}

/// Whatever is in it, to the byte and to the last decimal (T1).
pub async fn a_trail_reads_back_as_it_was_saved(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let long = format!("[\"{}\"]", "ọ".repeat((JsonText::MAX - 4) / "ọ".len()));
    let most = "999999999999999999.999999999999";
    let contents = [
        TrailContent::default(),
        placeholder(7),
        whole(61, "large-2", "0.000315"),
        TrailContent {
            created_at: Some(at(-60 * 24 * 800)),
            model: Some(model("Ọ̀nà 100% 'x' \"y\" \\")),
            reasoning_traces: Some(text(r#"{"b":1.0,"a":1e2,"é":"\u0001","$sealed":null}"#)),
            tokens: Some(tokens(9_007_199_254_740_991, 0)),
            ..TrailContent::default()
        },
        TrailContent {
            reasoning_traces: Some(text(&long)),
            context_layers: Some(text("[]")),
            tokens: Some(tokens(0, 0)),
            cost: Some(cost(most, "0")),
            model: Some(model("x")),
            ..TrailContent::default()
        },
    ];
    for (n, content) in contents.into_iter().enumerate() {
        let trail = saved(trails.as_ref(), n as u128, project, content).await;
        let found = read(trails.as_ref(), trail.record().message_id).await;
        assert_eq!(found, Some(trail));
    }
    let any_version = MessageId(Uuid::from_u128(u128::MAX));
    assert_eq!(read(trails.as_ref(), any_version).await, None);
}

/// Versions follow one another (T3).
pub async fn a_save_replaces_what_it_was_made_of(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let first = saved(trails.as_ref(), 1, project, placeholder(5)).await;
    let amendment = TrailAmendment {
        model: Part::Given(model("large-2")),
        tokens: Part::Given(tokens(10, 5)),
        cost: Part::Given(cost("0.1", "0.2")),
        context_layers: Part::Given(text("[1]")),
        ..TrailAmendment::default()
    };
    let change = amended(first, amendment, 1);
    trails.save(&change).await.expect("it is saved");
    let second = read(trails.as_ref(), message(1)).await;
    assert_eq!(second.as_ref(), Some(change.trail()));
    let cleared = TrailAmendment {
        context_layers: Part::Cleared,
        ..TrailAmendment::default()
    };
    let change = amended(second.expect("it is there"), cleared, 2);
    trails.save(&change).await.expect("it is saved");
    let third = read(trails.as_ref(), message(1))
        .await
        .expect("it is there");
    assert_eq!(&third, change.trail());
    assert_eq!(third.record().version, 3);
    assert_eq!(third.record().context_layers, None);
}

/// What was made of an earlier state is refused, and nothing of it is there (T3).
pub async fn a_refused_save_changes_nothing(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let first = saved(trails.as_ref(), 1, project, whole(5, "large-2", "1")).await;
    let late = amended(first.clone(), completion(77), 1);
    let faster = amended(first, completion(31), 2);
    trails.save(&faster).await.expect("it is saved");
    let before = counted(trails.as_ref(), project).await;
    let refused = [
        late,
        opened(1, project, placeholder(5)),
        amended(
            opened(2, project, whole(5, "large-2", "1")).into_trail(),
            completion(8),
            3,
        ),
    ];
    for change in &refused {
        let saved = trails.save(change).await;
        assert!(conflicts(&saved, Conflict::Stale), "{saved:?}");
    }
    let there = read(trails.as_ref(), message(1)).await;
    assert_eq!(there.as_ref(), Some(faster.trail()));
    assert_eq!(read(trails.as_ref(), message(2)).await, None);
    assert_eq!(counted(trails.as_ref(), project).await, before);
    let posted = subject.posted(message(1)).await;
    assert_eq!(posted.unwrap_or(1), 1, "of what was saved alone");
}

async fn counted(trails: &dyn TrailStore, project: ProjectId) -> Counted {
    let range = TimeRange::try_new(at(0), noon());
    let counted = trails.counted(project, range.expect("a range"), 10).await;
    counted.expect("it is counted")
}

/// A placeholder's completion leaves none, a change after that does (T3).
pub async fn a_changed_trail_leaves_its_event(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let first = saved(trails.as_ref(), 1, project, placeholder(5)).await;
    let amendment = TrailAmendment {
        model: Part::Given(model("large-2")),
        tokens: Part::Given(tokens(10, 5)),
        cost: Part::Given(cost("0.1", "0.2")),
        ..TrailAmendment::default()
    };
    let completed = amended(first, amendment, 1);
    trails.save(&completed).await.expect("it is saved");
    assert_eq!(subject.posted(message(1)).await.unwrap_or(0), 0);
    let changed = amended(completed.into_trail(), completion(6), 2);
    assert!(changed.event().is_some());
    trails.save(&changed).await.expect("it is saved");
    assert_eq!(subject.posted(message(1)).await.unwrap_or(1), 1);
}

/// A copy brings its version along, and never an earlier state (T2).
pub async fn a_copy_is_kept_unless_there_is_a_later_one(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let first = opened(1, project, whole(5, "large-2", "1")).into_trail();
    let second = amended(first.clone(), completion(31), 1).into_trail();
    let third = amended(second.clone(), completion(32), 2);
    for (copy, kept) in [(&second, true), (&second, false), (&first, false)] {
        let adopted = adopt(trails.as_ref(), copy).await;
        assert_eq!(adopted, kept, "version {}", copy.record().version);
        let there = read(trails.as_ref(), message(1)).await;
        assert_eq!(there.as_ref(), Some(&second));
    }
    assert_eq!(
        counted(trails.as_ref(), project).await.days[0].1.messages,
        1
    );
    trails
        .save(&third)
        .await
        .expect("what it was made of is there");
    let later = amended(third.into_trail(), completion(33), 3).into_trail();
    assert!(adopt(trails.as_ref(), &later).await);
    let there = read(trails.as_ref(), message(1)).await;
    assert_eq!(there.as_ref(), Some(&later));
    let sums = counted(trails.as_ref(), project).await.days[0].1;
    assert_eq!((sums.messages, sums.completion_tokens), (1, 33));
    assert_eq!(subject.posted(message(1)).await.unwrap_or(1), 1);
}

/// Versions begin anew where a backend knew nothing: what changed last is the later, whatever its
/// version, and takes the next one of what it replaces (T2).
pub async fn a_copy_goes_by_time_before_its_version(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let begun = |minutes, completion| {
        let mut content = whole(5, "large-2", "1");
        content.tokens = Some(tokens(120, completion));
        let trail = Trail::open(message(1), project, content, at(minutes));
        trail.expect("it can be").into_trail()
    };
    let adopt = async |copy: &Trail| adopt(trails.as_ref(), copy).await;
    let there = async || {
        read(trails.as_ref(), message(1))
            .await
            .expect("it is there")
    };
    let old = amended_at(&begun(10, 30), completion(31), 11);
    assert!(adopt(&old).await);
    // One that was begun anew later.
    let anew = begun(20, 40);
    assert!(adopt(&anew).await);
    let kept = there().await;
    assert_eq!(kept.differences(&anew), [] as [&str; 0]);
    assert_eq!(
        (kept.record().version, kept.record().updated_at),
        (3, at(20))
    );
    assert!(!adopt(&anew).await, "it is there");
    // One that changed often, but earlier.
    let mut often = begun(10, 50);
    for n in 51..59 {
        often = amended_at(&often, completion(n), 12);
    }
    assert_eq!(often.record().version, 9);
    assert!(!adopt(&often).await);
    assert_eq!(there().await, kept);
    // One of the same moment and version, but not the same.
    let mut otherwise = begun(20, 60);
    for n in [61, 62] {
        otherwise = amended_at(&otherwise, completion(n), 20);
    }
    assert!(adopt(&otherwise).await);
    assert_eq!(there().await.record().version, 4);
    let sums = counted(trails.as_ref(), project).await.days[0].1;
    assert_eq!((sums.messages, sums.completion_tokens), (1, 62));
}

fn amended_at(trail: &Trail, amendment: TrailAmendment, minutes: i64) -> Trail {
    let occasion = Occasion {
        at: at(minutes),
        ..occasion(0)
    };
    amended_by(trail.clone(), amendment, &occasion).into_trail()
}

/// Each of a page for itself, whatever becomes of the others (T2).
pub async fn a_page_of_copies_is_kept_at_once(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let [other, gone] = [subject.project().await, subject.project().await];
    if subject.knows_projects() {
        subject.delete_project(gone).await;
    }
    let copy = |n, of, minutes, price| opened(n, of, whole(minutes, "large-2", price)).into_trail();
    let there = saved(trails.as_ref(), 1, project, whole(5, "large-2", "1")).await;
    let later = amended(there.clone(), completion(31), 1).into_trail();
    saved(trails.as_ref(), 2, project, whole(65, "large-2", "2")).await;
    let foreign = saved(trails.as_ref(), 3, other, placeholder(5)).await;
    let page = [
        copy(9, project, 7, "4"),
        later.clone(),
        copy(2, project, 65, "2"),
        copy(3, project, 5, "8"),
        copy(4, gone, 5, "16"),
        copy(5, other, 24 * 60 + 5, "32"),
        opened(6, project, placeholder(67)).into_trail(),
        copy(7, project, 125, "64"),
    ];
    let adopted = trails.adopt(&page).await.expect("they are copied");
    let of_gone = if subject.knows_projects() {
        Adopted::ProjectGone
    } else {
        Adopted::Kept
    };
    let (kept, present) = (Adopted::Kept, Adopted::Present);
    assert_eq!(
        adopted,
        [kept, kept, present, present, of_gone, kept, kept, kept]
    );
    assert_eq!(read(trails.as_ref(), message(1)).await, Some(later));
    assert_eq!(read(trails.as_ref(), message(3)).await, Some(foreign));
    for index in [0, 5, 6, 7] {
        let id = page[index].record().message_id;
        assert_eq!(read(trails.as_ref(), id).await.as_ref(), Some(&page[index]));
    }
    let sums = counted(trails.as_ref(), project).await.days[0].1;
    assert_eq!((sums.messages, sums.open), (4, 1));
    assert_eq!(sums.prompt_cost, 71_000_000_000_000, "1, 2, 4 and 64");
    assert_eq!(sums.completion_tokens, 3 * 30 + 31);
    let days = counted(trails.as_ref(), other).await.days;
    assert_eq!(days.iter().map(|(_, sums)| sums.open).sum::<i64>(), 1);
    assert_eq!(days[1].1.prompt_cost, 32_000_000_000_000);
    let none = trails.adopt(&[]).await.expect("nothing is copied");
    assert_eq!(none, []);
}

/// A message is one project's, whatever comes later.
pub async fn a_copy_does_not_take_another_projects_place(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let trail = saved(trails.as_ref(), 1, project, placeholder(5)).await;
    let other = subject.project().await;
    let first = opened(1, other, whole(5, "large-2", "1")).into_trail();
    let copy = amended(first, completion(31), 1).into_trail();
    assert!(!adopt(trails.as_ref(), &copy).await);
    assert_eq!(read(trails.as_ref(), message(1)).await, Some(trail));
    assert_eq!(counted(trails.as_ref(), other).await.days, []);
}

/// By message, with lists and counts that agree (T2).
pub async fn pages_give_every_trail_once(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let mut all = Vec::new();
    for n in [9_u128, 3, 1 << 60, 7, 0x8000_0000_0000_0000, 12, 5] {
        let minutes = i64::try_from(n % 50).expect("a small number");
        all.push(saved(trails.as_ref(), n, project, placeholder(minutes)).await);
    }
    all.sort_by_key(|trail| trail.record().message_id);
    for limit in [1, 2, 3, 7, 100] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = trails.page(after, limit).await.expect("it is read");
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.record().message_id);
            seen.extend(page);
        }
        assert_eq!(seen, all, "{limit} at a time");
    }
    let asked: Vec<_> = all
        .iter()
        .map(|trail| trail.record().message_id)
        .chain([message(4)])
        .collect();
    let mut several = trails.several(&asked).await.expect("they are read");
    several.sort_by_key(|trail| trail.record().message_id);
    assert_eq!(several, all);
    assert_eq!(trails.several(&[]).await.expect("they are read"), []);
    assert_eq!(trails.count(None).await.expect("they are counted"), 7);
    let early = all.iter().filter(|trail| trail.record().created_at < at(9));
    let early = early.count() as u64;
    let before = trails.count(Some(at(9))).await;
    assert_eq!(before.expect("they are counted"), early);
    assert!((1..7).contains(&early));
}

/// What is another project's is not there (S9).
pub async fn a_scope_reaches_its_project_alone(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let trail = saved(trails.as_ref(), 1, project, placeholder(5)).await;
    let other = subject.project().await;
    saved(trails.as_ref(), 2, other, placeholder(5)).await;
    for (scope, found) in [
        (Scope::All, Some(trail.clone())),
        (Scope::Project(project), Some(trail)),
        (Scope::Project(other), None),
    ] {
        let read = trails.read(message(1), scope).await;
        assert_eq!(read.expect("it is read"), found, "{scope:?}");
    }
}

/// In batches, to the moment (T5).
pub async fn the_oldest_expire_first(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    for n in [6_u128, 2, 4, 5, 1, 3] {
        let minutes = i64::try_from(n).expect("a small number");
        saved(trails.as_ref(), n, project, placeholder(minutes)).await;
    }
    let expire = async |limit| trails.expire(at(5), limit).await.expect("they go");
    let left = async || {
        let page = trails.page(None, 100).await.expect("it is read");
        let ids = page.iter().map(|trail| trail.record().message_id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(expire(3).await, 3);
    assert_eq!(left().await, [message(4), message(5), message(6)]);
    assert_eq!(expire(3).await, 1);
    assert_eq!(expire(3).await, 0);
    assert_eq!(left().await, [message(5), message(6)]);
    // A message may come again.
    saved(trails.as_ref(), 2, project, placeholder(2)).await;
    assert_eq!(expire(1).await, 1);
}

/// Trails and what they spent (T7).
pub async fn trails_go_with_their_project(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    saved(trails.as_ref(), 1, project, whole(5, "large-2", "1")).await;
    saved(trails.as_ref(), 2, project, placeholder(6)).await;
    let other = subject.project().await;
    let stays = saved(trails.as_ref(), 3, other, whole(5, "large-2", "1")).await;
    trails.expire(at(6), 100).await.expect("one goes before");
    saved(trails.as_ref(), 3 + 1, other, whole(6, "large-2", "1")).await;
    subject.delete_project(project).await;
    for n in [1, 2] {
        assert_eq!(read(trails.as_ref(), message(n)).await, None);
    }
    let counted_of = counted(trails.as_ref(), project).await;
    assert_eq!(counted_of.days, []);
    assert_eq!(counted_of.recent, []);
    assert_eq!(read(trails.as_ref(), stays.record().message_id).await, None);
    assert_eq!(counted(trails.as_ref(), other).await.days[0].1.messages, 2);
    assert_eq!(trails.count(None).await.expect("they are counted"), 1);
}

/// Nothing is kept of it, whichever way it comes (T7).
pub async fn a_project_that_is_not_there_has_no_trails(subject: &dyn TrailsUnderTest) {
    if !subject.knows_projects() {
        return;
    }
    let (trails, project) = (subject.trails(), subject.project().await);
    let trail = saved(trails.as_ref(), 1, project, whole(5, "large-2", "1")).await;
    subject.delete_project(project).await;
    let first = trails.save(&opened(2, project, placeholder(5))).await;
    assert!(conflicts(&first, Conflict::ProjectGone), "{first:?}");
    let later = trails.save(&amended(trail.clone(), completion(9), 1)).await;
    assert!(conflicts(&later, Conflict::ProjectGone), "{later:?}");
    let copied = trails.adopt(std::slice::from_ref(&trail)).await;
    assert_eq!(copied.expect("it is answered"), [Adopted::ProjectGone]);
    assert_eq!(trails.count(None).await.expect("they are counted"), 0);
}
