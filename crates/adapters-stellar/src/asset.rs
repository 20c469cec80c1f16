//! The asset that burns, written `CODE:G…`: its code and the account that issues it.

use std::fmt;
use std::str::FromStr;

use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset as XdrAsset, AssetCode4, AssetCode12, TrustLineAsset,
};
use thiserror::Error;

use crate::account;

const SHORT_CODE: usize = 4;
const LONG_CODE: usize = 12;

/// An issued asset, such as `NGNTS:G…`. Sending it to its issuer burns it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Asset {
    code: String,
    issuer: AccountId,
}

/// Why a text does not name an [`Asset`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssetError {
    /// Not `CODE:ISSUER`.
    #[error("{0:?} is not an asset; write CODE:ISSUER, such as NGNTS:G…")]
    Malformed(String),
    /// The code is not one the ledger takes.
    #[error("{0:?} is not an asset code; it has 1 to 12 ASCII letters and digits")]
    Code(String),
    /// The issuer is not an account.
    #[error("{0:?} is not the issuer's account id; it starts with G and has 56 characters")]
    Issuer(String),
}

impl Asset {
    /// The asset's code, 1 to 12 ASCII letters and digits.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The account that issues it, and to which it burns.
    #[must_use]
    pub const fn issuer(&self) -> &AccountId {
        &self.issuer
    }

    /// As a payment names it.
    #[must_use]
    pub fn to_xdr(&self) -> XdrAsset {
        match self.short_code() {
            Some(asset_code) => XdrAsset::CreditAlphanum4(AlphaNum4 {
                asset_code,
                issuer: self.issuer.clone(),
            }),
            None => XdrAsset::CreditAlphanum12(self.long()),
        }
    }

    /// As a trustline names it.
    #[must_use]
    pub fn to_trustline_xdr(&self) -> TrustLineAsset {
        match self.short_code() {
            Some(asset_code) => TrustLineAsset::CreditAlphanum4(AlphaNum4 {
                asset_code,
                issuer: self.issuer.clone(),
            }),
            None => TrustLineAsset::CreditAlphanum12(self.long()),
        }
    }

    /// The code in four bytes, when it fits: the ledger takes the short form then, and no other.
    fn short_code(&self) -> Option<AssetCode4> {
        padded::<SHORT_CODE>(&self.code).map(AssetCode4)
    }

    fn long(&self) -> AlphaNum12 {
        AlphaNum12 {
            // A code is never longer: `from_str` is the only way to make one.
            asset_code: AssetCode12(padded(&self.code).unwrap_or_default()),
            issuer: self.issuer.clone(),
        }
    }
}

/// The code with zeros behind it, or `None` when it does not fit.
fn padded<const N: usize>(code: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    bytes
        .get_mut(..code.len())?
        .copy_from_slice(code.as_bytes());
    Some(bytes)
}

impl FromStr for Asset {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, AssetError> {
        let (code, issuer) = text
            .split_once(':')
            .ok_or_else(|| AssetError::Malformed(text.to_owned()))?;
        let fits = (1..=LONG_CODE).contains(&code.len());
        if !fits || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(AssetError::Code(code.to_owned()));
        }
        Ok(Self {
            code: code.to_owned(),
            issuer: account::parse(issuer).ok_or_else(|| AssetError::Issuer(issuer.to_owned()))?,
        })
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.code, self.issuer)
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asset({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "GAMXHYZYJYWQCRGKUI27IMJZY5DV64IGRZAAKFBQUWXG7YL2DC6IX7LX";

    fn parse(text: &str) -> Result<Asset, AssetError> {
        text.parse()
    }

    #[test]
    fn prints_as_it_was_read() {
        for code in ["N", "NGNT", "NGNTS", "ABCDEFGHIJ12"] {
            let text = format!("{code}:{ISSUER}");
            assert_eq!(parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn takes_the_short_form_up_to_four_characters() {
        let short = parse(&format!("NGNT:{ISSUER}")).unwrap();
        assert!(
            matches!(short.to_xdr(), XdrAsset::CreditAlphanum4(a) if a.asset_code.0 == *b"NGNT")
        );
        let long = parse(&format!("NGNTS:{ISSUER}")).unwrap();
        assert!(matches!(
            long.to_trustline_xdr(),
            TrustLineAsset::CreditAlphanum12(a) if a.asset_code.0 == *b"NGNTS\0\0\0\0\0\0\0"
        ));
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(matches!(parse("NGNTS"), Err(AssetError::Malformed(_))));
        for code in ["", "ABCDEFGHIJ123", "NG-TS", "₦GNTS", "NG TS"] {
            let text = format!("{code}:{ISSUER}");
            assert!(matches!(parse(&text), Err(AssetError::Code(_))), "{code}");
        }
        for issuer in ["", "native", "NGNTS", &format!("{ISSUER}:x"), &ISSUER[1..]] {
            let text = format!("NGNTS:{issuer}");
            assert!(
                matches!(parse(&text), Err(AssetError::Issuer(_))),
                "{issuer}"
            );
        }
    }
}
