//! What can stop a sandbox from starting, closing a ledger or stopping.

/// Why the sandbox could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address could not be bound, or the data folder could not be made.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The state file could not be read or written.
    #[error("the sandbox state could not be read or written")]
    Store(#[from] sqlx::Error),
    /// The data folder holds the ledger of another network.
    #[error("the data folder holds the ledger of network \"{found}\", not \"{wanted}\"")]
    OtherNetwork {
        /// The passphrase kept in the folder.
        found: String,
        /// The passphrase asked for.
        wanted: String,
    },
    /// Another sandbox opened the same folder after this one; this one may not write any more.
    #[error("another sandbox has taken over the data folder")]
    TakenOver,
    /// A stored or built value does not encode or decode.
    #[error("a ledger value does not encode: {0}")]
    Xdr(#[from] stellar_xdr::Error),
    /// The ledger number would pass the protocol's limit.
    #[error("the ledger is out of sequence numbers")]
    OutOfLedgers,
}
