//! What handlers stand on.

use std::sync::Arc;

use axum::extract::FromRef;
use tranche_application::Services;
use tranche_application::audit::intake::Intake;
use tranche_application::audit::monitoring::Monitoring;
use tranche_application::audit::reads::Reads;
use tranche_application::audit::retention::Retention;
use tranche_application::audit::searching::Searching;
use tranche_application::audit::sensitive::Sensitive;
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::audit::tree::public::PublicLog;
use tranche_application::daily::Daily;
use tranche_application::disbursement::Disbursements;
use tranche_application::keys::KeyRing;
use tranche_application::milestones::Milestones;
use tranche_application::ports::burner::LedgerBurner;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::queries::Queries;
use tranche_application::projects::Projects;
use tranche_application::reading::Reading;
use tranche_application::trails::Trails;
use tranche_application::webhooks::WebhookDesk;

use crate::auth::acquaintance::Acquaintances;
use crate::auth::known_keys::KnownKeys;
use crate::auth::oidc::Oidc;
use crate::copies::Copies;
use crate::metrics::Metrics;
use crate::rate_limit::RateLimits;
use crate::receivers::address::Reach;
use crate::streams::Streams;

/// The application as commands and HTTP see it; cheap to clone.
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
    /// Searches in the log.
    pub searching: Searching,
    /// Reads for the service itself.
    pub queries: Arc<dyn Queries>,
    /// The ledger, for readiness.
    pub burner: Arc<dyn LedgerBurner>,
    /// Seals and opens the sensitive parts of events.
    pub sensitive: Sensitive,
    /// Keeps the log's checkpoints.
    pub keeper: Keeper,
    /// Checks API keys.
    pub ring: KeyRing,
    /// Checks the tokens of an OIDC issuer, where one is set.
    pub oidc: Option<Arc<Oidc>>,
    /// Keeps who the issuer's subjects are.
    pub acquaintances: Acquaintances,
}

/// What tells how a process is: all that one which only works serves.
#[derive(Clone)]
pub struct Operations {
    /// Whether the store is ready.
    pub queries: Arc<dyn Queries>,
    /// The ledger, where this process uses it.
    pub burner: Option<Arc<dyn LedgerBurner>>,
    /// How the audit pipeline is.
    pub monitoring: Monitoring,
    /// Assessment trails, for their figures.
    pub trails: Trails,
    /// Figures of this process, for Prometheus.
    pub metrics: Arc<Metrics>,
    /// Request ids.
    pub entropy: Arc<dyn Entropy>,
}

/// Everything that is served over HTTP.
#[derive(Clone)]
pub struct Served {
    /// The application.
    pub app: App,
    /// How the process is.
    pub operations: Operations,
    /// The way in for other services' events.
    pub intake: Intake,
    /// Makes copies of the log.
    pub copies: Copies,
    /// The log as outsiders see it.
    pub public_log: PublicLog,
    /// Records who reads the log.
    pub reads: Reads,
    /// How long events are kept.
    pub retention: Retention,
    /// When a run begins by itself.
    pub retention_at: Daily,
    /// How much a credential may do.
    pub limits: Arc<RateLimits>,
    /// Event streams.
    pub streams: Streams,
    /// Webhooks.
    pub webhooks: WebhookDesk,
    /// Where webhooks may lead.
    pub reach: Reach,
    /// API keys that were in force of late.
    pub known_keys: Arc<KnownKeys>,
}

impl FromRef<Served> for App {
    fn from_ref(served: &Served) -> Self {
        served.app.clone()
    }
}

impl FromRef<Served> for Operations {
    fn from_ref(served: &Served) -> Self {
        served.operations.clone()
    }
}
