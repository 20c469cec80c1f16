//! API keys: who may call, in which roles, for which project. Only a key's hash is ever kept.

pub mod log_key;
pub mod pepper;

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact, ProjectId, Role};
use zeroize::Zeroizing;

use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::ports::store::StoreError;
use crate::services::Services;

/// An API key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part, by which it is found and named.
    pub id: String,
    /// Who it speaks for.
    pub subject: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The only project it may see, or all.
    pub project_id: Option<ProjectId>,
    /// HMAC-SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// Requests allowed, such as `5000/h`; the default limits where absent.
    pub rate_limit: Option<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Turns a key's secret into the hash that is kept, under a pepper that the database holds sealed
/// only.
#[derive(Clone)]
pub struct KeyRing {
    pepper: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

/// A key in clear, on its only way out.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// The token, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What every token begins with, so that a leaked one is recognised.
const PREFIX: &str = "trk_";

impl KeyRing {
    /// A key ring with this pepper.
    #[must_use]
    pub fn new(pepper: impl Into<Zeroizing<[u8; 32]>>) -> Self {
        Self {
            pepper: pepper.into(),
        }
    }

    /// The id in a token, if it has a token's form.
    #[must_use]
    pub fn id_of(token: &str) -> Option<&str> {
        let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (id.len() == 16 && secret.len() == 64 && hex(id) && hex(secret)).then_some(id)
    }

    /// Whether the token is this key's, in constant time.
    #[must_use]
    pub fn opens(&self, token: &str, key: &ApiKey) -> bool {
        self.hash(token).ct_eq(&key.hash).into()
    }

    /// A key for another purpose, which tells nothing of the pepper or of one for yet another. No
    /// purpose begins as a token does.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(keyed_hash(
            &self.pepper,
            format!("key for {purpose}").as_bytes(),
        ))
    }

    /// The name under which a subject's key is kept: who has the database alone cannot tell whose it
    /// is.
    #[must_use]
    pub fn subject_hash(&self, subject: &str) -> [u8; 32] {
        keyed_hash(&self.key_for("audit subjects"), subject.as_bytes())
    }

    fn token(id: &str, secret: &[u8; 32]) -> Token {
        Token(Zeroizing::new(format!(
            "{PREFIX}{id}_{}",
            hex::encode(secret)
        )))
    }

    fn hash(&self, token: &str) -> [u8; 32] {
        keyed_hash(&self.pepper, token.as_bytes())
    }
}

/// HMAC-SHA-256.
#[must_use]
pub fn keyed_hash(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // HMAC pads a short key with zeros up to the hash's block.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// What issues a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueKey {
    /// Who it speaks for.
    pub subject: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The only project it may see, or all.
    pub project_id: Option<ProjectId>,
    /// Requests allowed, such as `5000/h`.
    pub rate_limit: Option<String>,
}

/// The commands on API keys.
#[derive(Clone)]
pub struct Keys {
    services: Services,
    ring: KeyRing,
}

impl Keys {
    /// Commands over these services and this key ring.
    #[must_use]
    pub const fn new(services: Services, ring: KeyRing) -> Self {
        Self { services, ring }
    }

    /// Issues a key. The token is returned and nowhere kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issue(&self, new: IssueKey, caller: &Caller) -> Result<Token, StoreError> {
        let occasion = self.services.occasion(caller);
        let secret = Zeroizing::new(self.services.entropy.secret());
        let id = hex::encode(&self.services.entropy.salt()[..8]);
        let token = KeyRing::token(&id, &secret);
        let roles: Vec<&str> = new.roles.iter().map(|role| role.as_str()).collect();
        let mut event = AuditEvent::new(Action::KeyIssued, Resource::Key, &id, &occasion)
            .with("subject", Fact::text(&new.subject))
            .with("roles", Fact::text(roles.join(",")));
        event.project_id = new.project_id;
        let key = ApiKey {
            id,
            subject: new.subject,
            roles: new.roles,
            project_id: new.project_id,
            hash: self.ring.hash(token.expose()),
            rate_limit: new.rate_limit,
            created_at: occasion.at,
            revoked_at: None,
        };
        let mut work = self.services.store.begin().await?;
        work.credentials().keep_key(&key).await?;
        work.audit().post(&EventRecord::from(&event)).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(token)
    }

    /// Revokes a key; `false` when no such key is in force.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke(&self, id: &str, caller: &Caller) -> Result<bool, StoreError> {
        let occasion = self.services.occasion(caller);
        let mut work = self.services.store.begin().await?;
        if !work.credentials().revoke_key(id, occasion.at).await? {
            return Ok(false);
        }
        let event = AuditEvent::new(Action::KeyRevoked, Resource::Key, id, &occasion);
        work.audit().post(&EventRecord::from(&event)).await?;
        work.commit().await?;
        self.services.outbox.notify_one();
        Ok(true)
    }
}
