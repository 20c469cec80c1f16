//! What the database refuses whoever asks: a change without evidence, and a change of evidence.
//!
//! Each refusal comes with its control: the same statement is taken once evidence is there, so that
//! nothing is refused for a typing error.

use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::burner::{BurnsSeen, SeenBurn};
use tranche_application::ports::queries::{Page, Timeline};
use tranche_application::ports::store::StoreError;
use tranche_domain::{BurnId, Disbursement, MilestoneId, Replacement, Role};
use uuid::Uuid;

use super::StoreUnderTest;
use super::scene::{NETWORK, World};
use super::tools::census;

const DRAFTED: &str = "id, project_id, number, title, target_amount, status, created_at, \
                       updated_at, version";

async fn a_draft(world: &World) -> MilestoneId {
    let project = world.project(1_000).await.id;
    world.draft(project, 1).await.id
}

/// Evidence by a forger who knows the schema.
async fn put_evidence(subject: &dyn StoreUnderTest, milestone: Uuid, version: i64) {
    let put = format!(
        "INSERT INTO milestone_evidence (milestone_id, version, event_id) \
         VALUES ('{milestone}', {version}, '{milestone}')"
    );
    subject.execute(&put).await.expect("evidence may be added");
}

async fn refused(subject: &dyn StoreUnderTest, sql: &str) {
    let before = census(subject).await;
    let done = subject.execute(sql).await;
    assert!(done.is_err(), "taken: {sql}");
    assert_eq!(census(subject).await, before, "refused but done: {sql}");
}

/// A new version without evidence does not commit, a change without a new version is refused (M14).
pub async fn a_milestone_does_not_change_without_evidence(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let id = a_draft(&world).await.0;
    let next =
        format!("UPDATE milestones SET title = 'forged', version = version + 1 WHERE id = '{id}'");
    let skip =
        format!("UPDATE milestones SET title = 'forged', version = version + 2 WHERE id = '{id}'");
    let same = format!("UPDATE milestones SET title = 'forged' WHERE id = '{id}'");
    refused(subject, &next).await;
    refused(subject, &same).await;
    put_evidence(subject, id, 3).await;
    refused(subject, &skip).await;
    refused(subject, &same).await;
    put_evidence(subject, id, 2).await;
    assert_eq!(subject.execute(&next).await, Ok(1), "the control");
}

/// A milestone without evidence does not come to be.
pub async fn a_milestone_does_not_begin_without_evidence(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let id = a_draft(&world).await.0;
    let new = world.id();
    let insert = |version: i64| {
        format!(
            "INSERT INTO milestones ({DRAFTED}) SELECT '{new}', project_id, 2, title, \
             target_amount, status, created_at, updated_at, {version} \
             FROM milestones WHERE id = '{id}'"
        )
    };
    refused(subject, &insert(1)).await;
    put_evidence(subject, new, 1).await;
    refused(subject, &insert(2)).await;
    assert_eq!(subject.execute(&insert(1)).await, Ok(1), "the control");
}

/// A milestone goes with evidence of its absence, and stays gone.
pub async fn a_milestone_does_not_vanish_without_evidence(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let id = world.draft(project, 1).await.id.0;
    let other = world.draft(project, 2).await.id.0;
    let delete = format!("DELETE FROM milestones WHERE id = '{id}'");
    refused(subject, &delete).await;
    put_evidence(subject, id, 2).await;
    assert_eq!(subject.execute(&delete).await, Ok(1), "the control");
    let back = format!(
        "INSERT INTO milestones ({DRAFTED}) SELECT '{id}', project_id, 1, title, target_amount, \
         status, created_at, updated_at, 1 FROM milestones WHERE id = '{other}'"
    );
    refused(subject, &back).await;
}

/// Log and evidence take nothing but additions (F6).
pub async fn log_and_evidence_are_append_only(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let id = a_draft(&world).await;
    world.submit(id).await.expect("it is submitted");
    world.approve(id).await.expect("it is approved");
    let mut work = world.begin().await;
    let moved = work.audit().relay(10, world.now()).await;
    assert_eq!(moved.expect("it relays"), 3);
    work.commit().await.expect("it is committed");

    let page = Page {
        after: None,
        limit: 100,
    };
    let before = world
        .queries
        .timeline(Timeline::Milestone(id), Scope::All, page)
        .await;
    let before = before.expect("it is read");
    let event = before[0].event.id;
    for (table, key, row, column, value) in [
        ("audit_events", "id", event, "action", "forged"),
        ("audit_events", "id", event, "severity", "info"),
        (
            "milestone_evidence",
            "milestone_id",
            id.0,
            "event_id",
            "01900000-0000-7000-8000-000000000000",
        ),
    ] {
        for sql in [
            format!("UPDATE {table} SET {column} = '{value}' WHERE {key} = '{row}'"),
            format!("UPDATE {table} SET {column} = {column}"),
            format!("DELETE FROM {table} WHERE {key} = '{row}'"),
            format!("DELETE FROM {table}"),
        ] {
            refused(subject, &sql).await;
        }
        for sql in subject.other_ways_to_alter(table, row) {
            refused(subject, &sql).await;
        }
    }
    let after = world
        .queries
        .timeline(Timeline::Milestone(id), Scope::All, page)
        .await;
    assert_eq!(after.expect("it is read"), before);
}

/// A milestone is not replaced by another under the same evidence.
pub async fn a_milestone_is_not_replaced(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let id = a_draft(&world).await;
    for sql in subject.other_ways_to_alter("milestones", id.0) {
        refused(subject, &sql).await;
    }
    let act = world.act("maker", Role::Manager);
    let changed = world.change(id, |m| m.submit(&act).expect("a draft")).await;
    changed.expect("the application's own way is open");
}

/// What the ledger shows as burned cannot fail, or its milestone would be paid again.
pub async fn what_was_burned_does_not_fail(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let mut open = Vec::new();
    for number in 1..=2 {
        let paid = world.payable(project, number, 100).await.id;
        open.push(world.prepare_beside(paid).await);
    }
    let burned = &open[0];
    let seen = BurnsSeen {
        from: 100,
        to: 120,
        burns: vec![SeenBurn {
            id: BurnId("f".repeat(64)),
            ledger: 110,
            wallet_account_id: burned.wallet_account_id.clone(),
            amount: burned.amount,
            memo: Some(burned.burn.memo),
        }],
    };
    let kept = subject.books().keep_seen(NETWORK, &seen, world.now()).await;
    kept.expect("it is kept");

    let failed = world.fail(burned).await;
    let named = matches!(&failed, Err(StoreError::Inconsistent(why))
        if why.contains(&burned.id.to_string()));
    assert!(named, "{failed:?}");
    let by_hand = |id| {
        format!(
            "UPDATE disbursements SET state = 'failed', failed_at = prepared_at, \
             failure_code = 'expired', failure_detail = '' WHERE id = '{id}'"
        )
    };
    refused(subject, &by_hand(burned.id)).await;
    let read = world.queries.disbursement(burned.id).await;
    assert_eq!(read.expect("it is read").as_ref(), Some(burned));
    assert_eq!(
        subject.execute(&by_hand(open[1].id)).await,
        Ok(1),
        "the control"
    );
    world.settle(burned).await.expect("it may settle");
}

/// An envelope that was kept stays, however its disbursement goes on.
pub async fn envelopes_are_never_forgotten(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let paid = world.payable(project, 1, 100).await.id;
    let open = world.prepare(paid, 1).await;
    for n in 1..=2 {
        let replaced = world.conclude(&open, |d, m, _, act| {
            let replacement = Replacement {
                id: BurnId(format!("{n:064x}")),
                envelope: vec![n, 0, 255],
                valid_until: open.burn.valid_until,
            };
            d.replace(&m, replacement, act).expect("it is in flight")
        });
        replaced.await.expect("it is recorded");
    }
    let read = world.queries.disbursement(open.id).await;
    let kept = read.expect("it is read").expect("it is there");
    let milestone = world.queries.milestone(paid).await;
    let milestone = milestone.expect("it is read").expect("it is there");
    let recorded = async |forgetful: Disbursement| {
        let act = world.act("forger", Role::Treasurer);
        let change = forgetful.call_operator(&milestone, "why".to_owned(), &act);
        world.record(&change.expect("it is in flight")).await
    };
    let forget: [fn(&mut Vec<Replacement>); 4] = [
        Vec::clear,
        |kept| kept.truncate(1),
        |kept| kept.swap(0, 1),
        |kept| kept[1].envelope.push(0),
    ];
    for forget in forget {
        let mut forgetful = kept.clone();
        forget(&mut forgetful.burn.replacements);
        let refused = recorded(forgetful.clone()).await;
        assert!(refused.is_err(), "{:?}", forgetful.burn.replacements);
    }
    recorded(kept).await.expect("it forgets nothing");
}
