//! Ids and randomness.

use uuid::Uuid;

/// Everything that must be new or unguessable, injected so that tests own it.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Entropy: Send + Sync {
    /// A fresh version 7 UUID.
    fn id(&self) -> Uuid;

    /// Sixteen random bytes: the salt of an audit event.
    fn salt(&self) -> [u8; 16];

    /// Thirty-two random bytes: an API key's secret.
    fn secret(&self) -> [u8; 32];
}
