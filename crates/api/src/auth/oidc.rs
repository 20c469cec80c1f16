//! Tokens of an OIDC issuer: who they speak for, checked against the keys the issuer publishes.
//!
//! Errors and logs never show a token or a part of one.

mod keys;

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{AlgorithmFamily, Validation};
use reqwest::Url;
use serde_json::{Map, Value};
use thiserror::Error;
use tranche_application::ports::actors::Person;
use tranche_domain::{ProjectId, Role};
use uuid::Uuid;

use self::keys::{Keys, Source};
use super::Identity;

/// How far the issuer's clock may be from ours.
const LEEWAY_SECONDS: u64 = 30;
const LARGEST_TOKEN: usize = 16 * 1024;
const LONGEST_SUBJECT: usize = 200;
const LONGEST_NAME: usize = 200;
const PROJECT_CLAIM: &str = "tranche_project";

/// Which issuer to believe, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer, exactly as its tokens name it in `iss`.
    pub issuer: String,
    /// What a token must name in `aud`.
    pub audience: String,
    /// Where the issuer's keys are; without it the issuer is asked.
    pub jwks_url: Option<String>,
    /// The claim that holds the caller's roles.
    pub roles_claim: String,
}

/// Why a token was refused, or why no token can be checked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OidcError {
    /// A setting that cannot work.
    #[error("the OIDC {setting} {why}")]
    Config {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// TLS cannot be set up.
    #[error("the OIDC client cannot be set up: {0}")]
    Client(String),
    /// Not a signed token, or one that asks for what is not supported.
    #[error("the token cannot be read")]
    Malformed,
    /// Not an algorithm for public keys, or not one of the token's key.
    #[error("the token's algorithm is not one its key allows")]
    Algorithm,
    /// The issuer does not publish this key.
    #[error("the token is signed with a key the issuer does not publish")]
    UnknownKey,
    /// Signed by somebody else, or changed since.
    #[error("the token's signature is wrong")]
    Signature,
    /// From somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim is missing or is not what it should be.
    #[error("the token's claim {0:?} is missing or malformed")]
    Claim(String),
    /// Nothing is wrong with the token, but there is nothing to check it with.
    #[error("the issuer's keys are not available")]
    Unavailable,
}

/// Checks the tokens of one issuer.
#[derive(Debug)]
pub struct Oidc {
    issuer: String,
    audience: String,
    roles_claim: String,
    keys: Arc<Keys>,
}

impl Oidc {
    /// Connects to nothing yet: keys are fetched for the first token.
    ///
    /// # Errors
    /// [`OidcError::Config`] for a setting that cannot work, [`OidcError::Client`] without TLS.
    pub fn try_new(config: OidcConfig) -> Result<Self, OidcError> {
        let OidcConfig {
            issuer,
            audience,
            jwks_url,
            roles_claim,
        } = config;
        for (setting, text) in [("audience", &audience), ("roles claim", &roles_claim)] {
            if text.is_empty() {
                return Err(OidcError::Config {
                    setting,
                    why: "is empty",
                });
            }
        }
        let issuer_url = http_url("issuer", &issuer)?;
        if issuer_url.query().is_some() || issuer_url.fragment().is_some() {
            return Err(OidcError::Config {
                setting: "issuer",
                why: "has a query or a fragment",
            });
        }
        let source = if let Some(url) = jwks_url {
            Source::Keys(http_url("JWKS URL", &url)?)
        } else {
            let base = issuer.trim_end_matches('/');
            let url = format!("{base}/.well-known/openid-configuration");
            Source::Issuer {
                name: issuer.clone(),
                url: http_url("issuer", &url)?,
            }
        };
        let keys = Arc::new(Keys::try_new(source)?);
        Ok(Self {
            issuer,
            audience,
            roles_claim,
            keys,
        })
    }

    /// Who the token speaks for.
    ///
    /// # Errors
    /// [`OidcError::Unavailable`] without keys to check it with; else what is wrong with it.
    pub async fn identify(&self, token: &str) -> Result<Identity, OidcError> {
        if token.len() > LARGEST_TOKEN {
            return Err(OidcError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| OidcError::Malformed)?;
        if header.alg.family() == AlgorithmFamily::Hmac {
            return Err(OidcError::Algorithm);
        }
        if header.crit.is_some() {
            return Err(OidcError::Malformed);
        }
        let set = self.keys.with(header.kid.as_deref()).await?;
        let key = set.find(header.kid.as_deref(), header.alg)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation);
        self.identity(&token.map_err(|error| refusal(error.into_kind()))?.claims)
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, OidcError> {
        let malformed = |claim: &str| OidcError::Claim(claim.to_owned());
        // A list of issuers that holds ours passes so far, and is not a valid `iss`.
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(OidcError::Issuer);
        }
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .filter(|subject| (1..=LONGEST_SUBJECT).contains(&subject.chars().count()))
            .filter(|subject| !subject.contains(char::is_control))
            .ok_or_else(|| malformed("sub"))?;
        let scope = match claims.get(PROJECT_CLAIM) {
            None => None,
            Some(id) => {
                let id = id.as_str().and_then(|id| Uuid::parse_str(id).ok());
                Some(ProjectId(id.ok_or_else(|| malformed(PROJECT_CLAIM))?))
            }
        };
        let roles = claims.get(&self.roles_claim).map(roles).unwrap_or_default();
        Ok(Identity {
            subject: subject.to_owned(),
            roles,
            scope,
            person: person(claims),
        })
    }
}

/// Who the subject is, as far as the issuer says it. What cannot be shown is not kept, and neither is
/// an address that is not theirs for sure.
fn person(claims: &Map<String, Value>) -> Person {
    let told = |name: &str| {
        claims
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| (1..=LONGEST_NAME).contains(&text.chars().count()))
            .filter(|text| !text.contains(char::is_control))
            .map(str::to_owned)
    };
    let is_verified = claims.get("email_verified") != Some(&Value::Bool(false));
    Person {
        name: told("name"),
        email: told("email").filter(|_| is_verified),
    }
}

/// The roles that a claim names, each once; names of other systems' roles are theirs.
fn roles(claim: &Value) -> Vec<Role> {
    let names: Vec<&str> = match claim {
        Value::String(text) => text.split([' ', ',']).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    Role::ALL
        .into_iter()
        .filter(|role| names.contains(&role.as_str()))
        .collect()
}

/// The reason alone: what the library says besides may quote the token.
fn refusal(kind: ErrorKind) -> OidcError {
    match kind {
        ErrorKind::InvalidSignature => OidcError::Signature,
        ErrorKind::InvalidAlgorithm => OidcError::Algorithm,
        ErrorKind::InvalidIssuer => OidcError::Issuer,
        ErrorKind::InvalidAudience => OidcError::Audience,
        ErrorKind::ExpiredSignature => OidcError::Expired,
        ErrorKind::ImmatureSignature => OidcError::NotYetValid,
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
            OidcError::Claim(name)
        }
        _ => OidcError::Malformed,
    }
}

fn http_url(setting: &'static str, text: &str) -> Result<Url, OidcError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(OidcError::Config {
            setting,
            why: "is not an HTTP URL",
        })
}

#[cfg(test)]
mod tests;
