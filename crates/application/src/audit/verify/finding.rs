//! What a verification finds: in words for people, and with names that stay for programs.

use std::fmt;
use std::ops::Range;

use uuid::Uuid;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What kind of thing is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in reports, which stays.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// A row's columns give another leaf than the one kept: row or leaf was altered.
    RowAltered = "row_altered";
    /// A column does not hold what the application writes.
    RowUnreadable = "row_unreadable";
    /// Several rows bear one id.
    RowDoubled = "row_doubled";
    /// A row has neither a leaf nor one that waits: it was put in behind.
    RowWithoutLeaf = "row_without_leaf";
    /// A leaf has no row, and its row did not expire: it was deleted.
    LeafWithoutRow = "leaf_without_row";
    /// A row is gone as if it had expired, before its time.
    ExpiredEarly = "expired_early";
    /// A part of the log is said to have expired, and no event in the tree said so before.
    ExpiredUnannounced = "expired_unannounced";
    /// A row's key is none.
    RowWithoutKey = "row_without_key";
    /// An event has several leaves.
    LeafDoubled = "leaf_doubled";
    /// What is kept as a leaf is no hash.
    LeafMalformed = "leaf_malformed";
    /// What waits repeats its event wrongly.
    PendingAltered = "pending_altered";
    /// Places in the tree are empty.
    LeafGap = "leaf_gap";
    /// The record that stands for an expired row is not what the leaf is the hash of.
    RecordAltered = "record_altered";
    /// A hash above the leaves is not what they give.
    NodeAltered = "node_altered";
    /// A hash above the leaves is missing.
    NodeMissing = "node_missing";
    /// A hash is kept above leaves that there are not.
    NodeExcess = "node_excess";
    /// Nothing was ever signed.
    CheckpointMissing = "checkpoint_missing";
    /// A checkpoint is not written as one, or its row says something else than its note.
    CheckpointMalformed = "checkpoint_malformed";
    /// A checkpoint is not signed by the key that was given.
    CheckpointNotSigned = "checkpoint_not_signed";
    /// A checkpoint states another root than the leaves give: something before it was altered.
    CheckpointDiffers = "checkpoint_differs";
    /// A checkpoint states more leaves than there are: the end was cut off.
    CheckpointBeyond = "checkpoint_beyond";
    /// The roll-ups are not what a recount gives.
    RollUpDiffers = "roll_up_differs";
    /// A milestone's version has no event.
    VersionWithoutEvent = "version_without_event";
    /// A milestone's event has no version.
    EventWithoutVersion = "event_without_version";
    /// One event stands for several versions.
    EventOfSeveralVersions = "event_of_several_versions";
    /// A settled burn has no event, or several.
    BurnWithoutEvent = "burn_without_event";
    /// An event tells of a burn that the books do not have.
    EventWithoutBurn = "event_without_burn";
    /// A burn's memo is not the leaf of the event that prepared it.
    MemoIsNotTheLeaf = "memo_is_not_the_leaf";
    /// A line of an export is none.
    LineMalformed = "line_malformed";
    /// A line of an export is missing, or is not in its place.
    LineMisplaced = "line_misplaced";
    /// An export breaks off.
    ExportCutOff = "export_cut_off";
    /// What an export says of itself does not fit its lines.
    ExportMiscounted = "export_miscounted";
    /// A file of expired events is not the one that its manifest tells of.
    FileAltered = "file_altered";
    /// No event in the tree says that expired events went into this file.
    FileUnannounced = "file_unannounced";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of which kind.
    pub kind: Kind,
    /// The event, where it is known.
    pub event_id: Option<Uuid>,
    /// Its place in the tree, where it is known; of places, all of them.
    pub leaves: Option<Range<u64>>,
    /// What differs, in words.
    pub what: String,
}

impl Finding {
    /// A finding that names neither event nor place.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            event_id: None,
            leaves: None,
            what: what.into(),
        }
    }

    /// About this event.
    #[must_use]
    pub const fn of(mut self, event: Uuid) -> Self {
        self.event_id = Some(event);
        self
    }

    /// About this place in the tree.
    #[must_use]
    pub fn at(self, index: Option<u64>) -> Self {
        match index {
            Some(index) => self.between(index..index.saturating_add(1)),
            None => self,
        }
    }

    /// About these places in the tree.
    #[must_use]
    pub fn between(mut self, leaves: Range<u64>) -> Self {
        self.leaves = Some(leaves);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(id) = self.event_id {
            write!(f, " event {id}")?;
        }
        match &self.leaves {
            Some(leaves) if leaves.end == leaves.start + 1 => write!(f, " leaf {}", leaves.start)?,
            Some(leaves) => write!(
                f,
                " leaves {} to {}",
                leaves.start,
                leaves.end.saturating_sub(1)
            )?,
            None => {}
        }
        write!(f, ": {}", self.what)
    }
}
