//! Searches: a store finds what the filter matches, and nothing else.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::{EventPage, Scope};
use tranche_domain::ProjectId;
use uuid::Uuid;

use super::StoreUnderTest;
use super::log::{
    ACTIONS, ACTORS, Dice, RESOURCE_TYPES, RESOURCES, SEVERITIES, TEXTS, any_filter, documents,
    expected, filled, milestone, project, start,
};
use super::tree::number;

pub const ALL: EventPage = EventPage {
    before: None,
    offset: 0,
    limit: 1_000,
    archived: false,
};

/// The ids that are found, newest first.
pub async fn found(
    subject: &dyn StoreUnderTest,
    filter: &EventFilter,
    scope: Scope,
    page: EventPage,
) -> Vec<Uuid> {
    let events = subject.search().events(filter, scope, page).await;
    let events = events.expect("it is searched");
    events.iter().map(|logged| logged.event.id).collect()
}

async fn assert_found(
    subject: &dyn StoreUnderTest,
    events: &[Arc<EventRecord>],
    filter: &EventFilter,
) -> usize {
    let expected = expected(events, filter);
    let found = found(subject, filter, Scope::All, ALL).await;
    assert_eq!(found, expected, "{filter:?}");
    expected.len()
}

/// Each condition alone, with one value and several (S4).
pub async fn every_filter_finds_what_it_matches(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    let mut filters = vec![EventFilter::default()];
    let mut lists = |names: &[&str], put: fn(&mut EventFilter, Vec<String>)| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted: Vec<_> = names.iter().map(|name| vec![name.clone()]).collect();
        wanted.extend([
            names[..2].to_vec(),
            vec![names[0].clone(), names[0].clone()],
            names.clone(),
            vec!["nobody".to_owned()],
            vec![names[1].clone(), "nobody".to_owned()],
        ]);
        for wanted in wanted {
            let mut filter = EventFilter::default();
            put(&mut filter, wanted);
            filters.push(filter);
        }
    };
    lists(&SEVERITIES, |filter, list| filter.severities = list);
    lists(&ACTIONS, |filter, list| filter.actions = list);
    lists(&ACTORS, |filter, list| filter.actors = list);
    lists(&RESOURCE_TYPES, |filter, list| filter.resource_types = list);
    for id in RESOURCES.iter().chain(&["%", "loan"]) {
        filters.push(EventFilter {
            resource_id: Some((*id).to_owned()),
            ..EventFilter::default()
        });
    }
    for n in 0..4 {
        filters.push(EventFilter {
            project_id: Some(project(n)),
            ..EventFilter::default()
        });
        filters.push(EventFilter {
            milestone_id: Some(milestone(n)),
            ..EventFilter::default()
        });
    }
    let mut times: Vec<_> = (-10..110)
        .step_by(12)
        .map(|days| start() + TimeDelta::days(days))
        .collect();
    times.push(events[150].occurred_at);
    for time in times {
        let (from, to) = (Some(time), Some(time + TimeDelta::hours(30)));
        for (from, to) in [(from, None), (None, from), (from, to), (from, from)] {
            filters.push(EventFilter {
                from,
                to,
                ..EventFilter::default()
            });
        }
    }
    let mut hits = 0;
    for filter in &filters {
        hits += assert_found(subject, &events, filter).await;
    }
    assert!(hits > 3_000, "the filters find something: {hits}");
}

/// Conditions together, at random (S4).
pub async fn filters_together_find_what_they_match(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 400).await;
    let mut dice = Dice::new(11);
    let mut some = 0;
    for _ in 0..400 {
        let filter = any_filter(&mut dice);
        some += usize::from(assert_found(subject, &events, &filter).await > 0);
    }
    assert!(some > 100, "some find something: {some}");
}

/// A text is itself: no pattern, no JSON, and letters of ASCII alone have two cases (S4).
pub async fn texts_are_found_as_they_are(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 200).await;
    let mut found = 0;
    for text in TEXTS {
        let filter = EventFilter {
            text: Some(text.to_owned()),
            ..EventFilter::default()
        };
        found += usize::from(assert_found(subject, &events, &filter).await > 0);
    }
    assert!(found >= 15, "most are somewhere: {found}");
    for nowhere in ["ọ̀NÀ!", "\": 1,", "{", "null", "0.25", "1e-7"] {
        let filter = EventFilter {
            text: Some(nowhere.to_owned()),
            ..EventFilter::default()
        };
        assert_eq!(expected(&events, &filter), [] as [Uuid; 0], "{nowhere}");
    }
}

/// As `@>` has it: fields, members, and numbers by value (S4).
pub async fn details_are_contained_as_jsonb_has_it(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    let mut parts: Vec<Value> = documents().into_iter().skip(1).collect();
    parts.extend([
        json!({ "a": 1.0 }),
        json!({ "a": 2 }),
        json!({ "b": null }),
        json!({ "tags": ["y"] }),
        json!({ "tags": [["z"]] }),
        json!({ "tags": {} }),
        json!({ "tags": "x" }),
        json!({ "list": [{ "k": 2 }] }),
        json!({ "list": [{}] }),
        json!({ "list": [1.0] }),
        json!({ "list": ["1.5", 1] }),
        json!({ "deep": { "er": {} } }),
        json!({ "deep": { "est": "Loan 7" } }),
        json!({ "zero": 0 }),
        json!({ "small": 0.000_000_1 }),
        json!({ "x": 0.1 }),
    ]);
    let mut found = 0;
    for details in parts {
        let filter = EventFilter {
            details: Some(details),
            ..EventFilter::default()
        };
        found += usize::from(assert_found(subject, &events, &filter).await > 0);
    }
    assert!(found >= 18, "most are somewhere: {found}");
}

/// A project's reader sees its events, and no others whatever they ask (S9).
pub async fn a_scope_is_all_there_is(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    let search = subject.search();
    let numbered = number(subject.tree().as_ref(), 1_000).await;
    numbered.expect("it numbers");
    let mut dice = Dice::new(3);
    for n in 1..4 {
        let scope = Scope::Project(ProjectId(project(n)));
        for round in 0..40 {
            let filter = match round {
                0 => EventFilter::default(),
                _ => any_filter(&mut dice),
            };
            let mut own = filter.clone();
            own.project_id = Some(project(n));
            let expected = match filter.project_id {
                Some(other) if other != project(n) => Vec::new(),
                _ => expected(&events, &own),
            };
            assert_eq!(
                found(subject, &filter, scope, ALL).await,
                expected,
                "{filter:?}"
            );
            let order = search.in_order(0, &filter, scope, 1_000).await;
            let order = order.expect("it is read");
            assert_eq!(order.events.len(), expected.len(), "{filter:?}");
            assert_eq!(order.next, 300);
        }
        for event in events.iter().take(40) {
            let seen = search.event(event.id, scope).await.expect("it is read");
            assert_eq!(seen.is_some(), event.project_id == Some(project(n)));
        }
    }
}

/// By its id, with its leaf once it has one, in the log or in the archive.
pub async fn an_event_is_found_wherever_it_is(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 100).await;
    let search = subject.search();
    let one = &events[17];
    let read = async || search.event(one.id, Scope::All).await.expect("it is read");
    let waiting = read().await.expect("it is there");
    assert_eq!(&waiting.event, one.as_ref());
    assert_eq!(waiting.recorded_at, Some(start()));
    assert_eq!(waiting.leaf_index, None);
    number(subject.tree().as_ref(), 1_000)
        .await
        .expect("it numbers");
    let (index, _) = subject.numbered_leaf(one.id).await.expect("it has one");
    assert_eq!(read().await.expect("it is there").leaf_index, Some(index));
    assert!(subject.archive(start() - TimeDelta::days(29)).await < 17);
    let september = start() + TimeDelta::days(2);
    assert!(subject.archive(september).await > 17);
    let archived = read().await.expect("it is there");
    assert_eq!(&archived.event, one.as_ref());
    assert_eq!(archived.leaf_index, Some(index));
    let unknown = search.event(Uuid::from_u128(7), Scope::All).await;
    assert_eq!(unknown.expect("it is read"), None);
}
