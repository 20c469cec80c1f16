//! Two people decide what the ledger cannot, and the ledger is asked once more before either counts.

use tranche_application::disbursement::{Disbursements, ResolveError};
use tranche_application::idempotency::Claim;
use tranche_application::ports::burner::{BurnsSeen, LedgerError, SeenBurn};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::{Call, Outcome};
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{Judgement, Replacement, ResolutionError, Verdict};
use tranche_domain::{Action, BurnId, Disbursement, DisbursementState, MilestoneStatus};

use super::scene::{
    DISBURSEMENT, ELSEWHERE, PAID, PROJECT, Scene, answered, call, failure, keyed, occasion,
    reason, scoped, stroops, time, written,
};
use super::script::Step;
use super::stage::{Stage, burned, conflict, down, silent};

type Resolved = Result<Outcome<Disbursement>, ResolveError>;

/// What is done, and what locking finds before it.
enum Act {
    Propose(Judgement),
    Confirm,
}

/// The ledger that people say holds the burn.
const HELD: u32 = 105;

fn own() -> BurnId {
    Scene::at(MilestoneStatus::Disbursing)
        .disbursement()
        .burn
        .id
}

fn said_burned() -> Judgement {
    Judgement::Burned {
        burn: own(),
        ledger: HELD,
    }
}

/// A disbursement for which a person was called, with two names.
fn called() -> Scene {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let again = Replacement {
        id: BurnId("second".to_owned()),
        envelope: vec![4],
        valid_until: time(300),
    };
    let by = occasion("treasurer");
    let change = scene.sent().replace(&scene.milestone, again, &by).unwrap();
    let scene = scene.after(&change);
    let open = scene.disbursement();
    let change = open.call_operator(&scene.milestone, "lost".to_owned(), &by);
    scene.after(&change.unwrap())
}

/// The same, and `first` proposed this.
fn proposed(judgement: Judgement) -> Scene {
    let scene = called();
    let open = scene.disbursement();
    let by = occasion("first");
    let change = open.propose(&scene.milestone, judgement, reason(), &by);
    scene.after(&change.unwrap())
}

/// The ledgers shown, and the burns in them.
fn shown(from: u32, to: u32, burns: &[(&str, u32)]) -> BurnsSeen {
    let burns = burns.iter().map(|(id, ledger)| SeenBurn {
        id: BurnId((*id).to_owned()),
        ledger: *ledger,
        wallet_account_id: "GWALLET".to_owned(),
        amount: stroops(PAID),
        memo: None,
    });
    let burns = burns.collect();
    BurnsSeen { from, to, burns }
}

fn unproven() -> Verdict {
    Verdict::NeedsOperator {
        reason: "lost".to_owned(),
    }
}

/// A stage on which the disbursement is read; the watch has no part in this.
fn read(scene: &Scene) -> Stage {
    let mut stage = Stage::new();
    stage.watched = false;
    stage.read(Ok(Some(scene.disbursement())));
    stage
}

/// The same; the ledger proves nothing and shows this.
fn asked(scene: &Scene, seen: BurnsSeen) -> Stage {
    let mut stage = read(scene);
    stage.verdict(Ok(unproven()));
    stage.look(Ok(seen));
    stage
}

fn recorded(scene: &Scene) -> [Step; 3] {
    [
        Step::LockBooks(Some(scene.books(scene.disbursement()))),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]
}

async fn act(disbursements: &Disbursements, act: Act, call: &Call) -> Resolved {
    match act {
        Act::Propose(judgement) => {
            let why = reason();
            disbursements
                .propose(DISBURSEMENT, judgement, why, call)
                .await
        }
        Act::Confirm => {
            let read = proposed(Judgement::Failed).disbursement().version;
            let call = Call {
                expected_version: call.expected_version.or(Some(read)),
                ..call.clone()
            };
            disbursements.confirm(DISBURSEMENT, &call).await
        }
    }
}

async fn propose(stage: &mut Stage, judgement: Judgement) -> Resolved {
    let disbursements = stage.disbursements();
    act(&disbursements, Act::Propose(judgement), &call("first")).await
}

async fn confirm(stage: &mut Stage, who: &str) -> Resolved {
    let disbursements = stage.disbursements();
    act(&disbursements, Act::Confirm, &call(who)).await
}

fn contradiction(outcome: Resolved) -> String {
    match outcome {
        Err(ResolveError::Contradicted(why)) => why,
        other => panic!("the ledger contradicts: {other:?}"),
    }
}

fn done(outcome: Resolved) -> Disbursement {
    match outcome {
        Ok(Outcome::Done(disbursement)) => disbursement,
        other => panic!("it is done now: {other:?}"),
    }
}

// M8
#[tokio::test]
async fn a_proposal_asks_the_ledger_and_is_written_down() {
    // What people say, where the ledger is asked from, and what it shows that leaves room for it.
    let id = own().0;
    let cases = [
        (said_burned(), HELD, shown(HELD, 200, &[(&id, HELD)])),
        (said_burned(), HELD, shown(150, 200, &[])),
        (Judgement::Failed, 100, shown(100, 200, &[])),
        (
            Judgement::Failed,
            100,
            shown(150, 200, &[("stranger", 160)]),
        ),
    ];
    for (judgement, from, seen) in cases {
        let scene = called();
        let mut stage = asked(&scene, seen);
        stage.work(recorded(&scene));
        let now = done(propose(&mut stage, judgement.clone()).await);
        let DisbursementState::NeedsOperator { proposal, .. } = &now.state else {
            panic!("it is still open");
        };
        let proposal = proposal.clone().unwrap();
        assert_eq!(
            (proposal.judgement, proposal.by.as_str()),
            (judgement, "first")
        );
        assert_eq!((proposal.why, proposal.at), (reason(), time(0)));
        let seen = stage.seen.lock().unwrap();
        assert_eq!(seen.looked, [(Some(from), vec!["GWALLET".to_owned()])]);
        assert_eq!(seen.locked, [(PROJECT, vec![DISBURSEMENT])]);
        let change = &seen.changes[0];
        assert_eq!(written(change.disbursement()), now);
        assert!(change.project().is_none() && change.milestone().is_none());
        let action = Action::DisbursementResolutionProposed;
        assert_eq!(change.event().action, action);
        assert_eq!(change.event().actor.id, "first");
    }
}

// M8
#[tokio::test]
async fn a_second_person_confirms_and_the_books_follow_in_one_unit_of_work() {
    for (judgement, status, nav) in [
        (said_burned(), MilestoneStatus::Disbursed, 1_000 - PAID),
        (Judgement::Failed, MilestoneStatus::Approved, 1_000),
    ] {
        let scene = proposed(judgement);
        let mut stage = asked(&scene, shown(150, 200, &[]));
        stage.work(recorded(&scene));
        let now = done(confirm(&mut stage, "second").await);
        assert!(!now.state.is_open());
        let seen = stage.seen.lock().unwrap();
        let change = &seen.changes[0];
        assert_eq!(written(change.disbursement()), now);
        assert_eq!(written(change.milestone()).status(), status);
        let project = written(change.project());
        assert_eq!(project.nav, stroops(nav));
        assert_eq!(project.nav_reserved, stroops(0));
        assert_eq!(change.event().actor.id, "second");
    }
}

// M8
#[tokio::test]
async fn whoever_proposed_does_not_confirm() {
    let scene = proposed(said_burned());
    let mut stage = asked(&scene, shown(150, 200, &[]));
    stage.work([Step::LockBooks(Some(scene.books(scene.disbursement())))]);
    let outcome = confirm(&mut stage, "first").await;
    assert!(matches!(
        outcome,
        Err(ResolveError::Refused(ResolutionError::SamePerson))
    ));
}

// M8
#[tokio::test]
async fn what_the_ledger_decides_is_not_for_people() {
    let verdicts = || {
        [
            burned(),
            Verdict::Failed(failure()),
            Verdict::Undecided(Wait::MayStillHappen),
            Verdict::Undecided(Wait::ScanNeeded),
            Verdict::Undecided(Wait::LookAgain),
        ]
    };
    for verdict in verdicts() {
        for judgement in [said_burned(), Judgement::Failed] {
            let mut stage = read(&called());
            stage.verdict(Ok(verdict.clone()));
            contradiction(propose(&mut stage, judgement.clone()).await);
            let mut stage = read(&proposed(judgement));
            stage.verdict(Ok(verdict.clone()));
            contradiction(confirm(&mut stage, "second").await);
        }
    }
}

// M8
#[tokio::test]
async fn what_the_ledger_shows_otherwise_is_refused() {
    let id = own().0;
    let cases = [
        (said_burned(), shown(HELD, HELD - 1, &[]), "is not closed"),
        (said_burned(), shown(HELD, 200, &[]), "does not hold"),
        (
            said_burned(),
            shown(1, 200, &[(&id, HELD + 1)]),
            "does not hold",
        ),
        (
            said_burned(),
            shown(1, 200, &[("second", HELD)]),
            "does not hold",
        ),
        (
            said_burned(),
            shown(1, 200, &[("stranger", HELD)]),
            "does not hold",
        ),
        (
            Judgement::Failed,
            shown(100, 200, &[(&id, 120)]),
            "holds the burn",
        ),
        (
            Judgement::Failed,
            shown(150, 200, &[("second", 160)]),
            "holds the burn",
        ),
    ];
    for (judgement, seen, expected) in cases {
        let mut stage = asked(&called(), seen.clone());
        let why = contradiction(propose(&mut stage, judgement.clone()).await);
        assert!(why.contains(expected), "{why}");
        let mut stage = asked(&proposed(judgement), seen);
        let why = contradiction(confirm(&mut stage, "second").await);
        assert!(why.contains(expected), "{why}");
    }
}

// M8
#[tokio::test]
async fn a_ledger_that_does_not_answer_leaves_everything_as_it_was() {
    let mut stage = read(&called());
    stage.verdict(silent());
    let outcome = propose(&mut stage, Judgement::Failed).await;
    let unavailable = |outcome| {
        matches!(
            outcome,
            Err(ResolveError::Ledger(LedgerError::Unavailable(_)))
        )
    };
    assert!(unavailable(outcome));
    let mut stage = read(&proposed(Judgement::Failed));
    stage.verdict(Ok(unproven()));
    stage.look(silent());
    assert!(unavailable(confirm(&mut stage, "second").await));
}

// M8
#[tokio::test]
async fn people_are_heard_only_when_they_were_asked() {
    for scene in [
        Scene::at(MilestoneStatus::Disbursing),
        Scene::at(MilestoneStatus::Disbursed),
    ] {
        let asks = [Act::Propose(Judgement::Failed), Act::Confirm];
        for ask in asks {
            let mut stage = read(&scene);
            let disbursements = stage.disbursements();
            let outcome = act(&disbursements, ask, &call("first")).await;
            assert!(matches!(
                outcome,
                Err(ResolveError::Refused(ResolutionError::NotAsked(_)))
            ));
        }
    }
    let mut stage = read(&called());
    let outcome = confirm(&mut stage, "second").await;
    assert!(matches!(
        outcome,
        Err(ResolveError::Refused(ResolutionError::NoProposal))
    ));
}

// M8
#[tokio::test]
async fn a_call_made_before_is_answered_as_it_was() {
    let scene = proposed(Judgement::Failed);
    let mut stage = Stage::new();
    stage.work([Step::Claim(Ok(Claim::Used(answered())))]);
    // Made by another while this one asked the ledger.
    stage.work([Step::Claim(Ok(Claim::New))]);
    stage.read(Ok(Some(scene.disbursement())));
    stage.verdict(Ok(unproven()));
    stage.look(Ok(shown(150, 200, &[])));
    stage.work([Step::Claim(Ok(Claim::Used(answered())))]);
    stage.work([Step::Claim(Ok(Claim::Misused))]);
    let disbursements = stage.disbursements();
    for _ in 0..2 {
        let outcome = act(&disbursements, Act::Confirm, &keyed("second")).await;
        let Ok(Outcome::AlreadyApplied(told)) = outcome else {
            panic!("it was made before: {outcome:?}");
        };
        assert_eq!(told, answered());
    }
    let outcome = act(&disbursements, Act::Confirm, &keyed("second")).await;
    assert!(matches!(outcome, Err(ResolveError::KeyMisused)));
}

// M8
#[tokio::test]
async fn the_key_is_bound_with_what_it_made() {
    let scene = proposed(Judgement::Failed);
    let mut stage = Stage::new();
    stage.work([Step::Claim(Ok(Claim::New))]);
    stage.read(Ok(Some(scene.disbursement())));
    stage.verdict(Ok(unproven()));
    stage.look(Ok(shown(150, 200, &[])));
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::LockBooks(Some(scene.books(scene.disbursement()))),
        Step::Record(Ok(())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let disbursements = stage.disbursements();
    done(act(&disbursements, Act::Confirm, &keyed("second")).await);
    assert_eq!(stage.seen.lock().unwrap().bound, [DISBURSEMENT.0]);
}

// M8
#[tokio::test]
async fn a_version_that_moved_stops_the_call() {
    let scene = proposed(Judgement::Failed);
    let version = scene.disbursement().version;
    let mut moved = scene.disbursement();
    moved.version += 1;
    // What the caller has seen, and what locking finds.
    for (seen, locked) in [
        (Some(version - 1), scene.disbursement()),
        (Some(version), moved.clone()),
        (None, moved.clone()),
        // The ledger was asked about the version before.
        (Some(version + 1), moved.clone()),
    ] {
        let mut stage = asked(&scene, shown(150, 200, &[]));
        let current = locked.version;
        stage.work([Step::LockBooks(Some(scene.books(locked)))]);
        let mut call = call("second");
        call.expected_version = seen;
        let disbursements = stage.disbursements();
        let outcome = act(&disbursements, Act::Confirm, &call).await;
        let Err(ResolveError::VersionMismatch { current: told }) = outcome else {
            panic!("the version moved: {outcome:?}");
        };
        assert_eq!(told, current);
    }
}

// M8
#[tokio::test]
async fn what_is_not_there_or_out_of_sight_is_not_found() {
    let mut stage = Stage::new();
    stage.read(Ok(None));
    let outcome = confirm(&mut stage, "second").await;
    assert!(matches!(outcome, Err(ResolveError::NotFound)));
    for ask in [Act::Propose(Judgement::Failed), Act::Confirm] {
        let mut stage = read(&proposed(Judgement::Failed));
        let disbursements = stage.disbursements();
        let outcome = act(&disbursements, ask, &scoped("second", ELSEWHERE)).await;
        assert!(matches!(outcome, Err(ResolveError::NotFound)));
    }
}

// M8, M11
#[tokio::test]
async fn a_resolution_is_tried_five_times_when_the_database_asks() {
    let scene = proposed(Judgement::Failed);
    let try_once = |stage: &mut Stage, what| {
        let lock = Step::LockBooks(Some(scene.books(scene.disbursement())));
        stage.work([lock, Step::Record(conflict(what))]);
    };
    let mut stage = asked(&scene, shown(150, 200, &[]));
    for _ in 0..5 {
        try_once(&mut stage, Conflict::Retry);
    }
    let outcome = confirm(&mut stage, "second").await;
    assert!(matches!(
        outcome,
        Err(ResolveError::Store(StoreError::Conflict(Conflict::Retry)))
    ));
    assert_eq!(stage.incidents(), []);
    let mut stage = asked(&scene, shown(150, 200, &[]));
    let lock = Step::LockBooks(Some(scene.books(scene.disbursement())));
    stage.work([lock, Step::Record(down())]);
    let outcome = confirm(&mut stage, "second").await;
    assert!(matches!(outcome, Err(ResolveError::Store(_))));
    let incidents = stage.incidents();
    assert_eq!(incidents[0].operation, "disbursement.resolve");
    assert!(incidents[0].critical);
}

// M12: a proposal may have been replaced since it was read.
#[tokio::test]
async fn whoever_confirms_says_which_version_they_read() {
    let mut stage = Stage::new();
    stage.watched = false;
    let disbursements = stage.disbursements();
    let outcome = disbursements.confirm(DISBURSEMENT, &call("second")).await;
    assert!(matches!(outcome, Err(ResolveError::VersionRequired)));
}
