//! The step boundaries of a disbursement, in the order in which it comes to them: the named places
//! at which the binary built with `failpoints` kills itself.

use crate::behaviour::Behaviour;

/// A place between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The order is built, nothing is signed.
    Planned,
    /// The burn is signed, before transaction 1.
    Signed,
    /// In transaction 1, before its commit.
    Preparing,
    /// After that commit.
    Prepared,
    /// The sending is noted, nothing is sent.
    Noted,
    /// The sending returned.
    Submitted,
    /// Under fee pressure: a further envelope is signed, before it is kept.
    Replacing,
    /// Under fee pressure: it is kept, not sent.
    Replaced,
    /// The verdict is known, before transaction 2.
    Judged,
    /// In transaction 2, before its commit.
    Concluding,
    /// After that commit, before any answer.
    Concluded,
}

impl Step {
    /// Those of every disbursement.
    pub const ALL: [Self; 9] = [
        Self::Planned,
        Self::Signed,
        Self::Preparing,
        Self::Prepared,
        Self::Noted,
        Self::Submitted,
        Self::Judged,
        Self::Concluding,
        Self::Concluded,
    ];

    /// Those on the way of one that the ledger behaves to like this.
    pub fn of(behaviour: Behaviour) -> Vec<Self> {
        let mut steps = Self::ALL.to_vec();
        if behaviour == Behaviour::FeePressure {
            steps.extend([Self::Replacing, Self::Replaced]);
            steps.sort_unstable();
        }
        steps
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Signed => "signed",
            Self::Preparing => "preparing",
            Self::Prepared => "prepared",
            Self::Noted => "noted",
            Self::Submitted => "submitted",
            Self::Replacing => "replacing",
            Self::Replaced => "replaced",
            Self::Judged => "judged",
            Self::Concluding => "concluding",
            Self::Concluded => "concluded",
        }
    }

    /// Whether a process killed here leaves a disbursement behind.
    pub fn is_kept(self) -> bool {
        self >= Self::Prepared
    }

    /// Whether the ledger has decided before a process comes here.
    pub fn is_decided(self) -> bool {
        self >= Self::Judged
    }
}
