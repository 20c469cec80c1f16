//! Events of the log as files.
//!
//! Both formats have the same columns in the same order: those of the store, without the salt, which
//! only a proof needs.

pub mod csv;
pub mod parquet;

/// The columns, in order.
pub const COLUMNS: [&str; 20] = [
    "id",
    "occurred_at",
    "recorded_at",
    "severity",
    "action",
    "actor_id",
    "actor_role",
    "project_id",
    "milestone_id",
    "resource_type",
    "resource_id",
    "previous_status",
    "new_status",
    "changes",
    "metadata",
    "details",
    "ip_address",
    "user_agent",
    "request_id",
    "leaf_index",
];
