//! What every handler stands on.

use std::sync::Arc;

use tranche_application::Services;
use tranche_application::disbursement::Disbursements;
use tranche_application::keys::KeyRing;
use tranche_application::milestones::Milestones;
use tranche_application::ports::burner::LedgerBurner;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::queries::Queries;
use tranche_application::projects::Projects;
use tranche_application::reading::Reading;

use crate::auth::oidc::Oidc;

/// The application as the HTTP surface sees it; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared services.
    pub services: Services,
    /// Commands on projects.
    pub projects: Projects,
    /// Commands on milestones.
    pub milestones: Milestones,
    /// The disbursement protocol.
    pub disbursements: Disbursements,
    /// Reads for a caller.
    pub reading: Reading,
    /// Reads for the service itself.
    pub queries: Arc<dyn Queries>,
    /// The ledger, for readiness.
    pub burner: Arc<dyn LedgerBurner>,
    /// Checks API keys.
    pub ring: KeyRing,
    /// Checks the tokens of an OIDC issuer, where one is set.
    pub oidc: Option<Arc<Oidc>>,
    /// Request ids.
    pub entropy: Arc<dyn Entropy>,
}
