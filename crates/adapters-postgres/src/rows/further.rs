//! What a disbursement keeps as JSON: its further envelopes, and one person's judgement.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tranche_domain::BurnId;
use tranche_domain::disbursement::{Judgement, Proposal, Replacement};
use tranche_domain::text::Reason;

use super::{Flaw, bad};

/// One of `disbursements.replacements`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptReplacement {
    burn_id: String,
    envelope: String,
    valid_until: DateTime<Utc>,
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
    pub(crate) fn replacement(self) -> Result<Replacement, Flaw> {
        let envelope = STANDARD.decode(self.envelope);
        Ok(Replacement {
            id: BurnId(self.burn_id),
            envelope: envelope.map_err(|why| bad("replacements: envelope")(&why))?,
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

impl TryFrom<KeptProposal> for Proposal {
    type Error = Flaw;

    fn try_from(kept: KeptProposal) -> Result<Self, Flaw> {
        let judgement = match (kept.judgement.as_str(), kept.burn_id, kept.ledger) {
            ("burned", Some(burn), Some(ledger)) => Judgement::Burned {
                burn: BurnId(burn),
                ledger,
            },
            ("failed", None, None) => Judgement::Failed,
            (judgement, ..) => return Err(format!("proposal does not fit {judgement}")),
        };
        Ok(Self {
            judgement,
            why: Reason::try_new(kept.why).map_err(|why| bad("proposal: why")(&why))?,
            by: kept.by,
            at: kept.at,
        })
    }
}
