//! The pool of channel accounts: made, kept and funded, in this order, so that a crash leaves no
//! account whose key nobody has. What a crash left unfunded is funded by the next call.

use std::sync::Arc;

use thiserror::Error;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent};

use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::ports::burner::LedgerError;
use crate::ports::channels::{ChannelFunder, Channels, NewChannel};
use crate::ports::custody::{Custody, CustodyError};
use crate::ports::store::StoreError;
use crate::services::Services;

/// How many accounts one transaction of the ledger opens at most.
const TOGETHER: usize = 100;

/// Why the pool did not grow. What was made stays, and the next call goes on with it.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// A seed could not be sealed.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger did not open the accounts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store did not keep them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The pool of one network.
pub struct ChannelPool {
    services: Services,
    channels: Arc<dyn Channels>,
    custody: Arc<dyn Custody>,
    funder: Arc<dyn ChannelFunder>,
    network: String,
}

impl ChannelPool {
    /// The pool of this network.
    #[must_use]
    pub const fn new(
        services: Services,
        channels: Arc<dyn Channels>,
        custody: Arc<dyn Custody>,
        funder: Arc<dyn ChannelFunder>,
        network: String,
    ) -> Self {
        Self {
            services,
            channels,
            custody,
            funder,
            network,
        }
    }

    /// Makes `count` more channel accounts and funds every one that is not; says how many are
    /// funded after each step. Returns how many were funded. Each call makes that many more: to go
    /// on after a failure, ask for none.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn grow(
        &self,
        count: usize,
        caller: &Caller,
        mut progress: impl FnMut(usize, usize) + Send,
    ) -> Result<usize, ChannelError> {
        self.draw(count, caller).await?;
        let channels = self.channels.channels(&self.network).await?;
        let unfunded: Vec<String> = channels
            .into_iter()
            .filter(|channel| channel.funded_at.is_none())
            .map(|channel| channel.account_id)
            .collect();
        let mut funded = 0;
        for together in unfunded.chunks(TOGETHER) {
            self.funder.fund(together).await?;
            let mut work = self.services.store.begin().await?;
            let now = self.services.clock.now();
            work.credentials().channels_funded(together, now).await?;
            work.commit().await?;
            funded += together.len();
            progress(funded, unfunded.len());
        }
        Ok(funded)
    }

    /// Draws and keeps new accounts, all or none.
    async fn draw(&self, count: usize, caller: &Caller) -> Result<(), ChannelError> {
        let mut work = self.services.store.begin().await?;
        for _ in 0..count {
            let sealed = self.custody.seal(&self.funder.draw())?;
            let occasion = self.services.occasion(caller);
            let event = AuditEvent::new(
                Action::ChannelCreated,
                Resource::Channel,
                &sealed.account_id,
                &occasion,
            );
            let channel = NewChannel {
                network: self.network.clone(),
                account_id: sealed.account_id.clone(),
                created_at: occasion.at,
            };
            work.credentials().keep_wallet(&sealed).await?;
            work.credentials().keep_channel(&channel).await?;
            work.audit().post(&EventRecord::from(&event)).await?;
        }
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(())
    }
}
