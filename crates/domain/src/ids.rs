//! Identifiers: version 7 UUIDs made outside the domain, one type for each thing they name. Only a
//! message's is not ours: whoever holds the conversation makes it, in any version.

use std::fmt;

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Names a project.
    ProjectId
}
id! {
    /// Names a milestone.
    MilestoneId
}
id! {
    /// Names a disbursement: one order to burn for one milestone.
    DisbursementId
}
id! {
    /// Names an audit event. Version 7, so ids sort by time and choose the event's partition.
    EventId
}
id! {
    /// Names a message of a language model, and so its trail. A UUID of any version.
    MessageId
}
