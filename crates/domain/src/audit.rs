//! Audit events: what happened to what, by whom, from which status to which.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::actor::{Actor, Occasion, Origin};
use crate::ids::{EventId, MilestoneId, ProjectId};
use crate::milestone::MilestoneStatus;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident;)*) => {
        /// What Tranche itself does and records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// Every action, for exhaustive tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The action's name in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How grave the action is. A critical one and its event commit together or not at all.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

actions! {
    /// A project was opened.
    ProjectCreated = "project.created", Info;
    /// A project that never had a milestone was deleted, its trails with it.
    ProjectDeleted = "project.deleted", Warning;
    /// A milestone was drafted.
    MilestoneCreated = "milestone.created", Info;
    /// A draft was edited.
    MilestoneUpdated = "milestone.updated", Info;
    /// A draft was deleted.
    MilestoneDeleted = "milestone.deleted", Warning;
    /// A draft was handed in for approval.
    MilestoneSubmitted = "milestone.submitted", Info;
    /// A submitted milestone was turned down.
    MilestoneRejected = "milestone.rejected", Warning;
    /// A rejected milestone was taken back to draft.
    MilestoneRevised = "milestone.revised", Info;
    /// A submitted milestone was approved.
    MilestoneApproved = "milestone.approved", Critical;
    /// The bank transfer that pays a milestone was recorded.
    BankTransferRecorded = "milestone.bank_transfer_recorded", Critical;
    /// A milestone's burn is final and the books are settled.
    MilestoneDisbursed = "milestone.disbursed", Critical;
    /// A burn was signed and its amount reserved.
    DisbursementPrepared = "disbursement.prepared", Critical;
    /// A burn is proven never to happen; its reservation is released.
    DisbursementFailed = "disbursement.failed", Critical;
    /// The ledger's answers prove nothing; a person must look.
    DisbursementNeedsOperator = "disbursement.needs_operator", Critical;
    /// A further envelope was signed for the same place on the ledger.
    DisbursementReplaced = "disbursement.replaced", Critical;
    /// A person proposes how a disbursement ended that the ledger's answers cannot decide.
    DisbursementResolutionProposed = "disbursement.resolution_proposed", Critical;
    /// A channel account was made.
    ChannelCreated = "channel.created", Warning;
    /// A person lets the watch go on without ledgers that no node shows any more.
    LedgerGapAccepted = "ledger.gap_accepted", Warning;
    /// An API key was issued.
    KeyIssued = "key.issued", Warning;
    /// An API key was revoked.
    KeyRevoked = "key.revoked", Warning;
    /// Somebody read the log.
    AuditRead = "audit.read", Info;
    /// Somebody took a copy of the log, or of a part of it.
    AuditExported = "audit.exported", Warning;
    /// Audit events found no place in memory, on disk or in the log, and are lost; how many is told.
    AuditEventsLost = "audit.events_lost", Critical;
    /// A person lets the log go on from a database that contradicts a checkpoint that was kept.
    LogContradictionAccepted = "audit.contradiction_accepted", Critical;
    /// An event that was given up as a dead letter was put into the log after all.
    DeadLetterRedriven = "audit.dead_letter_redriven", Warning;
    /// A legal hold was placed on part of the log.
    RetentionHoldPlaced = "retention.hold_placed", Critical;
    /// A legal hold was lifted.
    RetentionHoldLifted = "retention.hold_lifted", Critical;
    /// A part of the log goes for good, and which: said, and in the tree, before it goes.
    RetentionExpiring = "retention.expiring", Critical;
    /// Old events were archived, and expired ones left; how many is told.
    RetentionRun = "retention.run", Warning;
    /// Somebody is told of events from now on.
    WebhookCreated = "webhook.created", Warning;
    /// Nobody is told there any more.
    WebhookDeleted = "webhook.deleted", Warning;
    /// A receiver that cannot be reached, or wants no more, is told nothing more.
    WebhookDisabled = "webhook.disabled", Warning;
    /// A webhook goes on, from where it stopped or from an earlier event.
    WebhookReplayed = "webhook.replayed", Warning;
    /// What is sent to a webhook is signed with a new secret.
    WebhookSecretRotated = "webhook.secret_rotated", Warning;
    /// A subject's key was erased, and what it sealed with it.
    SubjectErased = "subject.erased", Critical;
    /// A completed assessment trail was changed afterwards.
    TrailChanged = "trail.changed", Warning;
    /// Assessment trails past their time were deleted; how many is told.
    TrailsCleaned = "trails.cleaned", Info;
    /// Assessment trails are kept elsewhere from now on.
    TrailsBackendSwitched = "trails.backend_switched", Warning;
}

impl Action {
    /// The action of this name, if Tranche has one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == name)
    }

    /// Whether the act must not happen unless its event is in the log.
    #[must_use]
    pub const fn is_critical(self) -> bool {
        matches!(self.severity(), Severity::Critical)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How grave an event is; decides its path into the log and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Ordinary work.
    Info,
    /// Worth a second look.
    Warning,
    /// Money or duty; never without its event.
    Critical,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The severity of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }

    /// The severity's name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One value in an event: text for ids, times and money, a number for counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Nothing was there.
    Absent,
    /// A text.
    Text(String),
    /// A count.
    Count(i64),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Fact {
    /// The fact as a person would write it: money, ids, dates, names.
    pub fn text(value: impl fmt::Display) -> Self {
        Self::Text(value.to_string())
    }

    /// Like [`Fact::text`], or [`Fact::Absent`].
    pub fn maybe(value: Option<impl fmt::Display>) -> Self {
        value.map_or(Self::Absent, Self::text)
    }
}

/// One field before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Before.
    pub from: Fact,
    /// After.
    pub to: Fact,
}

/// What kind of thing an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A project.
    Project,
    /// A milestone.
    Milestone,
    /// A disbursement.
    Disbursement,
    /// A channel account.
    Channel,
    /// A ledger, as it is watched.
    Ledger,
    /// An API key.
    Key,
    /// The audit log itself.
    AuditLog,
    /// A part of the audit log: one severity's events of one month.
    AuditPart,
    /// A legal hold on part of the audit log.
    RetentionHold,
    /// A webhook.
    Webhook,
    /// The key under which a subject's data is sealed.
    SubjectKey,
    /// An assessment trail, or all of them.
    AssessmentTrail,
}

impl Resource {
    /// The resource type's name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Milestone => "milestone",
            Self::Disbursement => "disbursement",
            Self::Channel => "channel",
            Self::Ledger => "ledger",
            Self::Key => "key",
            Self::AuditLog => "audit_log",
            Self::AuditPart => "audit_part",
            Self::RetentionHold => "retention_hold",
            Self::Webhook => "webhook",
            Self::SubjectKey => "subject_key",
            Self::AssessmentTrail => "assessment_trail",
        }
    }
}

/// What happened: the evidence for one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Names the event.
    pub id: EventId,
    /// Hides the body behind its hash.
    pub salt: [u8; 16],
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What was done.
    pub action: Action,
    /// By whom.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// In which project.
    pub project_id: Option<ProjectId>,
    /// To which milestone.
    pub milestone_id: Option<MilestoneId>,
    /// What kind of thing it was done to.
    pub resource: Resource,
    /// Which one.
    pub resource_id: String,
    /// The milestone's status before.
    pub previous_status: Option<MilestoneStatus>,
    /// The milestone's status after.
    pub new_status: Option<MilestoneStatus>,
    /// The fields that changed.
    pub changes: BTreeMap<&'static str, FieldChange>,
    /// What else a reader needs to know.
    pub metadata: BTreeMap<&'static str, Fact>,
}

impl AuditEvent {
    /// The event of an act on a resource; the rest is added with the methods below.
    #[must_use]
    pub fn new(
        action: Action,
        resource: Resource,
        id: impl fmt::Display,
        occasion: &Occasion,
    ) -> Self {
        Self {
            id: occasion.event_id,
            salt: occasion.salt,
            occurred_at: occasion.at,
            action,
            actor: occasion.by.clone(),
            origin: occasion.origin.clone(),
            project_id: None,
            milestone_id: None,
            resource,
            resource_id: id.to_string(),
            previous_status: None,
            new_status: None,
            changes: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// Places the event in a project.
    #[must_use]
    pub fn in_project(mut self, id: ProjectId) -> Self {
        self.project_id = Some(id);
        self
    }

    /// Places the event on a milestone that went from one status to another.
    #[must_use]
    pub fn on_milestone(
        mut self,
        id: MilestoneId,
        from: Option<MilestoneStatus>,
        to: Option<MilestoneStatus>,
    ) -> Self {
        self.milestone_id = Some(id);
        (self.previous_status, self.new_status) = (from, to);
        self
    }

    /// Adds a field that changed; one that did not is left out.
    #[must_use]
    pub fn change(mut self, field: &'static str, from: Fact, to: Fact) -> Self {
        if from != to {
            self.changes.insert(field, FieldChange { from, to });
        }
        self
    }

    /// Adds what a reader needs to know.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: Fact) -> Self {
        self.metadata.insert(name, fact);
        self
    }
}
