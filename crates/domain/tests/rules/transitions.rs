//! Every command in every status, against a table written here a second time on purpose.

use tranche_domain::disbursement::{PlanError, VerdictError};
use tranche_domain::milestone::{Edited, MilestoneEdit, TransitionError};
use tranche_domain::{Action, Change, MilestoneStatus, Policy};

use crate::scene::{
    CHECKER, MAKER, Scene, TREASURER, act, burn, disbursement_id, failure, reason, title, transfer,
};

use MilestoneStatus::{Approved, Disbursed, Disbursing, Draft, Rejected, Submitted};

#[derive(Clone, Copy, Debug)]
enum Command {
    Edit,
    Delete,
    Submit,
    Reject,
    Revise,
    Approve,
    RecordTransfer,
    Prepare,
    Settle,
    Fail,
}

/// The status after a command (`None`: the milestone is gone), or the code of the refusal.
type Outcome = Result<Option<MilestoneStatus>, &'static str>;

const DRAFT_ONLY: &str = "milestone.not_draft";
const SUBMITTED_ONLY: &str = "milestone.not_submitted";
const REJECTED_ONLY: &str = "milestone.not_rejected";
const APPROVED_ONLY: &str = "milestone.not_approved";
const DISBURSING_ONLY: &str = "milestone.not_disbursing";
const IN_FLIGHT: &str = "milestone.disbursement_in_flight";
const DONE: &str = "milestone.already_disbursed";

/// Rows: commands, with their action. Columns: draft, submitted, rejected, approved, disbursing,
/// disbursed.
fn table() -> Vec<(Command, Action, [Outcome; 6])> {
    let only = |column: usize, to: Option<MilestoneStatus>, code: &'static str| {
        let mut row: [Outcome; 6] = [Err(code); 6];
        row[column] = Ok(to);
        row
    };
    let paid = |to: MilestoneStatus| -> [Outcome; 6] {
        let early = Err(APPROVED_ONLY);
        [early, early, early, Ok(Some(to)), Err(IN_FLIGHT), Err(DONE)]
    };
    vec![
        (
            Command::Edit,
            Action::MilestoneUpdated,
            only(0, Some(Draft), DRAFT_ONLY),
        ),
        (
            Command::Delete,
            Action::MilestoneDeleted,
            only(0, None, DRAFT_ONLY),
        ),
        (
            Command::Submit,
            Action::MilestoneSubmitted,
            only(0, Some(Submitted), DRAFT_ONLY),
        ),
        (
            Command::Reject,
            Action::MilestoneRejected,
            only(1, Some(Rejected), SUBMITTED_ONLY),
        ),
        (
            Command::Revise,
            Action::MilestoneRevised,
            only(2, Some(Draft), REJECTED_ONLY),
        ),
        (
            Command::Approve,
            Action::MilestoneApproved,
            only(1, Some(Approved), SUBMITTED_ONLY),
        ),
        (
            Command::RecordTransfer,
            Action::BankTransferRecorded,
            paid(Approved),
        ),
        (
            Command::Prepare,
            Action::DisbursementPrepared,
            paid(Disbursing),
        ),
        (
            Command::Settle,
            Action::MilestoneDisbursed,
            only(4, Some(Disbursed), DISBURSING_ONLY),
        ),
        (
            Command::Fail,
            Action::DisbursementFailed,
            only(4, Some(Approved), DISBURSING_ONLY),
        ),
    ]
}

/// Why a command did not happen: a refusal, or a plan that is out of date.
#[derive(Debug)]
enum Not {
    Refused(TransitionError),
    Stale,
}

impl From<TransitionError> for Not {
    fn from(error: TransitionError) -> Self {
        Self::Refused(error)
    }
}

impl From<PlanError> for Not {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Stale => Self::Stale,
            PlanError::Refused(error) => Self::Refused(error),
        }
    }
}

impl From<VerdictError> for Not {
    fn from(error: VerdictError) -> Self {
        match error {
            VerdictError::Milestone(error) => Self::Refused(error),
            VerdictError::Ended => panic!("an open disbursement was used"),
        }
    }
}

fn run(command: Command, scene: &Scene) -> Result<Change, Not> {
    let (milestone, project) = (scene.milestone.clone(), scene.project.clone());
    // A burn in flight: the scene's own, or a stray one that is not this milestone's.
    let open = || match &scene.disbursement {
        Some(own) if own.state.is_open() => own.clone(),
        _ => {
            let stray = Scene::at(Approved).disbursing(2);
            stray.disbursement.expect("a burn is in flight")
        }
    };
    Ok(match command {
        Command::Edit => {
            let edit = MilestoneEdit {
                title: Some(title("Wells drilled and capped")),
                ..MilestoneEdit::default()
            };
            match milestone.edit(edit, &act(MAKER, 9))? {
                Edited::Changed(change) => *change,
                Edited::Unchanged(_) => panic!("the title is another"),
            }
        }
        Command::Delete => milestone.delete(project, &act(MAKER, 9))?,
        Command::Submit => milestone.submit(&act(MAKER, 9))?,
        Command::Reject => milestone.reject(reason(), &act(CHECKER, 9))?,
        Command::Revise => milestone.revise(&act(MAKER, 9))?,
        Command::Approve => milestone.approve(&act(CHECKER, 9))?,
        Command::RecordTransfer => milestone.record_transfer(transfer(400), &act(TREASURER, 9))?,
        Command::Prepare => milestone
            .plan_disbursement(&project, disbursement_id(1), None, None, act(TREASURER, 9))?
            .prepare(milestone, project, burn(41))?,
        Command::Settle => {
            open().settle(milestone, project, burn(41).id, 110, &act(TREASURER, 9))?
        }
        Command::Fail => open().fail(milestone, project, failure(), &act(TREASURER, 9))?,
    })
}

#[test]
fn every_command_in_every_status_does_what_the_table_says() {
    for (command, action, row) in table() {
        for (status, expected) in MilestoneStatus::ALL.into_iter().zip(row) {
            let scene = Scene::at(status);
            assert_eq!(scene.milestone.status(), status);
            let happened = run(command, &scene);
            match (expected, happened) {
                (Ok(to), Ok(change)) => {
                    let event = change.event();
                    assert_eq!(event.action, action);
                    assert_eq!(event.previous_status, Some(status), "{command:?}");
                    assert_eq!(event.new_status, to, "{command:?}");
                    if let Some(to) = to {
                        let after = scene.after(&change);
                        assert_eq!(after.milestone.status(), to, "{command:?} in {status}");
                    }
                }
                (Err(code), Err(Not::Refused(error))) => {
                    assert_eq!(error.why.code(), code, "{command:?} in {status}");
                    assert_eq!((error.from, error.action), (status, action));
                }
                (expected, happened) => {
                    panic!("{command:?} in {status}: expected {expected:?}, got {happened:?}")
                }
            }
        }
    }
}

#[test]
fn the_domains_own_table_is_this_table() {
    for action in Action::ALL {
        let row = table().into_iter().find(|(_, of, _)| of == action);
        for (column, status) in MilestoneStatus::ALL.into_iter().enumerate() {
            let expected = row
                .as_ref()
                .and_then(|(_, _, row)| row[column].ok().flatten());
            assert_eq!(status.after(*action), expected, "{action} in {status}");
        }
    }
}

#[test]
fn a_prepared_plan_meets_every_other_status_and_never_passes() {
    let scene = Scene::at(Approved);
    for status in MilestoneStatus::ALL {
        if status == Approved {
            continue;
        }
        let other = Scene::at(status);
        let plan = scene
            .milestone
            .plan_disbursement(
                &scene.project,
                disbursement_id(9),
                None,
                None,
                act(TREASURER, 9),
            )
            .unwrap();
        assert!(
            plan.prepare(other.milestone, other.project, burn(42))
                .is_err()
        );
    }
}

#[test]
fn statuses_keep_their_names() {
    let names = [
        "draft",
        "submitted",
        "rejected",
        "approved",
        "disbursing",
        "disbursed",
    ];
    for (status, name) in MilestoneStatus::ALL.into_iter().zip(names) {
        assert_eq!((status.as_str(), status.to_string().as_str()), (name, name));
        assert_eq!(MilestoneStatus::named(name), Some(status));
    }
    for unknown in ["", "Draft", "draft ", "deleted"] {
        assert_eq!(MilestoneStatus::named(unknown), None);
    }
}

#[test]
fn a_rejected_milestone_can_be_revised_submitted_by_another_and_approved_by_its_first_maker() {
    let scene = Scene::at(Rejected);
    let scene = scene
        .clone()
        .after(&scene.milestone.revise(&act(MAKER, 9)).unwrap());
    let scene = scene
        .clone()
        .after(&scene.milestone.submit(&act("other", 10)).unwrap());
    let error = scene
        .milestone
        .clone()
        .approve(&act("other", 11))
        .unwrap_err();
    assert_eq!(error.why.code(), "milestone.maker_is_checker");
    let scene = scene
        .clone()
        .after(&scene.milestone.approve(&act(MAKER, 11)).unwrap());
    assert_eq!(scene.milestone.status(), Approved);
}

#[test]
fn maker_checker_binds_by_default_and_only_where_it_is_on() {
    assert!(Policy::default().maker_checker);
    for on in [true, false] {
        let policy = Policy {
            maker_checker: on,
            ..Policy::default()
        };
        let scene = Scene::draft(policy).forward(Submitted);
        let approved = scene.milestone.approve(&act(MAKER, 9));
        let code = approved.as_ref().err().map(|error| error.why.code());
        assert_eq!(code, on.then_some("milestone.maker_is_checker"));

        let scene = Scene::draft(policy).forward(Approved);
        let plan = scene.milestone.plan_disbursement(
            &scene.project,
            disbursement_id(1),
            None,
            None,
            act(CHECKER, 9),
        );
        let code = plan.as_ref().err().map(|error| error.why.code());
        assert_eq!(code, on.then_some("milestone.maker_is_checker"));
    }
}
