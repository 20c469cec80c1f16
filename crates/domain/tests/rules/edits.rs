//! What an edit and a second bank transfer write down: what changed, and nothing else.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use proptest::option;
use proptest::prelude::*;
use tranche_domain::milestone::{Edited, MilestoneEdit};
use tranche_domain::text::{Description, Notes, TransferReference};
use tranche_domain::{BankTransfer, Fact, FieldChange, MilestoneState, MilestoneStatus};

use crate::scene::{MAKER, Scene, TREASURER, act, cases, stroops, title, written};

fn description(text: &str) -> Description {
    Description::try_new(text).expect("a short text")
}

/// Few values on purpose, so that an edit often gives what is there already.
fn edit() -> impl Strategy<Value = MilestoneEdit> {
    (
        option::of(prop::sample::select(vec![
            "Wells drilled",
            "Pumps",
            "Pipes",
        ])),
        option::of(option::of(prop::sample::select(vec![
            "Ten wells",
            "Two pumps",
        ]))),
        option::of(500..=502_i64),
    )
        .prop_map(|(new_title, text, amount)| MilestoneEdit {
            title: new_title.map(title),
            description: text.map(|text| text.map(description)),
            target_amount: amount.map(stroops),
        })
}

fn transfer() -> impl Strategy<Value = BankTransfer> {
    (
        prop::sample::select(vec!["REF-1", "REF-2"]),
        500..=501_i64,
        20..=21_u32,
        option::of(prop::sample::select(vec!["in two parts", "late"])),
    )
        .prop_map(|(reference, amount, day, notes)| BankTransfer {
            reference: TransferReference::try_new(reference).expect("a short text"),
            amount: stroops(amount),
            date: NaiveDate::from_ymd_opt(2026, 11, day).expect("a date"),
            notes: notes.map(|notes| Notes::try_new(notes).expect("a short text")),
        })
}

/// What differs between two lists of the same fields.
fn differences(
    before: Vec<(&'static str, Fact)>,
    after: Vec<(&'static str, Fact)>,
) -> BTreeMap<&'static str, FieldChange> {
    before
        .into_iter()
        .zip(after)
        .filter(|((_, from), (_, to))| from != to)
        .map(|((field, from), (_, to))| (field, FieldChange { from, to }))
        .collect()
}

fn fields_of(transfer: Option<&BankTransfer>) -> Vec<(&'static str, Fact)> {
    vec![
        ("reference", Fact::maybe(transfer.map(|t| &t.reference))),
        ("amount", Fact::maybe(transfer.map(|t| t.amount))),
        ("date", Fact::maybe(transfer.map(|t| t.date))),
        (
            "notes",
            Fact::maybe(transfer.and_then(|t| t.notes.as_ref())),
        ),
    ]
}

#[test]
fn an_empty_edit_changes_nothing() {
    let draft = Scene::at(MilestoneStatus::Draft).milestone;
    let edited = draft.clone().edit(MilestoneEdit::default(), &act(MAKER, 9));
    assert_eq!(edited.unwrap(), Edited::Unchanged(Box::new(draft)));
}

proptest! {
    #![proptest_config(cases(2_000))]

    // M2
    #[test]
    fn an_edit_records_exactly_what_changed(edits in prop::collection::vec(edit(), 1..6)) {
        let mut draft = Scene::at(MilestoneStatus::Draft).milestone;
        for (edit, tick) in edits.into_iter().zip(10..) {
            let mut expected = draft.clone();
            if let Some(title) = edit.title.clone() {
                expected.title = title;
            }
            if let Some(description) = edit.description.clone() {
                expected.description = description;
            }
            if let Some(amount) = edit.target_amount {
                expected.target_amount = amount;
            }
            let fields = |of: &tranche_domain::Milestone| {
                vec![
                    ("title", Fact::text(&of.title)),
                    ("description", Fact::maybe(of.description.as_ref())),
                    ("target_amount", Fact::text(of.target_amount)),
                ]
            };
            let differences = differences(fields(&draft), fields(&expected));
            let occasion = act(MAKER, tick);
            match draft.clone().edit(edit, &occasion).unwrap() {
                Edited::Unchanged(same) => {
                    prop_assert!(differences.is_empty());
                    prop_assert_eq!(*same, draft.clone());
                }
                Edited::Changed(change) => {
                    prop_assert!(!differences.is_empty());
                    prop_assert_eq!(&change.event().changes, &differences);
                    prop_assert!(change.project().is_none() && change.disbursement().is_none());
                    expected.version += 1;
                    expected.updated_at = occasion.at;
                    draft = written(change.milestone());
                    prop_assert_eq!(&draft, &expected);
                }
            }
        }
    }

    // M7
    #[test]
    fn a_transfer_is_recorded_with_what_it_replaces_and_keeps_the_notes(
        transfers in prop::collection::vec(transfer(), 1..5),
    ) {
        let mut scene = Scene::at(MilestoneStatus::Submitted);
        let approved = scene.milestone.clone().approve(&act("checker", 3)).unwrap();
        scene = scene.after(&approved);
        let mut before: Option<BankTransfer> = None;
        for (given, tick) in transfers.into_iter().zip(10..) {
            let mut expected = given.clone();
            if expected.notes.is_none() {
                expected.notes = before.as_ref().and_then(|before| before.notes.clone());
            }
            let change = scene
                .milestone
                .clone()
                .record_transfer(given, &act(TREASURER, tick))
                .unwrap();
            let differences = differences(fields_of(before.as_ref()), fields_of(Some(&expected)));
            prop_assert_eq!(&change.event().changes, &differences);
            scene = scene.after(&change);
            let MilestoneState::Approved { transfer, .. } = &scene.milestone.state else {
                panic!("an approved milestone stays approved");
            };
            prop_assert_eq!(transfer.as_ref(), Some(&expected));
            before = Some(expected);
        }
    }
}
