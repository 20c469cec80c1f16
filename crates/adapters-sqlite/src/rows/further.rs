//! What a disbursement keeps as JSON: its further envelopes, and one person's judgement.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use tranche_application::ports::store::StoreError;
use tranche_domain::BurnId;
use tranche_domain::disbursement::{Judgement, Proposal, Replacement};
use tranche_domain::text::Reason;

use super::Row;

/// One of `disbursements.replacements`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptReplacement {
    burn_id: String,
    envelope: String,
    valid_until: DateTime<Utc>,
}

/// The column: the same envelopes are always the same text.
pub(crate) fn kept(replacements: &[Replacement]) -> Json<Vec<KeptReplacement>> {
    Json(replacements.iter().map(KeptReplacement::from).collect())
}

impl From<&Replacement> for KeptReplacement {
    fn from(replacement: &Replacement) -> Self {
        Self {
            burn_id: replacement.id.0.clone(),
            envelope: STANDARD.encode(&replacement.envelope),
            valid_until: replacement.valid_until,
        }
    }
}

impl KeptReplacement {
    pub(crate) fn replacement(self, at: Row<'_>) -> Result<Replacement, StoreError> {
        Ok(Replacement {
            id: BurnId(self.burn_id),
            envelope: at.parsed("replacements: envelope", STANDARD.decode(self.envelope))?,
            valid_until: self.valid_until,
        })
    }
}

/// `disbursements.proposal`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptProposal {
    judgement: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burn_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<u32>,
    why: String,
    by: String,
    at: DateTime<Utc>,
}

impl From<&Proposal> for KeptProposal {
    fn from(proposal: &Proposal) -> Self {
        let burned = match &proposal.judgement {
            Judgement::Burned { burn, ledger } => Some((burn.0.clone(), *ledger)),
            Judgement::Failed => None,
        };
        let (burn_id, ledger) = burned.unzip();
        Self {
            judgement: proposal.judgement.as_str().to_owned(),
            burn_id,
            ledger,
            why: proposal.why.as_str().to_owned(),
            by: proposal.by.clone(),
            at: proposal.at,
        }
    }
}

impl KeptProposal {
    pub(crate) fn proposal(self, at: Row<'_>) -> Result<Proposal, StoreError> {
        let judgement = match (self.judgement.as_str(), self.burn_id, self.ledger) {
            ("burned", Some(burn), Some(ledger)) => Judgement::Burned {
                burn: BurnId(burn),
                ledger,
            },
            ("failed", None, None) => Judgement::Failed,
            (judgement, ..) => {
                return Err(at.wrong(format!("proposal does not fit {judgement}")));
            }
        };
        Ok(Proposal {
            judgement,
            why: at.parsed("proposal: why", Reason::try_new(self.why))?,
            by: self.by,
            at: self.at,
        })
    }
}
