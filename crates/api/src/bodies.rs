//! What callers send, as the API reference shows it and as our own client sends it. Reading is
//! stricter and names every flaw: [`crate::form`].

mod retention;
mod trails;

use serde::Serialize;
use utoipa::ToSchema;

pub use retention::{HoldBody, LiftHoldBody, RetentionRunBody};
pub use trails::{TrailBackendBody, TrailBatchBody, TrailBody, TrailPatchBody};

/// Opens a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenProjectBody {
    /// 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Net asset value: a decimal string, more than zero.
    #[schema(pattern = r"^\d+(\.\d{1,7})?$", example = "5000000.0000000")]
    pub nav: String,
    /// A decimal string; with none outstanding nothing can be disbursed.
    #[schema(pattern = r"^\d+(\.\d{1,7})?$", example = "1000000.0000000")]
    pub lp_tokens_outstanding: String,
    /// The wallet whose tokens are burned. Without one, the sandbox ledger opens one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<WalletBody>,
    /// Whoever submitted may not approve, whoever approved may not disburse; true if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker_checker: Option<bool>,
    /// `exact_transfer` (if absent) or `any_amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burn_policy: Option<String>,
}

/// A wallet: its seed, or an account whose key a custodian holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletBody {
    /// `S…`; sealed at once and never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub secret_seed: Option<String>,
    /// `G…`, with `custody`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The custodian's name: `vault`, or `vault:KEY` where its key is not named by the account id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custody: Option<String>,
}

/// Drafts a milestone.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreateMilestoneBody {
    /// Its place in the project, unique there.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub number: i32,
    /// 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub title: String,
    /// At most 5,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 5000)]
    pub description: Option<String>,
    /// A decimal string, more than zero.
    #[schema(pattern = r"^\d+(\.\d{1,7})?$", example = "1250000.0000000")]
    pub target_amount: String,
}

/// Edits a draft; what is absent stays.
#[derive(Debug, Serialize, ToSchema)]
pub struct EditMilestoneBody {
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub title: Option<String>,
    /// At most 5,000 characters, or null for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 5000)]
    pub description: Option<String>,
    /// A decimal string, more than zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^\d+(\.\d{1,7})?$")]
    pub target_amount: Option<String>,
}

/// Turns a milestone down.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectBody {
    /// 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// Records a bank transfer.
#[derive(Debug, Serialize, ToSchema)]
pub struct BankTransferBody {
    /// The bank's reference, used once in a project; 1 to 140 characters.
    #[schema(min_length = 1, max_length = 140)]
    pub reference: String,
    /// A decimal string, more than zero.
    #[schema(pattern = r"^\d+(\.\d{1,7})?$")]
    pub amount: String,
    /// The day of the transfer, not before 2000 and not in the future.
    #[schema(format = Date, example = "2026-11-20")]
    pub date: String,
    /// At most 2,000 characters; those of a former recording stay if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub notes: Option<String>,
}

/// Orders a disbursement.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct DisburseBody {
    /// A decimal string; the recorded transfer's amount if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^\d+(\.\d{1,7})?$")]
    pub amount: Option<String>,
}

/// One person's judgement on a disbursement that the ledger's answers cannot decide.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolutionBody {
    /// `burned` or `failed`.
    #[schema(pattern = "^(burned|failed)$")]
    pub judgement: String,
    /// With `burned`: the transaction that burned, one of the disbursement's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_hash: Option<String>,
    /// With `burned`: the ledger that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<u32>,
    /// How you know; 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub why: String,
}

/// A command that needs no more than its address: `{}` or nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmptyBody {}

/// Events of another service.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct IngestBody {
    /// 1 to 1,000 events.
    #[schema(min_items = 1, max_items = 500)]
    pub entries: Vec<IncomingEventBody>,
}

/// An event of another service.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct IncomingEventBody {
    /// A version 7 UUID made within a day of now; it makes the event safe to send again. Made here if
    /// absent.
    pub id: Option<uuid::Uuid>,
    /// At most 7 days ago and 5 minutes ahead; now if absent.
    #[schema(format = DateTime, example = "2026-11-21T09:30:00.000000Z")]
    pub occurred_at: Option<String>,
    /// What was done; 1 to 200 characters on one line.
    #[schema(min_length = 1, max_length = 200, example = "invoice.sent")]
    pub action: String,
    /// Who did it; the sender if absent. 1 to 200 characters on one line.
    #[schema(min_length = 1, max_length = 200)]
    pub actor_id: Option<String>,
    /// What kind of thing it was done to; 1 to 200 characters on one line.
    #[schema(min_length = 1, max_length = 200, example = "invoice")]
    pub resource_type: String,
    /// Which one; 1 to 500 characters on one line, and at most 1,600 bytes.
    #[schema(min_length = 1, max_length = 500)]
    pub resource_id: Option<String>,
    /// In which project; with a key for one project, that one, also if absent.
    pub project_id: Option<uuid::Uuid>,
    /// The address of whoever did it.
    #[schema(max_length = 45, example = "192.0.2.7")]
    pub ip_address: Option<String>,
    /// Their program; 1 to 512 characters on one line.
    #[schema(min_length = 1, max_length = 512)]
    pub user_agent: Option<String>,
    /// What else there is to know: any object of at most 65,536 bytes without white space and 32
    /// levels, with no number beyond ±9,007,199,254,740,991 and no field twice.
    #[schema(value_type = Option<Object>)]
    pub details: Option<serde_json::Value>,
    /// `info`, `warning` or `critical`; if absent, that of Tranche's own action of this name, else
    /// `info`.
    #[schema(pattern = "^(info|warning|critical)$")]
    pub severity: Option<String>,
}

/// A webhook to be made.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct WebhookBody {
    /// Where events are posted: https, or http to this machine.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "https://receiver.example/hook"
    )]
    pub url: String,
    /// What it is for; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub description: Option<String>,
    /// Which events; all if absent.
    pub filter: Option<WebhookFilterBody>,
}

/// Conditions that an event must all meet.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct WebhookFilterBody {
    /// `info`, `warning`, `critical`.
    #[schema(max_items = 3)]
    pub severity: Option<Vec<String>>,
    /// Actions.
    #[schema(max_items = 50)]
    pub action: Option<Vec<String>>,
    /// Who did it.
    #[schema(max_items = 50)]
    pub actor: Option<Vec<String>>,
    /// Kinds of thing.
    #[schema(max_items = 50)]
    pub resource_type: Option<Vec<String>>,
    /// Which thing.
    #[schema(min_length = 1, max_length = 500)]
    pub resource_id: Option<String>,
    /// In which project.
    pub project_id: Option<uuid::Uuid>,
    /// To which milestone.
    pub milestone_id: Option<uuid::Uuid>,
    /// A text somewhere in it.
    #[schema(min_length = 1, max_length = 200)]
    pub q: Option<String>,
    /// What its details contain.
    #[schema(value_type = Option<Object>)]
    pub details: Option<serde_json::Value>,
}

/// From where a webhook goes on.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct ReplayBody {
    /// The leaf index of the first event; where it stood if absent.
    #[schema(minimum = 0)]
    pub from: Option<i64>,
}

/// Erases what is sealed of a subject.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureBody {
    /// The subject's id: an actor's, or what a configured path names.
    #[schema(min_length = 1, max_length = 500)]
    pub subject: String,
    /// Why; kept in the log for good, so it should name nobody.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
    /// Only tell what it would be about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}
