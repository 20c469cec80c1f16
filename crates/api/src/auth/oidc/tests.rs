//! Real keys, a fake issuer, and what both make of tokens.

mod issuer;
mod tokens;

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING as P256, ECDSA_P384_SHA384_FIXED_SIGNING as P384, EcdsaKeyPair,
    Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::join_all;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::keys::Discovery;
use super::*;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
const AUDIENCE: &str = "tranche";
const PROJECT: &str = "0190a5a0-7b1c-7000-8000-000000000001";
const SECOND: Duration = Duration::from_secs(1);

static RSA: LazyLock<EncodingKey> = LazyLock::new(|| {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der = pair.as_der().unwrap();
    let (label, text) = ("PRIVATE KEY", STANDARD.encode(der.as_ref()));
    let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
});

/// A key of the issuer.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => ec(&P256),
            Algorithm::ES384 => ec(&P384),
            Algorithm::EdDSA => {
                let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
                EncodingKey::from_ed_der(der.as_ref())
            }
            _ => RSA.clone(),
        };
        let mut jwk = json!(Jwk::from_encoding_key(&key, algorithm).unwrap());
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        Self {
            kid,
            algorithm,
            key,
            jwk,
        }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.jwk[name] = value;
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.jwk.as_object_mut().unwrap().remove(name);
        self
    }

    fn header(&self) -> Header {
        Header {
            kid: Some(self.kid.to_owned()),
            ..Header::new(self.algorithm)
        }
    }

    fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.key).unwrap()
    }
}

fn ec(curve: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> EncodingKey {
    let der = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
    EncodingKey::from_ec_der(der.as_ref())
}

struct Issuer {
    server: MockServer,
}

impl Issuer {
    async fn with(keys: &[&Signer]) -> Self {
        let issuer = Self {
            server: MockServer::start().await,
        };
        issuer.publish(keys).await;
        issuer
    }

    fn name(&self) -> String {
        self.server.uri()
    }

    async fn answer(&self, at: &str, answer: ResponseTemplate) {
        Mock::given(path(at))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    async fn publish(&self, keys: &[&Signer]) {
        let keys: Vec<&Value> = keys.iter().map(|signer| &signer.jwk).collect();
        self.publish_set(ResponseTemplate::new(200).set_body_json(json!({"keys": keys})))
            .await;
    }

    /// Forgets the requests so far.
    async fn publish_set(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        let uri = self.name();
        let discovery = json!({"issuer": uri, "jwks_uri": format!("{uri}{JWKS}"), "more": [1]});
        self.answer(
            DISCOVERY,
            ResponseTemplate::new(200).set_body_json(discovery),
        )
        .await;
        self.answer(JWKS, answer).await;
    }

    async fn requests(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|request| request.url.path().to_owned())
            .collect()
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: self.name(),
            audience: AUDIENCE.to_owned(),
            jwks_url: None,
            roles_claim: "roles".to_owned(),
        }
    }

    fn oidc(&self) -> Oidc {
        Oidc::try_new(self.config()).unwrap()
    }

    fn claims(&self) -> Value {
        let now = get_current_timestamp();
        json!({"iss": self.name(), "aud": AUDIENCE, "sub": "ada", "exp": now + 300, "iat": now})
    }

    /// Good claims, except for this one.
    fn claiming(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }
}

/// Lets time pass for the cache; the issuer and its tokens stay where they are.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn ada() -> Identity {
    Identity {
        subject: "ada".to_owned(),
        roles: Vec::new(),
        scope: None,
        person: Person::default(),
    }
}

fn claim(name: &str) -> OidcError {
    OidcError::Claim(name.to_owned())
}
