//! What each role may do, in one table.

use tranche_domain::Role;

/// Something that needs a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Read projects, milestones, disbursements and their timelines.
    Read,
    /// Open projects.
    OpenProjects,
    /// Create, edit, delete, submit and revise milestones.
    Manage,
    /// Approve and reject milestones.
    Approve,
    /// Record bank transfers and disburse.
    Disburse,
    /// Decide, two together, what the ledger's answers cannot.
    Resolve,
}

impl Permission {
    /// Every permission, for exhaustive tests.
    #[cfg(test)]
    pub const ALL: [Self; 6] = [
        Self::Read,
        Self::OpenProjects,
        Self::Manage,
        Self::Approve,
        Self::Disburse,
        Self::Resolve,
    ];

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
            Self::OpenProjects => &[Role::Admin],
            Self::Manage => &[Role::Manager],
            Self::Approve => &[Role::Approver],
            Self::Disburse => &[Role::Treasurer],
            Self::Resolve => &[Role::Treasurer, Role::Approver],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Permission;
    use tranche_domain::Role;

    /// The contract's sentence on roles, written out: rows are roles, columns permissions.
    #[test]
    fn each_role_may_do_what_the_contract_says_and_nothing_else() {
        let table = [
            (Role::Viewer, [true, false, false, false, false, false]),
            (Role::Manager, [true, false, true, false, false, false]),
            (Role::Approver, [true, false, false, true, false, true]),
            (Role::Treasurer, [true, false, false, false, true, true]),
            (Role::Auditor, [true, false, false, false, false, false]),
            (Role::Service, [false, false, false, false, false, false]),
            (Role::Admin, [true, true, false, false, false, false]),
        ];
        assert_eq!(table.len(), Role::ALL.len());
        for (role, expected) in table {
            let actual = Permission::ALL.map(|permission| permission.roles().contains(&role));
            assert_eq!(actual, expected, "{role}");
        }
    }
}
