//! What became of events that were sent.

use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::FieldError;

/// What became of the entries of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct IngestedView {
    /// How many are on a disk: `stored` and `queued` together.
    #[schema(minimum = 0, maximum = 1000)]
    pub accepted: usize,
    /// How many are in the log.
    #[schema(minimum = 0, maximum = 1000)]
    pub stored: usize,
    /// How many will be in the log soon.
    #[schema(minimum = 0, maximum = 1000)]
    pub queued: usize,
    /// Those that were not accepted, in the order in which they were sent.
    pub rejected: Vec<RejectedView>,
}

/// An entry that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedView {
    /// Its place among the entries, from 0.
    #[schema(minimum = 0, maximum = 999)]
    pub index: usize,
    /// What is wrong with it; `entry` is the entry as a whole.
    pub errors: Vec<FieldError>,
}
