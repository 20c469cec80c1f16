//! Rows that cannot be are named as such, never guessed at and never a panic.
//!
//! Where the database itself refuses to hold such a row, the rule is kept as well.

use tranche_application::ports::store::StoreError;
use tranche_domain::Milestone;

use super::StoreUnderTest;
use super::scene::World;

fn is_inconsistent<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Inconsistent(_)))
}

async fn milestone_is_refused(
    subject: &dyn StoreUnderTest,
    world: &World,
    milestone: &Milestone,
    set: &str,
) {
    let id = milestone.id;
    let force = format!("UPDATE milestones SET {set}, version = version + 1 WHERE id = '{id}'");
    if subject.force(&force).await.is_err() {
        return;
    }
    let read = world.queries.milestone(id).await;
    assert!(is_inconsistent(&read), "{set}: {read:?}");
    let page = tranche_application::ports::queries::Page {
        after: None,
        limit: 10,
    };
    let listed = world.queries.milestones(milestone.project_id, page).await;
    assert!(is_inconsistent(&listed), "{set}: {listed:?}");
    let locked = world.begin().await.milestones().lock(id).await;
    assert!(is_inconsistent(&locked), "{set}: {locked:?}");
}

/// Every way in which a milestone's columns can contradict its status.
pub async fn a_milestone_that_cannot_be_is_inconsistent(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    for set in [
        "status = 'nonsense'",
        "status = 'submitted'",
        "status = 'disbursed'",
        "submitted_by = 'forger'",
        "submitted_at = created_at",
        "rejection_reason = 'forged'",
        "transfer_reference = 'forged'",
        "burned = 1",
        "title = ''",
        "description = ''",
        "target_amount = -1",
    ] {
        let project = world.project(1_000).await.id;
        let draft = world.draft(project, 1).await;
        milestone_is_refused(subject, &world, &draft, set).await;
    }
    for set in [
        "status = 'draft'",
        "status = 'submitted'",
        "status = 'rejected'",
        "status = 'disbursing'",
        "status = 'disbursed'",
        "submitted_by = NULL",
        "approved_by = NULL",
        "approved_at = NULL",
        "transfer_amount = NULL",
        "transfer_amount = -1",
        "transfer_date = NULL",
        "transfer_reference = NULL",
        "disbursed_by = 'forger'",
        "burned = 1",
    ] {
        let project = world.project(1_000).await.id;
        let paid = world.payable(project, 1, 500).await;
        milestone_is_refused(subject, &world, &paid, set).await;
    }
}

/// A project's books that contradict themselves.
pub async fn a_project_that_cannot_be_is_inconsistent(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    for set in [
        "name = ''",
        "nav = -1",
        "nav_reserved = -1",
        "nav_reserved = nav + 1",
        "lp_tokens_outstanding = -1",
        "total_milestones = -1",
        "completed_milestones = total_milestones + 1",
        "last_milestone_date = created_at",
        "burn_policy = 'nonsense'",
    ] {
        let id = world.project(1_000).await.id;
        let force = format!("UPDATE projects SET {set} WHERE id = '{id}'");
        if subject.force(&force).await.is_err() {
            continue;
        }
        let read = world.queries.project(id).await;
        assert!(is_inconsistent(&read), "{set}: {read:?}");
        let locked = world.begin().await.projects().lock(id).await;
        assert!(is_inconsistent(&locked), "{set}: {locked:?}");
    }
}

/// A disbursement whose columns contradict its state.
pub async fn a_disbursement_that_cannot_be_is_inconsistent(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    for set in [
        "state = 'nonsense'",
        "state = 'settled'",
        "state = 'failed'",
        "state = 'needs_operator'",
        "settled_at = prepared_at",
        "failure_code = 'forged'",
        "amount = -1",
        "attempts = -1",
        "signed_at_ledger = -1",
        "ordered_by_role = 'nonsense'",
        "replacements = '{}'",
        "replacements = '[{}]'",
        "replacements = '[{\"burn_id\": \"b\", \"envelope\": \"*\", \
         \"valid_until\": \"2026-11-21T00:00:00Z\"}]'",
        "proposal = '{}'",
        "state = 'needs_operator', operator_reason = 'why', proposal = '{\"judgement\": \"burned\", \
         \"why\": \"seen\", \"by\": \"forger\", \"at\": \"2026-11-21T00:00:00Z\"}'",
        "settled_burn_id = burn_id",
        "state = 'settled', settled_at = prepared_at, settled_ledger = 1, settled_burn_id = 'forged'",
    ] {
        let project = world.project(1_000).await.id;
        let paid = world.payable(project, 1, 500).await.id;
        let open = world.prepare(paid, 1).await;
        let id = open.id;
        let force = format!("UPDATE disbursements SET {set} WHERE id = '{id}'");
        if subject.force(&force).await.is_err() {
            continue;
        }
        let read = world.queries.disbursement(id).await;
        assert!(is_inconsistent(&read), "{set}: {read:?}");
        let locked = world.lock(world.begin().await.as_mut(), &open).await;
        assert!(is_inconsistent(&locked), "{set}: {locked:?}");
    }
}

/// The schema refuses a verdict, a judgement or envelopes that do not fit a disbursement in flight.
pub async fn what_does_not_fit_is_not_kept(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let paid = world.payable(project, 1, 500).await.id;
    let open = world.prepare(paid, 1).await;
    for set in [
        "settled_burn_id = burn_id",
        "settled_ledger = 1",
        "proposal = '{}'",
        "replacements = '{}'",
        "replacements = NULL",
        "state = 'settled', settled_at = prepared_at, settled_ledger = 1, proposal = '{}'",
    ] {
        let refused = subject
            .execute(&format!("UPDATE disbursements SET {set}"))
            .await;
        refused.expect_err(set);
    }
    let read = world.queries.disbursement(open.id).await;
    assert_eq!(read.expect("it is read"), Some(open));
}
