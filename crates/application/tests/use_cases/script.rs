//! The steps of one unit of work, on mocks that allow them once and in this order.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use mockall::Sequence;
use tokio::time::Instant;
use tranche_application::audit::record::EventRecord;
use tranche_application::idempotency::Claim;
use tranche_application::keys::ApiKey;
use tranche_application::mocks::{
    MockAuditLog, MockCredentialRepo, MockDisbursementRepo, MockIdempotencyRepo, MockMilestoneRepo,
    MockProjectRepo, MockUnitOfWork, MockWebhookRepo,
};
use tranche_application::ports::channels::NewChannel;
use tranche_application::ports::custody::{SealedSecret, SealedWallet};
use tranche_application::ports::monitor::{Fallback, Incident};
use tranche_application::ports::store::{
    AuditLog, BackOff, CredentialRepo, DisbursementRepo, IdempotencyRepo, LockedBooks,
    MilestoneRepo, ProjectRepo, StoreError,
};
use tranche_application::ports::webhooks::{Webhook, WebhookRepo};
use tranche_domain::disbursement::BurnOrder;
use tranche_domain::{BurnId, Change, Disbursement, DisbursementId, Milestone, Project, ProjectId};
use uuid::Uuid;

/// One call inside a unit of work, and what it answers.
pub enum Step {
    Claim(Result<Claim, StoreError>),
    Project(Option<Project>),
    Milestone(Option<Milestone>),
    LockBooks(Option<LockedBooks>),
    Record(Result<(), StoreError>),
    Bind,
    NoteSent(Result<(), StoreError>),
    Lease(Result<Option<DisbursementId>, StoreError>),
    KeepWallet(Result<(), StoreError>),
    KeepChannel(Result<(), StoreError>),
    ChannelsFunded(Result<(), StoreError>),
    KeepKey(Result<(), StoreError>),
    RevokeKey(bool),
    DisableWebhook(Result<bool, StoreError>),
    KeepWebhook(Result<(), StoreError>),
    ReplayWebhook(bool),
    PutWebhookSecret,
    Post(Result<(), StoreError>),
    Relay(Result<u64, StoreError>),
    BuryOldest(Result<Option<EventRecord>, StoreError>),
    Commit(Result<(), StoreError>),
}

/// What went through the ports.
#[derive(Default)]
pub struct Seen {
    pub begun: Vec<Instant>,
    pub changes: Vec<Change>,
    pub bound: Vec<Uuid>,
    pub noted: Vec<Disbursement>,
    pub locked: Vec<(ProjectId, Vec<DisbursementId>)>,
    pub leases: Vec<(DateTime<Utc>, BackOff)>,
    pub wallets: Vec<SealedWallet>,
    pub channels: Vec<NewChannel>,
    pub funded: Vec<(Vec<String>, DateTime<Utc>)>,
    pub keys: Vec<ApiKey>,
    pub revoked: Vec<(String, DateTime<Utc>)>,
    pub posted: Vec<EventRecord>,
    pub relayed: Vec<(u32, DateTime<Utc>)>,
    pub orders: Vec<BurnOrder>,
    pub sent: Vec<Vec<u8>>,
    pub outbid: Vec<(BurnId, u64)>,
    pub looked: Vec<(Option<u32>, Vec<String>)>,
    pub incidents: Vec<Incident>,
    pub fallbacks: Vec<Fallback>,
    pub buried: Vec<(Uuid, String)>,
    /// When and why webhooks were disabled.
    pub disabled: Vec<(DateTime<Utc>, String)>,
    /// Webhooks with what sealed their secrets.
    pub webhooks: Vec<(Webhook, SealedSecret)>,
    pub replayed: Vec<(Uuid, Option<i64>)>,
    /// New secrets of webhooks, from when on, and until when the former ones sign.
    pub secrets: Vec<(SealedSecret, DateTime<Utc>, DateTime<Utc>)>,
}

/// The repositories of one unit of work.
pub struct Script<'a> {
    seen: Arc<Mutex<Seen>>,
    order: &'a mut Sequence,
    work: MockUnitOfWork,
    projects: MockProjectRepo,
    milestones: MockMilestoneRepo,
    disbursements: MockDisbursementRepo,
    idempotency: MockIdempotencyRepo,
    credentials: MockCredentialRepo,
    audit: MockAuditLog,
    webhooks: MockWebhookRepo,
}

impl<'a> Script<'a> {
    /// What goes in is kept in `seen`.
    pub fn new(seen: Arc<Mutex<Seen>>, order: &'a mut Sequence) -> Self {
        Self {
            seen,
            order,
            work: MockUnitOfWork::new(),
            projects: MockProjectRepo::new(),
            milestones: MockMilestoneRepo::new(),
            disbursements: MockDisbursementRepo::new(),
            idempotency: MockIdempotencyRepo::new(),
            credentials: MockCredentialRepo::new(),
            audit: MockAuditLog::new(),
            webhooks: MockWebhookRepo::new(),
        }
    }

    /// The unit of work that these steps make.
    pub fn play(mut self, steps: impl IntoIterator<Item = Step>) -> MockUnitOfWork {
        for step in steps {
            self.step(step);
        }
        let mut work = self.work;
        work.expect_projects()
            .return_var(Box::new(self.projects) as Box<dyn ProjectRepo>);
        work.expect_milestones()
            .return_var(Box::new(self.milestones) as Box<dyn MilestoneRepo>);
        work.expect_disbursements()
            .return_var(Box::new(self.disbursements) as Box<dyn DisbursementRepo>);
        work.expect_idempotency()
            .return_var(Box::new(self.idempotency) as Box<dyn IdempotencyRepo>);
        work.expect_credentials()
            .return_var(Box::new(self.credentials) as Box<dyn CredentialRepo>);
        work.expect_audit()
            .return_var(Box::new(self.audit) as Box<dyn AuditLog>);
        work.expect_webhooks()
            .return_var(Box::new(self.webhooks) as Box<dyn WebhookRepo>);
        work
    }

    fn step(&mut self, step: Step) {
        let (order, seen) = (&mut *self.order, self.seen.clone());
        match step {
            Step::Claim(answer) => {
                self.idempotency
                    .expect_claim()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |_| answer);
            }
            Step::Project(answer) => {
                self.projects
                    .expect_lock()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |_| Ok(answer));
            }
            Step::Milestone(answer) => {
                self.milestones
                    .expect_lock()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |_| Ok(answer));
            }
            Step::LockBooks(answer) => {
                self.disbursements
                    .expect_lock_books()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |project, ids| {
                        seen.lock().unwrap().locked.push((project, ids.to_vec()));
                        Ok(answer)
                    });
            }
            Step::Record(answer) => {
                self.work
                    .expect_record()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |change| {
                        seen.lock().unwrap().changes.push(change.clone());
                        answer
                    });
            }
            Step::Bind => {
                self.idempotency
                    .expect_bind()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |_, made| {
                        seen.lock().unwrap().bound.push(made);
                        Ok(())
                    });
            }
            Step::NoteSent(answer) => {
                self.disbursements
                    .expect_note_sent()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |sent| {
                        seen.lock().unwrap().noted.push(sent.clone());
                        answer
                    });
            }
            Step::Commit(answer) => {
                self.work
                    .expect_commit()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move || answer);
            }
            other => self.side_step(other),
        }
    }

    fn side_step(&mut self, step: Step) {
        let (order, seen) = (&mut *self.order, self.seen.clone());
        match step {
            Step::Lease(answer) => {
                self.disbursements
                    .expect_lease_next()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |now, back_off| {
                        seen.lock().unwrap().leases.push((now, back_off));
                        answer
                    });
            }
            Step::KeepWallet(answer) => {
                self.credentials
                    .expect_keep_wallet()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |wallet| {
                        seen.lock().unwrap().wallets.push(wallet.clone());
                        answer
                    });
            }
            Step::KeepChannel(answer) => {
                self.credentials
                    .expect_keep_channel()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |channel| {
                        seen.lock().unwrap().channels.push(channel.clone());
                        answer
                    });
            }
            Step::ChannelsFunded(answer) => {
                self.credentials
                    .expect_channels_funded()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |accounts, at| {
                        seen.lock().unwrap().funded.push((accounts.to_vec(), at));
                        answer
                    });
            }
            Step::KeepKey(answer) => {
                self.credentials
                    .expect_keep_key()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |key| {
                        seen.lock().unwrap().keys.push(key.clone());
                        answer
                    });
            }
            Step::RevokeKey(answer) => {
                self.credentials
                    .expect_revoke_key()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |id, at| {
                        seen.lock().unwrap().revoked.push((id.to_owned(), at));
                        Ok(answer)
                    });
            }
            Step::Post(answer) => {
                self.audit
                    .expect_post()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |event| {
                        seen.lock().unwrap().posted.push(event.clone());
                        answer
                    });
            }
            Step::Relay(answer) => {
                self.audit
                    .expect_relay()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |limit, at| {
                        seen.lock().unwrap().relayed.push((limit, at));
                        answer
                    });
            }
            Step::BuryOldest(answer) => {
                self.audit
                    .expect_bury_oldest()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |letter, error, _| {
                        let buried = (letter, error.to_owned());
                        seen.lock().unwrap().buried.push(buried);
                        answer
                    });
            }
            other => self.webhook_step(other),
        }
    }

    fn webhook_step(&mut self, step: Step) {
        let (order, seen) = (&mut *self.order, self.seen.clone());
        match step {
            Step::DisableWebhook(answer) => {
                self.webhooks
                    .expect_disable_webhook()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |_, at, why| {
                        let disabled = (at, why.to_owned());
                        seen.lock().unwrap().disabled.push(disabled);
                        answer
                    });
            }
            Step::KeepWebhook(answer) => {
                self.webhooks
                    .expect_keep_webhook()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |webhook, secret| {
                        let kept = (webhook.clone(), secret.clone());
                        seen.lock().unwrap().webhooks.push(kept);
                        answer
                    });
            }
            Step::ReplayWebhook(answer) => {
                self.webhooks
                    .expect_replay_webhook()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |id, from| {
                        seen.lock().unwrap().replayed.push((id, from));
                        Ok(answer)
                    });
            }
            Step::PutWebhookSecret => {
                self.webhooks
                    .expect_put_webhook_secret()
                    .times(1)
                    .in_sequence(order)
                    .return_once(move |_, secret, now, former_until| {
                        let put = (secret.clone(), now, former_until);
                        seen.lock().unwrap().secrets.push(put);
                        Ok(())
                    });
            }
            _ => unreachable!("the other steps are above"),
        }
    }
}
