//! Reading for people: whole pages in order, and figures that agree with the rows.

use std::collections::BTreeMap;

use tranche_application::keys::ApiKey;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::custody::SealedWallet;
use tranche_application::ports::queries::{
    DisbursementFilter, MilestoneStats, Page, StatusTotal, Timeline,
};
use tranche_application::ports::store::StoreError;
use tranche_domain::text::Reason;
use tranche_domain::{Amount, Milestone, MilestoneStatus, ProjectId, Role, Total};

use super::StoreUnderTest;
use super::scene::{CHECKER, World, stroops};

/// Every row of a list, two at a time; `between` runs after the first page.
async fn in_pages<T, K: Copy + PartialEq, F: Future<Output = Result<Vec<T>, StoreError>>>(
    read: impl Fn(Page<K>) -> F,
    key: impl Fn(&T) -> K,
    between: impl AsyncFn(),
) -> Vec<K> {
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let rows = read(Page { after, limit: 2 }).await.expect("it is read");
        assert!(rows.len() <= 2, "no more than asked for");
        if rows.is_empty() {
            return seen;
        }
        if after.is_none() {
            between().await;
        }
        for key in rows.iter().map(&key) {
            assert!(!seen.contains(&key), "no row twice");
            seen.push(key);
        }
        after = seen.last().copied();
    }
}

/// Newest first, without gap or repeat while others are opened; one alone where asked.
pub async fn projects_are_listed_in_pages(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(world.project(1_000).await.id.0);
    }
    opened.reverse();
    let seen = in_pages(
        |page| world.queries.projects(None, page),
        |project| project.id.0,
        async || {
            world.project(1).await;
        },
    );
    assert_eq!(seen.await, opened);
    let only = Some(ProjectId(opened[3]));
    let seen = in_pages(
        |page| world.queries.projects(only, page),
        |project| project.id.0,
        async || {},
    );
    assert_eq!(seen.await, [opened[3]]);
}

/// By number, whatever the order in which they were drafted, and on past one that is deleted.
pub async fn milestones_are_listed_by_number(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let other = world.project(1_000).await.id;
    let mut second = None;
    for number in [30, 1, 7, 100, 2] {
        let drafted = world.draft(project, number).await;
        second = second.or((number == 2).then_some(drafted.id));
        world.draft(other, number).await;
    }
    let seen = in_pages(
        |page| world.queries.milestones(project, page),
        |milestone| milestone.number,
        async || {
            world.delete(project, second.expect("it is drafted")).await;
            world.draft(other, 3).await;
        },
    );
    assert_eq!(seen.await, [1, 2, 7, 30, 100]);
    let unknown = ProjectId(world.id());
    let seen = in_pages(
        |page| world.queries.milestones(unknown, page),
        |milestone| milestone.number,
        async || {},
    );
    assert!(seen.await.is_empty());
}

/// Targets may add up to more than any account can hold.
pub async fn figures_have_no_limit(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    for number in 1..=3 {
        let mut work = world.begin().await;
        let locked = work.projects().lock(project).await.expect("it locks");
        let locked = locked.expect("the project is there");
        let mut new = world.new_milestone(number);
        new.target_amount = Amount::MAX;
        let change = Milestone::draft(new, locked, &world.act("ngozi", Role::Manager));
        let change = change.expect("the counter has room");
        work.record(&change).await.expect("it is recorded");
        work.commit().await.expect("it is committed");
    }
    let stats = world.queries.milestone_stats(project).await;
    let drafts = stats.expect("it is read").by_status[&MilestoneStatus::Draft];
    let sum = Total::try_from_stroops(i128::from(i64::MAX) * 3);
    assert_eq!((drafts.count, Ok(drafts.amount)), (3, sum));
}

/// Newest first, by state and by project.
pub async fn disbursements_are_filtered(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(10_000).await.id;
    let other = world.project(10_000).await.id;
    let mut open = Vec::new();
    for number in 1..=3 {
        for project in [project, other] {
            let id = world.payable(project, number, 100).await.id;
            open.push(world.prepare_beside(id).await);
        }
    }
    world.settle(&open[0]).await.expect("it is settled");
    world.fail(&open[3]).await.expect("it fails");
    for (state, of, expected) in [
        (None, None, vec![5, 4, 3, 2, 1, 0]),
        (None, Some(project), vec![4, 2, 0]),
        (Some("prepared"), None, vec![5, 4, 2, 1]),
        (Some("prepared"), Some(other), vec![5, 1]),
        (Some("settled"), None, vec![0]),
        (Some("failed"), Some(other), vec![3]),
        (Some("failed"), Some(project), vec![]),
        (Some("nonsense"), None, vec![]),
    ] {
        let filter = DisbursementFilter {
            state: state.map(ToOwned::to_owned),
            project_id: of,
        };
        let seen = in_pages(
            |page| world.queries.disbursements(&filter, page),
            |disbursement| disbursement.id.0,
            async || {},
        );
        let expected: Vec<_> = expected.into_iter().map(|n: usize| open[n].id.0).collect();
        assert_eq!(seen.await, expected, "{filter:?}");
    }
}

/// A project's timeline holds its milestones', newest first, logged or on the way.
pub async fn timelines_are_whole(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let other = world.project(1_000).await.id;
    let first = world.payable(project, 1, 100).await.id;
    let second = world.draft(project, 2).await.id;
    world.draft(other, 1).await;
    let actions = async |of| {
        let events = std::sync::Mutex::new(Vec::new());
        let seen = in_pages(
            |page| world.queries.timeline(of, Scope::All, page),
            |logged| {
                let action = logged.event.action.clone();
                events.lock().expect("one at a time").push(action);
                logged.event.id
            },
            async || {},
        )
        .await;
        assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
        events.into_inner().expect("one at a time")
    };
    let of_first = [
        "milestone.bank_transfer_recorded",
        "milestone.approved",
        "milestone.submitted",
        "milestone.created",
    ];
    for round in 0..2 {
        assert_eq!(actions(Timeline::Milestone(first)).await, of_first);
        let of_second = actions(Timeline::Milestone(second)).await;
        assert_eq!(of_second, ["milestone.created"]);
        let of_project = actions(Timeline::Project(project)).await;
        assert_eq!(of_project.len(), 6);
        assert_eq!(of_project[0], "milestone.created");
        assert_eq!(of_project[1..5], of_first);
        assert_eq!(of_project[5], "project.created");
        if round == 0 {
            let mut work = world.begin().await;
            let moved = work.audit().relay(3, world.now()).await;
            assert_eq!(moved.expect("it relays"), 3);
            work.commit().await.expect("it is committed");
        }
    }
}

/// Somebody who sees one project sees no event of another, logged or on the way, by whatever name
/// they ask (S9).
pub async fn timelines_end_where_the_scope_does(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (own, other) = (world.project(1_000).await.id, world.project(1_000).await.id);
    let inside = world.payable(own, 1, 100).await.id;
    let outside = world.payable(other, 1, 100).await.id;
    let page = Page {
        after: None,
        limit: 100,
    };
    for (of, expected) in [
        (Timeline::Project(own), 5),
        (Timeline::Milestone(inside), 4),
        (Timeline::Project(other), 0),
        (Timeline::Milestone(outside), 0),
    ] {
        let seen = world.queries.timeline(of, Scope::Project(own), page).await;
        let seen = seen.expect("it is read");
        assert_eq!(seen.len(), expected, "{of:?}");
        let all = world.queries.timeline(of, Scope::All, page).await;
        assert!(all.expect("it is read").len() >= 4, "{of:?}");
    }
}

/// Counts, sums and mean times are those of the rows (M9).
pub async fn statistics_agree_with_the_rows(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(100_000).await.id;
    let none = world.queries.milestone_stats(project).await;
    assert_eq!(none.expect("it is read"), MilestoneStats::default());

    let mut approvals = Vec::new();
    let mut disbursals = Vec::new();
    for number in 1..=3 {
        let paid = world
            .payable(project, number, 1_000 + i64::from(number))
            .await;
        approvals.push(between(&world, &paid, 1).await);
        let open = world.prepare(paid.id, i64::from(number)).await;
        if number < 3 {
            world.settle(&open).await.expect("it is settled");
            disbursals.push(between(&world, &paid, 2).await);
        }
    }
    world.draft(project, 4).await;
    let rejected = world.draft(project, 5).await.id;
    world.submit(rejected).await.expect("it is submitted");
    let act = world.act(CHECKER, Role::Approver);
    let reason = Reason::try_new("no").expect("a text");
    let done = world
        .change(rejected, |m| m.reject(reason, &act).expect("submitted"))
        .await;
    done.expect("it is rejected");
    world.draft(project, 6).await;
    let elsewhere = world.project(1_000).await.id;
    world.draft(elsewhere, 9).await;

    let stats = world.queries.milestone_stats(project).await;
    let stats = stats.expect("it is read");
    let total = |count, amount| StatusTotal {
        count,
        amount: stroops(amount).into(),
    };
    let expected = BTreeMap::from([
        (MilestoneStatus::Draft, total(2, 1_000)),
        (MilestoneStatus::Rejected, total(1, 500)),
        (MilestoneStatus::Disbursing, total(1, 300)),
        (MilestoneStatus::Disbursed, total(2, 300)),
    ]);
    assert_eq!(stats.by_status, expected);
    assert_eq!(stats.disbursed_total, stroops(2_003));
    is_mean(stats.mean_submit_to_approve_ms, &approvals);
    is_mean(stats.mean_approve_to_disburse_ms, &disbursals);
}

/// Microseconds from submission to approval (1), or from approval to disbursement (2).
async fn between(world: &World, milestone: &tranche_domain::Milestone, step: u8) -> i64 {
    use tranche_domain::MilestoneState;
    let read = world.queries.milestone(milestone.id).await;
    let state = read.expect("it is read").expect("it is there").state;
    let (from, to) = match (step, state) {
        (1, MilestoneState::Approved { approval, .. }) => {
            (approval.submitted.at, approval.approved.at)
        }
        (
            _,
            MilestoneState::Disbursed {
                approval,
                disbursed,
                ..
            },
        ) => (approval.approved.at, disbursed.at),
        _ => return 0,
    };
    (to - from).num_microseconds().expect("a short time")
}

/// To the millisecond, however it is rounded.
fn is_mean(millis: Option<i64>, micros: &[i64]) {
    let count = i64::try_from(micros.len()).expect("a few");
    let exact = micros.iter().sum::<i64>() / count;
    let millis = millis.expect("there is a mean");
    assert!(
        (millis * 1_000 - exact).abs() <= 1_000,
        "{millis} ms, {exact} µs"
    );
}

/// API keys, by id and all; revoked once.
pub async fn keys_are_found_and_revoked(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let mut keys = Vec::new();
    for n in 0..3_u8 {
        keys.push(ApiKey {
            id: format!("{n:016x}"),
            subject: "anna".to_owned(),
            roles: Role::ALL[usize::from(n)..].to_vec(),
            project_id: (n == 1).then_some(project),
            hash: [n; 32],
            rate_limit: (n == 2).then(|| "5000/h".to_owned()),
            created_at: world.now(),
            revoked_at: None,
        });
    }
    let mut work = world.begin().await;
    for key in &keys {
        work.credentials().keep_key(key).await.expect("it is kept");
    }
    work.commit().await.expect("it is committed");

    let at = world.now();
    for expected in [true, false] {
        let mut work = world.begin().await;
        let revoked = work.credentials().revoke_key(&keys[1].id, at).await;
        assert_eq!(revoked.expect("it answers"), expected);
        work.commit().await.expect("it is committed");
    }
    let mut work = world.begin().await;
    let unknown = work.credentials().revoke_key("nobody", at).await;
    assert!(!unknown.expect("it answers"));
    drop(work);
    keys[1].revoked_at = Some(at);

    for key in &keys {
        let read = world.queries.key(&key.id).await;
        assert_eq!(read.expect("it is read").as_ref(), Some(key));
    }
    assert_eq!(world.queries.key("nobody").await.expect("it answers"), None);
    keys.reverse();
    assert_eq!(world.queries.keys().await.expect("it is read"), keys);
}

/// Sealed wallets come back as they were kept.
pub async fn sealed_wallets_are_found(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut kept = Vec::new();
    let mut work = world.begin().await;
    for (n, sealed_seed) in [(1, vec![0, 255, 10]), (2, Vec::new())] {
        let wallet = SealedWallet {
            account_id: format!("GWALLET{n}"),
            custody: "local".to_owned(),
            key_id: "key-1".to_owned(),
            sealed_seed,
        };
        let done = work.credentials().keep_wallet(&wallet).await;
        done.expect("it is kept");
        kept.push(wallet);
    }
    work.commit().await.expect("it is committed");
    let wallets = subject.wallets();
    for wallet in kept {
        let read = wallets.sealed_wallet(&wallet.account_id).await;
        assert_eq!(read.expect("it is read"), Some(wallet));
    }
    let unknown = wallets.sealed_wallet("GNOBODY").await;
    assert_eq!(unknown.expect("it answers"), None);
}

/// A migrated store is ready, and reads go on while somebody writes.
pub async fn reads_wait_for_nobody(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let mut work = world.begin().await;
    work.projects().lock(project.id).await.expect("it locks");
    let change = world.drafting(1, project.clone());
    work.record(&change).await.expect("it is recorded");
    let read = async {
        world.queries.ready().await.expect("it is ready");
        world.queries.project(project.id).await.expect("it is read")
    };
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
    assert_eq!(read.expect("it does not wait"), Some(project));
}
