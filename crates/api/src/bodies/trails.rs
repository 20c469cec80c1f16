//! Bodies about assessment trails.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The whole content of a trail; what is absent is not known yet. With model, tokens and cost it is
/// completed.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct TrailBody {
    /// When the message was, at most a minute ahead; now if absent. Never changes.
    #[schema(format = DateTime, example = "2026-11-21T09:30:00.000000Z")]
    pub created_at: Option<String>,
    /// The model that answered; 1 to 128 characters on one line.
    #[schema(min_length = 1, max_length = 128, example = "assessor-2")]
    pub model: Option<String>,
    /// How it came to its answer: any list, object or string of at most 262,144 bytes without white space and
    /// 32 levels, with no number beyond ±9,007,199,254,740,991 and no field twice.
    pub reasoning_traces: Option<serde_json::Value>,
    /// What it was given beside the question; bounded as `reasoning_traces` is.
    pub context_layers: Option<serde_json::Value>,
    /// What was read and written.
    pub tokens: Option<TokensBody>,
    /// What that cost.
    pub cost: Option<CostBody>,
}

/// What changes of a trail; what is absent stays, of tokens and cost too, and null takes away.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct TrailPatchBody {
    /// 1 to 128 characters on one line.
    #[schema(min_length = 1, max_length = 128)]
    pub model: Option<String>,
    /// A list, an object or a string, as in the whole content.
    pub reasoning_traces: Option<serde_json::Value>,
    /// A list, an object or a string, as in the whole content.
    pub context_layers: Option<serde_json::Value>,
    /// Tokens; the total is reckoned anew.
    pub tokens: Option<TokensBody>,
    /// Cost; the total is reckoned anew.
    pub cost: Option<CostBody>,
}

/// Counts of tokens.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct TokensBody {
    /// Of the prompt.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub prompt: Option<u64>,
    /// Of the completion.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub completion: Option<u64>,
    /// Must be their sum; it is if absent.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub total: Option<u64>,
}

/// Costs, in the unit that the sender bills in: decimal strings.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the API reference shows it; reading is another matter"
)]
pub struct CostBody {
    /// Of the prompt.
    #[schema(pattern = r"^\d{1,18}(\.\d{1,12})?$", example = "0.003600000000")]
    pub prompt: Option<String>,
    /// Of the completion.
    #[schema(pattern = r"^\d{1,18}(\.\d{1,12})?$", example = "0.004500000000")]
    pub completion: Option<String>,
    /// Must be their sum; it is if absent.
    #[schema(pattern = r"^\d{1,18}(\.\d{1,12})?$", example = "0.008100000000")]
    pub total: Option<String>,
}

/// Where trails are kept from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailBackendBody {
    /// `memory`, `dual` or `database`.
    #[schema(pattern = "^(memory|dual|database)$")]
    pub backend: String,
}

/// Which part of this process's memory: message by message in the order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailBatchBody {
    /// After this message; from the first if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Uuid>,
    /// How many at most; 100 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}
