//! Accounts as the ledger names them: `G…` outside, 32 bytes of an Ed25519 public key inside.

use stellar_xdr::{AccountId, PublicKey, Uint256};

/// The account that `text` names, or `None` when it is not a `G…` with a right checksum.
#[must_use]
pub fn parse(text: &str) -> Option<AccountId> {
    text.parse().ok()
}

/// The account whose master key is this Ed25519 public key.
#[must_use]
pub const fn of_key(public_key: [u8; 32]) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(public_key)))
}

/// The Ed25519 public key that is an account's master key.
#[must_use]
pub const fn key(account: &AccountId) -> &[u8; 32] {
    let AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key))) = account;
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALLET: &str = "GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMO";

    #[test]
    fn reads_and_prints_the_same() {
        let account = parse(WALLET).unwrap();
        assert_eq!(account.to_string(), WALLET);
        assert_eq!(of_key(*key(&account)), account);
    }

    #[test]
    fn refuses_what_is_not_an_account() {
        for text in [
            "",
            "G",
            "GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMA",
            "SBRNVXXX7B2EEBTLJMJ34IIBJVVJUBUOSU6YBS7GJ3GORHPJXNY2UXF4",
            "gary2pwdu3ccoy3hzmiia3fof2x4q45xdfr4bpdfhgxt5bwcyap24amo",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
