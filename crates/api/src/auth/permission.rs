//! What each role may do, in one table.

use tranche_domain::Role;

/// Something that needs a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Read projects, milestones, disbursements and their timelines.
    Read,
    /// Open projects, and delete those that never had a milestone.
    OpenProjects,
    /// Create, edit, delete, submit and revise milestones.
    Manage,
    /// Approve and reject milestones.
    Approve,
    /// Record bank transfers and disburse.
    Disburse,
    /// Decide, two together, what the ledger's answers cannot.
    Resolve,
    /// Send audit events from another service.
    Ingest,
    /// See how the audit pipeline is.
    Monitor,
    /// Archive and expire old audit events, and place and lift legal holds.
    Retain,
    /// Search the audit log, follow it, copy it.
    ReadAudit,
    /// Say who is told of events.
    Webhooks,
    /// See what is sealed in audit events.
    Unseal,
    /// Erase what is sealed of a subject.
    Erase,
    /// Put and change assessment trails.
    WriteTrails,
    /// Read assessment trails and what they cost.
    ReadTrails,
    /// Say where assessment trails are kept, and move them there.
    KeepTrails,
}

impl Permission {
    /// The roles that have it. `Admin` keeps the house but moves no money: duties stay separate.
    #[must_use]
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Read => &[
                Role::Viewer,
                Role::Manager,
                Role::Approver,
                Role::Treasurer,
                Role::Auditor,
                Role::Admin,
            ],
            Self::OpenProjects | Self::Retain | Self::Webhooks | Self::Erase | Self::KeepTrails => {
                &[Role::Admin]
            }
            Self::WriteTrails => &[Role::Service, Role::Manager],
            Self::ReadTrails => &[
                Role::Viewer,
                Role::Manager,
                Role::Approver,
                Role::Treasurer,
                Role::Auditor,
                Role::Service,
                Role::Admin,
            ],
            Self::Manage => &[Role::Manager],
            Self::Approve => &[Role::Approver],
            Self::Disburse => &[Role::Treasurer],
            Self::Resolve => &[Role::Treasurer, Role::Approver],
            Self::Ingest => &[Role::Service],
            Self::Monitor | Self::ReadAudit | Self::Unseal => &[Role::Auditor, Role::Admin],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Permission;
    use tranche_domain::Role;

    const NAMES: [(Permission, &str); 16] = [
        (Permission::Read, "read"),
        (Permission::OpenProjects, "open_projects"),
        (Permission::Manage, "manage"),
        (Permission::Approve, "approve"),
        (Permission::Disburse, "disburse"),
        (Permission::Resolve, "resolve"),
        (Permission::Ingest, "ingest"),
        (Permission::Monitor, "monitor"),
        (Permission::Retain, "retain"),
        (Permission::ReadAudit, "read_audit"),
        (Permission::Webhooks, "webhooks"),
        (Permission::Unseal, "unseal"),
        (Permission::Erase, "erase"),
        (Permission::WriteTrails, "write_trails"),
        (Permission::ReadTrails, "read_trails"),
        (Permission::KeepTrails, "keep_trails"),
    ];

    /// The contract's sentence on roles, written out.
    #[test]
    fn each_role_may_do_what_the_contract_says_and_nothing_else() {
        let table = [
            (Role::Viewer, "read read_trails"),
            (Role::Manager, "read manage write_trails read_trails"),
            (Role::Approver, "read approve resolve read_trails"),
            (Role::Treasurer, "read disburse resolve read_trails"),
            (Role::Auditor, "read monitor read_audit unseal read_trails"),
            (Role::Service, "ingest write_trails read_trails"),
            (
                Role::Admin,
                "read open_projects monitor retain read_audit webhooks unseal erase read_trails keep_trails",
            ),
        ];
        assert_eq!(table.len(), Role::ALL.len());
        for (role, expected) in table {
            let may = |permission: &&(Permission, _)| permission.0.roles().contains(&role);
            let actual: Vec<&str> = NAMES.iter().filter(may).map(|named| named.1).collect();
            assert_eq!(actual.join(" "), expected, "{role}");
        }
    }
}
