//! Mocks of every port, for tests of what stands on them.

pub use crate::ports::alerts::MockAlertSink;
pub use crate::ports::audit_store::MockAuditStore;
pub use crate::ports::books::MockBooks;
pub use crate::ports::burner::MockLedgerBurner;
pub use crate::ports::channels::{MockChannelFunder, MockChannels};
pub use crate::ports::clock::MockClock;
pub use crate::ports::custody::{MockCustody, MockSealedSecrets, MockSealedWallets};
pub use crate::ports::dead_letters::MockDeadLetters;
pub use crate::ports::entropy::MockEntropy;
pub use crate::ports::event_archive::{MockArchiveWriter, MockEventArchive};
pub use crate::ports::kept::MockKeptCheckpoints;
pub use crate::ports::monitor::MockMonitor;
pub use crate::ports::queries::MockQueries;
pub use crate::ports::queue::MockAuditQueue;
pub use crate::ports::reports::MockReports;
pub use crate::ports::retention::{MockHoldRepo, MockRetentionStore};
pub use crate::ports::store::{
    MockAuditLog, MockCredentialRepo, MockDisbursementRepo, MockIdempotencyRepo, MockMilestoneRepo,
    MockProjectRepo, MockStore, MockUnitOfWork,
};
pub use crate::ports::subject_keys::MockSubjectKeys;
pub use crate::ports::trails::{MockTrailCleanUps, MockTrailStore};
pub use crate::ports::wallets::MockWalletOpener;
pub use crate::ports::webhooks::MockWebhookRepo;
