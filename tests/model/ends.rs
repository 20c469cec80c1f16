//! The books follow a verdict: transaction 2, everything at once, once.

use tranche_domain::disbursement::VerdictError;
use tranche_domain::disbursement::verdict::{EXPIRED, SEQUENCE_TAKEN};
use tranche_domain::{
    BurnId, Change, Disbursement, DisbursementId, DisbursementState, Failure, Milestone, Occasion,
    PreparedBurn, Project,
};

use crate::node::REFUSED;
use crate::replica::{Task, Who, name};
use crate::schedule::{Fate, Luck};
use crate::world::World;

/// How the books follow a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Burned {
        burn: BurnId,
        ledger: u32,
    },
    /// By none of these envelopes.
    Failed {
        failure: Failure,
        judged: PreparedBurn,
    },
    Operator {
        reason: String,
        judged: PreparedBurn,
    },
}

impl End {
    fn change(
        &self,
        disbursement: Disbursement,
        milestone: Milestone,
        project: Project,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        match self {
            Self::Burned { burn, ledger } => {
                disbursement.settle(milestone, project, burn.clone(), *ledger, occasion)
            }
            Self::Failed { failure, .. } => {
                disbursement.fail(milestone, project, failure.clone(), occasion)
            }
            Self::Operator { reason, .. } => {
                disbursement.call_operator(&milestone, reason.clone(), occasion)
            }
        }
    }

    /// Whether it holds for the burn as it is kept: nobody asked about an envelope kept since.
    fn holds_for(&self, kept: &PreparedBurn) -> bool {
        match self {
            Self::Burned { .. } => true,
            Self::Failed { judged, .. } | Self::Operator { judged, .. } => judged == kept,
        }
    }

    /// What it is in a tally.
    fn kind(&self) -> &'static str {
        match self {
            Self::Burned { .. } => "settled",
            Self::Failed { failure, .. } => match failure.code.as_str() {
                EXPIRED => "failed: expired",
                REFUSED => "failed: refused",
                SEQUENCE_TAKEN => "failed: sequence taken",
                _ => "failed: timeout",
            },
            Self::Operator { .. } => "needs operator",
        }
    }
}

/// The mistake: no answer is taken for a failure.
pub fn given_up(disbursement: &Disbursement) -> Task {
    let failure = Failure {
        code: "timeout".to_owned(),
        detail: "no answer in time".to_owned(),
    };
    failed(disbursement, failure)
}

/// The end of a burn that never will be, by any of the envelopes that were asked about.
pub fn failed(disbursement: &Disbursement, failure: Failure) -> Task {
    let judged = disbursement.burn.clone();
    Task::Conclude(disbursement.id, End::Failed { failure, judged })
}

/// Commits the end, unless another did, or it was reached over fewer envelopes than are kept now.
pub fn conclude(world: &mut World, id: DisbursementId, end: &End, luck: Luck, who: Who) -> Task {
    if luck.fate == Fate::LostBefore {
        world.say(who, || "cannot commit transaction 2".to_owned());
        return Task::Idle;
    }
    let locked = world.store.disbursements[&id].clone();
    let called = matches!(locked.state, DisbursementState::NeedsOperator { .. });
    if called && matches!(end, End::Operator { .. }) {
        return Task::Idle;
    }
    if locked.state.is_open() && !end.holds_for(&locked.burn) {
        world.say(who, || "finds a further envelope, and leaves it".to_owned());
        world.count("judged too few envelopes");
        return Task::Idle;
    }
    let milestone = world.store.milestones[&locked.milestone_id].clone();
    let occasion = world.occasion(who);
    match end.change(locked, milestone, world.store.project.clone(), &occasion) {
        Ok(change) => {
            world.say(who, || match end {
                End::Failed { failure, .. } => format!("fails {}: {}", name(id), failure.code),
                End::Burned { .. } => format!("settles {}", name(id)),
                End::Operator { reason, .. } => format!("calls a person: {reason}"),
            });
            world.count(end.kind());
            if world.commit(&change).is_err() {
                world
                    .strange
                    .push(format!("{} was locked and changed", name(id)));
            }
        }
        Err(VerdictError::Ended) => world.count("ended by another"),
        Err(error) => world.strange.push(format!("{}: {error}", name(id))),
    }
    Task::Idle
}
