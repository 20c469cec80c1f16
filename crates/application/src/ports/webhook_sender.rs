//! The way to a webhook's receiver.

use std::time::Duration;

use async_trait::async_trait;

/// One attempt to tell of an event, as the Standard Webhooks specification has it.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Where to.
    pub url: &'a str,
    /// `webhook-id`: the event's id, the same at each attempt.
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970, of this attempt.
    pub timestamp: i64,
    /// `webhook-signature`: one or more, apart by a space.
    pub signatures: &'a str,
    /// JSON.
    pub body: &'a str,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx: the receiver has it.
    Taken,
    /// 410: the receiver wants no more.
    Gone,
    /// Anything else: why, without anything secret, and how long the receiver asks to wait.
    Failed {
        /// Why.
        why: String,
        /// What `Retry-After` says.
        retry_after: Option<Duration>,
    },
}

/// Posts to receivers. Ends within its own deadline, reads no more of an answer than it needs, and
/// reaches no address that it must not.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Tries once.
    async fn send(&self, delivery: Delivery<'_>) -> Answer;
}
