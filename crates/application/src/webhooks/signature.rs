//! Signatures as the Standard Webhooks specification has them (v1, HMAC-SHA-256).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::keys::keyed_hash;

/// A secret as its receiver keeps it: `whsec_…`, shown once.
#[must_use]
pub fn shown(secret: &[u8; 32]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(secret));
    Zeroizing::new(format!("whsec_{}", *encoded))
}

/// The signatures of a message under each of these secrets, apart by a space.
#[must_use]
pub fn signatures(secrets: &[Zeroizing<[u8; 32]>], id: &str, timestamp: i64, body: &str) -> String {
    let message = format!("{id}.{timestamp}.{body}");
    let signed = secrets.iter().map(|secret| {
        let hash = keyed_hash(secret, message.as_bytes());
        format!("v1,{}", STANDARD.encode(hash))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{shown, signatures};

    /// Computed with Python's `hmac`.
    #[test]
    fn messages_are_signed_under_each_secret() {
        let secrets = [Zeroizing::new([7; 32]), Zeroizing::new([8; 32])];
        assert_eq!(
            *shown(&secrets[0]),
            "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
        );
        let signed = signatures(&secrets, "msg_1", 1_700_000_000, r#"{"a":1}"#);
        let expected = "v1,LInk7lWC3DLGgRP3k/Xpm933fgj/SEGrik4mpkLgnKE= v1,7XEj8CFsClZbZjbgDgddpidC9Qyjnpwko/ERdSPpu7s=";
        assert_eq!(signed, expected);
    }
}
