//! The public tree in answers. Hashes are base64, as in checkpoints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tranche_application::audit::tree::keeper::Standing;
use tranche_application::audit::tree::note::LogKey;
use tranche_application::audit::tree::public::{Consistency, Inclusion};
use tranche_application::ports::tree::Hash;
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;

fn base64(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

fn all(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(base64).collect()
}

/// The audit log as outsiders know it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLog)]
pub struct LogView {
    /// Its name: the first line of its checkpoints.
    origin: String,
    /// Its verifier key, as C2SP signed-note writes it. Pin it.
    verifier_key: String,
    /// How many leaves the newest checkpoint covers; null before the first.
    size: Option<u64>,
    /// Their root.
    root: Option<String>,
    /// When it was signed.
    signed_at: Option<String>,
    /// `sound`; `contradicted` when the store is not the one that was sealed, and nothing is sealed
    /// any more; `not_kept` when the newest checkpoint could not be written outside of the store.
    standing: &'static str,
}

impl LogView {
    /// How the log stands.
    pub fn of(key: &LogKey, standing: &Standing) -> Self {
        let kept = standing.kept.as_ref();
        Self {
            origin: key.origin().to_string(),
            verifier_key: key.verifier(),
            size: kept.map(|kept| kept.size),
            root: kept.map(|kept| base64(&kept.root)),
            signed_at: kept.map(|kept| time(kept.signed_at)),
            standing: standing.evidence().as_str(),
        }
    }
}

/// That an event is in the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InclusionProof)]
pub struct InclusionView {
    event_id: Uuid,
    /// The leaf's place, from 0.
    leaf_index: u64,
    /// The leaf's record, byte by byte what was hashed: canonical JSON. `null` for whoever may not
    /// read the audit log.
    leaf_record: Option<String>,
    /// SHA-256 of a zero byte and the record.
    leaf_hash: String,
    /// The neighbours on the way up to the root, the lowest first (RFC 6962).
    path: Vec<String>,
    /// How many leaves the tree has.
    tree_size: u64,
    /// The signed checkpoint that the path leads to.
    checkpoint: String,
}

impl InclusionView {
    /// With the record for whoever may read the log.
    pub fn of(proof: &Inclusion, may_read_record: bool) -> Self {
        let record = may_read_record.then(|| String::from_utf8_lossy(&proof.record).into_owned());
        Self {
            event_id: proof.leaf.leaf.event_id,
            leaf_index: proof.leaf.leaf.index,
            leaf_record: record,
            leaf_hash: base64(&proof.leaf.leaf.hash),
            path: all(&proof.path),
            tree_size: proof.checkpoint.size,
            checkpoint: proof.checkpoint.note.clone(),
        }
    }
}

/// That a tree extends a former one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsistencyProof)]
pub struct ConsistencyView {
    /// How many leaves the former tree had.
    from: u64,
    /// How many the latter has.
    to: u64,
    /// The proof (RFC 6962); empty where one of the trees is empty, or they are the same.
    hashes: Vec<String>,
}

impl From<&Consistency> for ConsistencyView {
    fn from(proof: &Consistency) -> Self {
        Self {
            from: proof.from,
            to: proof.to,
            hashes: all(&proof.hashes),
        }
    }
}
