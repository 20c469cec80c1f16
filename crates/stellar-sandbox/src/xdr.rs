//! Small helpers over the generated XDR types: encoding, keys, assets and amounts.
//!
//! An amount is an `i64` count of stroops inside and a decimal string with at most seven decimals
//! at the edge; a string that would lose precision is refused.

use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode, Error, LedgerKey, LedgerKeyAccount,
    LedgerKeyTrustLine, Limits, MuxedAccount, PublicKey, TrustLineAsset, Uint256, WriteXdr,
};

/// Stroops in one unit of any asset.
pub(crate) const UNIT: i64 = 10_000_000;

/// A SHA-256 digest.
pub(crate) type Digest32 = [u8; 32];

/// What untrusted XDR may hold: enough for any envelope of the protocol.
pub(crate) fn untrusted() -> Limits {
    Limits {
        depth: 500,
        len: 512 * 1024,
    }
}

pub(crate) fn encode(value: &impl WriteXdr) -> Result<Vec<u8>, Error> {
    value.to_xdr(Limits::none())
}

pub(crate) fn encode_base64(value: &impl WriteXdr) -> Result<String, Error> {
    value.to_xdr_base64(Limits::none())
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest32 {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

pub(crate) fn account_id(key: Digest32) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key)))
}

pub(crate) fn public_key(account: &AccountId) -> &Digest32 {
    let PublicKey::PublicKeyTypeEd25519(Uint256(key)) = &account.0;
    key
}

/// The account behind a muxed address; the id in it means nothing to the ledger.
pub(crate) fn unmuxed(account: &MuxedAccount) -> AccountId {
    account.clone().account_id()
}

pub(crate) fn muxed(account: &AccountId) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256(*public_key(account)))
}

pub(crate) fn account_key(account: &AccountId) -> LedgerKey {
    LedgerKey::Account(LedgerKeyAccount {
        account_id: account.clone(),
    })
}

pub(crate) fn trustline_key(account: &AccountId, asset: TrustLineAsset) -> LedgerKey {
    LedgerKey::Trustline(LedgerKeyTrustLine {
        account_id: account.clone(),
        asset,
    })
}

pub(crate) fn trustline_asset(asset: &Asset) -> TrustLineAsset {
    match asset {
        Asset::Native => TrustLineAsset::Native,
        Asset::CreditAlphanum4(credit) => TrustLineAsset::CreditAlphanum4(credit.clone()),
        Asset::CreditAlphanum12(credit) => TrustLineAsset::CreditAlphanum12(credit.clone()),
    }
}

pub(crate) fn issuer(asset: &Asset) -> Option<&AccountId> {
    match asset {
        Asset::Native => None,
        Asset::CreditAlphanum4(AlphaNum4 { issuer, .. })
        | Asset::CreditAlphanum12(AlphaNum12 { issuer, .. }) => Some(issuer),
    }
}

pub(crate) fn credit(code: AssetCode, issuer: AccountId) -> Asset {
    match code {
        AssetCode::CreditAlphanum4(asset_code) => {
            Asset::CreditAlphanum4(AlphaNum4 { asset_code, issuer })
        }
        AssetCode::CreditAlphanum12(asset_code) => {
            Asset::CreditAlphanum12(AlphaNum12 { asset_code, issuer })
        }
    }
}

/// Letters and digits, then only zero bytes; a twelve-byte code has at least five characters.
pub(crate) fn is_valid_asset(asset: &Asset) -> bool {
    match asset {
        Asset::Native => true,
        Asset::CreditAlphanum4(credit) => is_valid_code(&credit.asset_code.0, 1),
        Asset::CreditAlphanum12(credit) => is_valid_code(&credit.asset_code.0, 5),
    }
}

fn is_valid_code(code: &[u8], shortest: usize) -> bool {
    let length = code.iter().take_while(|byte| **byte != 0).count();
    length >= shortest
        && code.iter().take(length).all(u8::is_ascii_alphanumeric)
        && code.iter().skip(length).all(|byte| *byte == 0)
}

/// `CODE:G…`, or `native`.
pub(crate) fn asset_name(asset: &Asset) -> String {
    let name = |code: &[u8], issuer: &AccountId| {
        let text: String = code
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect();
        format!("{text}:{issuer}")
    };
    match asset {
        Asset::Native => "native".to_owned(),
        Asset::CreditAlphanum4(credit) => name(&credit.asset_code.0, &credit.issuer),
        Asset::CreditAlphanum12(credit) => name(&credit.asset_code.0, &credit.issuer),
    }
}

/// Reads `CODE:G…`.
pub(crate) fn parse_credit(text: &str) -> Option<Asset> {
    let (code, issuer) = text.split_once(':')?;
    if code.is_empty() || code.len() > 12 || !code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    Some(credit(code.parse().ok()?, issuer.parse().ok()?))
}

/// Reads a decimal amount, 0 or more, with at most seven decimals, into stroops.
pub(crate) fn parse_amount(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 7 {
        return None;
    }
    let fraction: i64 = format!("{decimals:0<7}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(UNIT)?
        .checked_add(fraction)
}

/// Writes stroops as a decimal with seven decimals.
pub(crate) fn format_amount(stroops: i64) -> String {
    let sign = if stroops < 0 { "-" } else { "" };
    let magnitude = stroops.unsigned_abs();
    let unit = UNIT.unsigned_abs();
    format!("{sign}{}.{:07}", magnitude / unit, magnitude % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_every_stroop() {
        assert_eq!(parse_amount("1"), Some(UNIT));
        assert_eq!(parse_amount("0.0000001"), Some(1));
        assert_eq!(parse_amount("922337203685.4775807"), Some(i64::MAX));
        assert_eq!(format_amount(i64::MAX), "922337203685.4775807");
        for refused in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "1e3",
            "0.00000001",
            "922337203685.4775808",
        ] {
            assert_eq!(parse_amount(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_five_letter_code_takes_the_long_form() {
        let issuer = account_id([7; 32]);
        let asset = parse_credit(&format!("NGNTS:{issuer}")).unwrap();
        assert!(matches!(asset, Asset::CreditAlphanum12(_)));
        assert!(is_valid_asset(&asset));
        assert_eq!(asset_name(&asset), format!("NGNTS:{issuer}"));
        assert_eq!(parse_credit("NGN-TS:GABC"), None);
    }
}
