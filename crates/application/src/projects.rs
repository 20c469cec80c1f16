//! Opens projects, with the wallet whose tokens they burn, and deletes those that never had a milestone.

use std::sync::Arc;

use serde_json::json;
use thiserror::Error;
use tranche_domain::project::{HadMilestones, NewProject};
use tranche_domain::text::ProjectName;
use tranche_domain::{Action, Amount, Policy, Project, ProjectId, Write};

use crate::call::{Call, Outcome};
use crate::ports::burner::LedgerError;
use crate::ports::custody::{Custody, CustodyError, SealedWallet, SecretSeed};
use crate::ports::store::{Conflict, StoreError};
use crate::ports::wallets::WalletOpener;
use crate::services::{Claimed, Services, TRIES, bind, claim, may_retry};

/// The wallet of a new project.
#[derive(Clone, Debug)]
pub enum NewWallet {
    /// Its seed, to be sealed here.
    Seed(SecretSeed),
    /// An account whose key an external custodian holds.
    Held {
        /// The account.
        account_id: String,
        /// The custodian.
        custody: String,
    },
    /// One that the ledger opens and funds with the NAV: the sandbox only.
    Opened,
}

/// What opens a project.
#[derive(Clone, Debug)]
pub struct OpenProject {
    /// Its name.
    pub name: ProjectName,
    /// Its value.
    pub nav: Amount,
    /// How many LP tokens share it.
    pub lp_tokens_outstanding: Amount,
    /// Its wallet.
    pub wallet: NewWallet,
    /// The rules for its milestones.
    pub policy: Policy,
}

/// Why a project was not opened. Nothing changed.
/// Only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum OpenProjectError {
    /// This ledger opens no wallets: the project must bring its own.
    #[error("this ledger opens no wallets")]
    WalletRequired,
    /// The caller's key is for another project.
    #[error("the key is for one project only")]
    OutOfScope,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The custodian did not take the wallet.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger did not open a wallet.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a project was not deleted. Nothing changed.
/// Only [`StoreError::OutcomeUnknown`] leaves that open.
#[derive(Debug, Error)]
pub enum DeleteProjectError {
    /// There is no such project.
    #[error("there is no such project")]
    NotFound,
    /// The caller's key is for one project.
    #[error("the key is for one project only")]
    OutOfScope,
    /// It had a milestone once.
    #[error(transparent)]
    HadMilestones(#[from] HadMilestones),
    /// Somebody is told of its events.
    #[error("the project has webhooks: delete them first")]
    HasWebhooks,
    /// The caller has seen another version.
    #[error("the project is at version {current}")]
    VersionMismatch {
        /// The version that stands.
        current: i64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// The store did not do it.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for DeleteProjectError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Conflict::ProjectInUse) => Self::HasWebhooks,
            error => Self::Store(error),
        }
    }
}

/// The commands on projects.
#[derive(Clone)]
pub struct Projects {
    services: Services,
    custody: Arc<dyn Custody>,
    opener: Option<Arc<dyn WalletOpener>>,
}

impl Projects {
    /// Commands over these services; `opener` where the ledger opens wallets.
    #[must_use]
    pub fn new(
        services: Services,
        custody: Arc<dyn Custody>,
        opener: Option<Arc<dyn WalletOpener>>,
    ) -> Self {
        Self {
            services,
            custody,
            opener,
        }
    }

    /// Opens a project; its wallet's seed is sealed before it is kept.
    ///
    /// # Errors
    /// [`OpenProjectError`].
    pub async fn open(
        &self,
        new: OpenProject,
        call: &Call,
    ) -> Result<Outcome<Project>, OpenProjectError> {
        if call.caller.scope.is_some() {
            return Err(OpenProjectError::OutOfScope);
        }
        match self
            .services
            .asked_before(call.idempotency.as_ref())
            .await
            .inspect_err(|error| self.report(Action::ProjectCreated, error, call))?
        {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(OpenProjectError::KeyMisused),
        }
        let wallet = self.wallet(&new).await?;
        let mut tries = 1;
        loop {
            match self.keep(&new, &wallet, call).await {
                Err(OpenProjectError::Store(error)) if may_retry(&error) && tries < TRIES => {
                    tries += 1;
                }
                Err(OpenProjectError::Store(error)) => {
                    self.report(Action::ProjectCreated, &error, call);
                    return Err(error.into());
                }
                other => return other,
            }
        }
    }

    /// Deletes a project that never had a milestone, with its trails, and hands back what was there.
    /// Its wallet stays sealed as it is: tokens may lie there.
    ///
    /// # Errors
    /// [`DeleteProjectError`].
    pub async fn delete(
        &self,
        id: ProjectId,
        call: &Call,
    ) -> Result<Outcome<Project>, DeleteProjectError> {
        if call.caller.scope.is_some() {
            return Err(DeleteProjectError::OutOfScope);
        }
        let mut tries = 1;
        loop {
            match self.take_away(id, call).await {
                Err(DeleteProjectError::Store(error)) if may_retry(&error) && tries < TRIES => {
                    tries += 1;
                }
                Err(DeleteProjectError::Store(error)) => {
                    self.report(Action::ProjectDeleted, &error, call);
                    return Err(error.into());
                }
                other => return other,
            }
        }
    }

    async fn take_away(
        &self,
        id: ProjectId,
        call: &Call,
    ) -> Result<Outcome<Project>, DeleteProjectError> {
        let mut work = self.services.store.begin().await?;
        match claim(work.as_mut(), call.idempotency.as_ref()).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(DeleteProjectError::KeyMisused),
        }
        let project = work.projects().lock(id).await?;
        let project = project.ok_or(DeleteProjectError::NotFound)?;
        let current = project.version;
        if call.expected_version.is_some_and(|seen| seen != current) {
            return Err(DeleteProjectError::VersionMismatch { current });
        }
        let change = project
            .clone()
            .delete(&self.services.occasion(&call.caller))?;
        work.record(&change).await?;
        bind(work.as_mut(), call.idempotency.as_ref(), id.0).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(Outcome::Done(project))
    }

    fn report(&self, action: Action, error: &StoreError, call: &Call) {
        let context = json!({ "request_id": call.caller.origin.request_id });
        self.services
            .report_store(action.as_str(), false, error, context);
    }

    async fn wallet(&self, new: &OpenProject) -> Result<SealedWallet, OpenProjectError> {
        Ok(match &new.wallet {
            NewWallet::Seed(seed) => self.custody.seal(seed)?,
            NewWallet::Held {
                account_id,
                custody,
            } => self.custody.adopt(account_id, custody).await?,
            NewWallet::Opened => {
                let opener = self
                    .opener
                    .as_ref()
                    .ok_or(OpenProjectError::WalletRequired)?;
                self.custody.seal(&opener.open(new.nav).await?)?
            }
        })
    }

    async fn keep(
        &self,
        new: &OpenProject,
        wallet: &SealedWallet,
        call: &Call,
    ) -> Result<Outcome<Project>, OpenProjectError> {
        let mut work = self.services.store.begin().await?;
        match claim(work.as_mut(), call.idempotency.as_ref()).await? {
            Claimed::Ours => {}
            Claimed::Before(answered) => return Ok(Outcome::AlreadyApplied(answered)),
            Claimed::Misused => return Err(OpenProjectError::KeyMisused),
        }
        work.credentials().keep_wallet(wallet).await?;
        let change = Project::open(
            NewProject {
                id: ProjectId(self.services.entropy.id()),
                name: new.name.clone(),
                nav: new.nav,
                lp_tokens_outstanding: new.lp_tokens_outstanding,
                wallet_account_id: wallet.account_id.clone(),
                policy: new.policy,
            },
            &self.services.occasion(&call.caller),
        );
        work.record(&change).await?;
        let project = change
            .project()
            .map(Write::value)
            .cloned()
            .ok_or(StoreError::Conflict(Conflict::Stale))?;
        bind(work.as_mut(), call.idempotency.as_ref(), project.id.0).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(Outcome::Done(project))
    }
}
