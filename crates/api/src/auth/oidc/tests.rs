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
    }
}

fn claim(name: &str) -> OidcError {
    OidcError::Claim(name.to_owned())
}

#[tokio::test]
async fn takes_every_public_key_algorithm() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let signer = Signer::new("1", algorithm);
        let issuer = Issuer::with(&[&signer]).await;
        let found = issuer.oidc().identify(&signer.sign(&issuer.claims())).await;
        assert_eq!(found, Ok(ada()), "{algorithm:?}");
        let unbound = signer.without("alg").without("use");
        issuer.publish(&[&unbound]).await;
        let found = issuer
            .oidc()
            .identify(&unbound.sign(&issuer.claims()))
            .await;
        assert_eq!(found, Ok(ada()), "{algorithm:?}");
    }
}

#[tokio::test]
async fn reads_roles_and_scope() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let oidc = issuer.oidc();
    let both = vec![Role::Viewer, Role::Approver];
    for (claim, roles) in [
        (
            json!(["approver", "viewer", "viewer", "offline_access", 7]),
            both.clone(),
        ),
        (json!("viewer approver"), both.clone()),
        (json!("approver, viewer,other"), both),
        (json!("admin"), vec![Role::Admin]),
        (json!("Admin"), vec![]),
        (json!(["admin viewer"]), vec![]),
        (json!({"admin": true}), vec![]),
        (json!(null), vec![]),
    ] {
        let token = signer.sign(&issuer.claiming("roles", claim.clone()));
        assert_eq!(
            oidc.identify(&token).await,
            Ok(Identity { roles, ..ada() }),
            "{claim}"
        );
    }
    let token = signer.sign(&issuer.claiming("tranche_project", json!(PROJECT)));
    let scope = Some(ProjectId(PROJECT.parse().unwrap()));
    assert_eq!(oidc.identify(&token).await, Ok(Identity { scope, ..ada() }));
}

#[tokio::test]
async fn refuses_wrong_claims() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let oidc = issuer.oidc();
    let now = get_current_timestamp();
    for (name, value, expected) in [
        ("iss", json!("https://elsewhere.example"), OidcError::Issuer),
        (
            "iss",
            json!(format!("{}/", issuer.name())),
            OidcError::Issuer,
        ),
        (
            "iss",
            json!([issuer.name(), "https://elsewhere.example"]),
            OidcError::Issuer,
        ),
        ("iss", json!(null), claim("iss")),
        ("aud", json!("another"), OidcError::Audience),
        ("aud", json!(["another", "third"]), OidcError::Audience),
        ("aud", json!([]), OidcError::Audience),
        ("aud", json!(null), claim("aud")),
        ("exp", json!(now - 40), OidcError::Expired),
        ("exp", json!(0), OidcError::Expired),
        ("exp", json!(null), claim("exp")),
        ("exp", json!("never"), claim("exp")),
        ("exp", json!(-1), claim("exp")),
        ("nbf", json!(now + 60), OidcError::NotYetValid),
        ("nbf", json!("soon"), claim("nbf")),
        ("sub", json!(null), claim("sub")),
        ("sub", json!(7), claim("sub")),
        ("sub", json!(""), claim("sub")),
        ("sub", json!("é".repeat(201)), claim("sub")),
        ("sub", json!("ada\n"), claim("sub")),
        ("sub", json!("a\u{85}da"), claim("sub")),
        ("tranche_project", json!("all"), claim("tranche_project")),
        ("tranche_project", json!(""), claim("tranche_project")),
        ("tranche_project", json!(null), claim("tranche_project")),
        (
            "tranche_project",
            json!([PROJECT]),
            claim("tranche_project"),
        ),
    ] {
        let token = signer.sign(&issuer.claiming(name, value.clone()));
        assert_eq!(oidc.identify(&token).await, Err(expected), "{name} {value}");
    }
    for name in ["iss", "aud", "exp", "sub"] {
        let mut claims = issuer.claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(oidc.identify(&signer.sign(&claims)).await, Err(claim(name)));
    }
}

#[tokio::test]
async fn takes_claims_at_their_limits() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let oidc = issuer.oidc();
    let now = get_current_timestamp();
    for (name, value) in [
        ("aud", json!(["another", AUDIENCE])),
        ("exp", json!(now - 15)),
        ("nbf", json!(now + 15)),
        ("nbf", json!(now - 60)),
    ] {
        let token = signer.sign(&issuer.claiming(name, value.clone()));
        assert_eq!(oidc.identify(&token).await, Ok(ada()), "{name} {value}");
    }
    let subject = "é".repeat(200);
    let token = signer.sign(&issuer.claiming("sub", json!(subject)));
    assert_eq!(
        oidc.identify(&token).await,
        Ok(Identity { subject, ..ada() })
    );
}

#[tokio::test]
async fn refuses_shared_secrets_and_no_signature_without_asking_the_issuer() {
    let signer = Signer::new("1", Algorithm::RS256);
    let issuer = Issuer::with(&[&signer]).await;
    let oidc = issuer.oidc();
    let modulus = URL_SAFE_NO_PAD
        .decode(signer.jwk["n"].as_str().unwrap())
        .unwrap();
    let whole = signer.jwk.to_string().into_bytes();
    for secret in [modulus, whole, Vec::new()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header {
                alg: algorithm,
                ..signer.header()
            };
            let key = EncodingKey::from_secret(&secret);
            let token = jsonwebtoken::encode(&header, &issuer.claims(), &key).unwrap();
            assert_eq!(oidc.identify(&token).await, Err(OidcError::Algorithm));
        }
    }
    let claims = URL_SAFE_NO_PAD.encode(issuer.claims().to_string());
    for none in ["none", "None", "NONE", "", "RS1"] {
        let header = json!({"alg": none, "typ": "JWT", "kid": "1"}).to_string();
        let token = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(
            oidc.identify(&token).await,
            Err(OidcError::Malformed),
            "{none}"
        );
    }
    assert_eq!(issuer.requests().await, Vec::<String>::new());
}

#[tokio::test]
async fn refuses_a_secret_that_the_issuer_publishes() {
    let mut secret = Signer::new("1", Algorithm::ES256);
    secret.jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("secret"), "kid": "1"});
    let issuer = Issuer::with(&[&secret]).await;
    let token = secret.sign(&issuer.claims());
    assert_eq!(
        issuer.oidc().identify(&token).await,
        Err(OidcError::UnknownKey)
    );
}

#[tokio::test]
async fn refuses_what_is_not_a_token() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let oidc = issuer.oidc();
    let mut claims = issuer.claims();
    let good = signer.sign(&claims);
    claims["more"] = json!("x".repeat(LARGEST_TOKEN));
    let header = Header {
        crit: Some(vec!["b64".to_owned()]),
        ..signer.header()
    };
    let critical = jsonwebtoken::encode(&header, &issuer.claims(), &signer.key).unwrap();
    for token in [
        "",
        "...",
        "trn_0190_secret",
        &format!("{good}."),
        &format!("{good}.{good}"),
        &signer.sign(&claims),
        &signer.sign(&json!(["ada"])),
        &critical,
    ] {
        assert_eq!(
            oidc.identify(token).await,
            Err(OidcError::Malformed),
            "{token}"
        );
    }
}

#[tokio::test]
async fn refuses_what_the_key_did_not_sign() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let signer = Signer::new("1", algorithm);
        let issuer = Issuer::with(&[&signer]).await;
        let oidc = issuer.oidc();
        let good = signer.sign(&issuer.claims());
        let parts: Vec<&str> = good.split('.').collect();
        let admin = issuer.claiming("roles", json!("admin")).to_string();
        let claims = format!(
            "{}.{}.{}",
            parts[0],
            URL_SAFE_NO_PAD.encode(admin),
            parts[2]
        );
        let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        signature[7] ^= 1;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let signature = format!("{}.{}.{signature}", parts[0], parts[1]);
        let unsigned = format!("{}.{}.", parts[0], parts[1]);
        for token in [claims, signature, unsigned] {
            assert_eq!(
                oidc.identify(&token).await,
                Err(OidcError::Signature),
                "{algorithm:?}"
            );
        }
        assert_eq!(oidc.identify(&good).await, Ok(ada()));
    }
    let (ours, theirs) = (
        Signer::new("1", Algorithm::ES256),
        Signer::new("1", Algorithm::ES256),
    );
    let issuer = Issuer::with(&[&ours]).await;
    let token = theirs.sign(&issuer.claims());
    assert_eq!(
        issuer.oidc().identify(&token).await,
        Err(OidcError::Signature)
    );
}

#[tokio::test]
async fn a_key_verifies_only_its_algorithms() {
    let rsa = Signer::new("rsa", Algorithm::RS256);
    let p256 = Signer::new("p256", Algorithm::ES256).without("alg");
    let ed = Signer::new("ed", Algorithm::EdDSA).without("alg");
    let issuer = Issuer::with(&[&rsa, &p256, &ed]).await;
    let oidc = issuer.oidc();
    let p384 = Signer::new("p256", Algorithm::ES384);
    for (kid, signer) in [
        ("rsa", &Signer::new("rsa", Algorithm::PS256)),
        ("rsa", &Signer::new("rsa", Algorithm::RS512)),
        ("rsa", &p256),
        ("p256", &p384),
        ("p256", &rsa),
        ("p256", &ed),
        ("ed", &p256),
    ] {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..signer.header()
        };
        let token = jsonwebtoken::encode(&header, &issuer.claims(), &signer.key).unwrap();
        let refused = oidc.identify(&token).await;
        assert_eq!(
            refused,
            Err(OidcError::Algorithm),
            "{kid} {:?}",
            signer.algorithm
        );
    }
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
}

#[tokio::test]
async fn keys_for_other_uses_do_not_verify() {
    let good = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&good]).await;
    let token = good.sign(&issuer.claims());
    let new = || Signer {
        jwk: good.jwk.clone(),
        key: good.key.clone(),
        ..good
    };
    for (signer, usable) in [
        (new().with("use", json!("enc")), false),
        (new().with("use", json!("other")), false),
        (new().with("key_ops", json!(["encrypt"])), false),
        (new().with("key_ops", json!(["verify"])), true),
        (new().with("alg", json!("ES384")), false),
        (new().with("alg", json!("ECDH-ES")), false),
        (new().with("crv", json!("P-384")), false),
        (new().with("crv", json!("secp256k1")), false),
        (new().with("x", json!("!")), false),
        (new().with("x5c", json!(["certificate"])), true),
    ] {
        issuer.publish(&[&signer]).await;
        let expected = if usable {
            Ok(ada())
        } else {
            Err(OidcError::UnknownKey)
        };
        let found = issuer.oidc().identify(&token).await;
        // A key of another curve is read, but not for this algorithm.
        let found = found.map_err(|error| match error {
            OidcError::Algorithm => OidcError::UnknownKey,
            other => other,
        });
        assert_eq!(found, expected, "{}", signer.jwk);
    }
}

#[tokio::test]
async fn unreadable_keys_do_not_hide_the_others() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let set = json!({"keys": [7, {}, {"kty": "AKP", "alg": "ML-DSA-44"}, signer.jwk], "more": 1});
    issuer
        .publish_set(ResponseTemplate::new(200).set_body_json(set))
        .await;
    assert_eq!(
        issuer.oidc().identify(&signer.sign(&issuer.claims())).await,
        Ok(ada())
    );
}

#[tokio::test]
async fn keys_of_one_id_are_told_apart_by_their_algorithm() {
    let (rsa, ec) = (
        Signer::new("1", Algorithm::RS256),
        Signer::new("1", Algorithm::ES256),
    );
    let issuer = Issuer::with(&[&rsa, &ec]).await;
    let oidc = issuer.oidc();
    for signer in [rsa, ec] {
        assert_eq!(
            oidc.identify(&signer.sign(&issuer.claims())).await,
            Ok(ada())
        );
    }
}

#[tokio::test]
async fn only_a_single_key_needs_no_id() {
    let (first, second) = (
        Signer::new("1", Algorithm::ES256),
        Signer::new("2", Algorithm::EdDSA),
    );
    let issuer = Issuer::with(&[&first]).await;
    let token = jsonwebtoken::encode(
        &Header {
            kid: None,
            ..first.header()
        },
        &issuer.claims(),
        &first.key,
    )
    .unwrap();
    assert_eq!(issuer.oidc().identify(&token).await, Ok(ada()));
    let bare = Signer {
        jwk: first.jwk.clone(),
        key: first.key.clone(),
        ..first
    };
    issuer.publish(&[&bare.without("kid"), &second]).await;
    let oidc = issuer.oidc();
    for _ in 0..3 {
        assert_eq!(oidc.identify(&token).await, Err(OidcError::UnknownKey));
    }
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_per_pause() {
    let (known, unknown) = (
        Signer::new("1", Algorithm::ES256),
        Signer::new("2", Algorithm::ES256),
    );
    let issuer = Issuer::with(&[&known]).await;
    let oidc = issuer.oidc();
    let (good, bad) = (known.sign(&issuer.claims()), unknown.sign(&issuer.claims()));
    assert_eq!(oidc.identify(&good).await, Ok(ada()));
    pass(31 * SECOND).await;
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
    for _ in 0..3 {
        assert_eq!(oidc.identify(&bad).await, Err(OidcError::UnknownKey));
        assert_eq!(oidc.identify(&good).await, Ok(ada()));
    }
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS, JWKS]);
    pass(31 * SECOND).await;
    assert_eq!(oidc.identify(&bad).await, Err(OidcError::UnknownKey));
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS, JWKS, JWKS]);
}

#[tokio::test]
async fn follows_a_rotation() {
    let (old, new) = (
        Signer::new("1", Algorithm::ES256),
        Signer::new("2", Algorithm::EdDSA),
    );
    let issuer = Issuer::with(&[&old]).await;
    let oidc = issuer.oidc();
    let (before, after) = (old.sign(&issuer.claims()), new.sign(&issuer.claims()));
    assert_eq!(oidc.identify(&before).await, Ok(ada()));
    issuer.publish(&[&old, &new]).await;
    assert_eq!(oidc.identify(&after).await, Err(OidcError::UnknownKey));
    pass(31 * SECOND).await;
    assert_eq!(oidc.identify(&after).await, Ok(ada()));
    assert_eq!(oidc.identify(&before).await, Ok(ada()));
    assert_eq!(issuer.requests().await, [JWKS]);
    issuer.publish(&[&new]).await;
    pass(599 * SECOND).await;
    assert_eq!(oidc.identify(&before).await, Ok(ada()));
    assert_eq!(issuer.requests().await, Vec::<String>::new());
    pass(2 * SECOND).await;
    assert_eq!(oidc.identify(&before).await, Err(OidcError::UnknownKey));
    assert_eq!(oidc.identify(&after).await, Ok(ada()));
    assert_eq!(issuer.requests().await, [JWKS]);
}

#[tokio::test]
async fn old_keys_serve_a_day_without_the_issuer() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let oidc = issuer.oidc();
    let token = signer.sign(&issuer.claims());
    assert_eq!(oidc.identify(&token).await, Ok(ada()));
    issuer.server.reset().await;
    pass(Duration::from_mins(11)).await;
    for _ in 0..3 {
        assert_eq!(oidc.identify(&token).await, Ok(ada()));
    }
    assert_eq!(issuer.requests().await, [JWKS]);
    pass(31 * SECOND).await;
    assert_eq!(oidc.identify(&token).await, Ok(ada()));
    assert_eq!(
        issuer.requests().await,
        [JWKS, DISCOVERY],
        "the issuer is asked where again"
    );
    pass(Duration::from_mins(23 * 60 + 47)).await;
    assert_eq!(oidc.identify(&token).await, Ok(ada()));
    pass(Duration::from_mins(2)).await;
    assert_eq!(oidc.identify(&token).await, Err(OidcError::Unavailable));
    issuer.publish(&[&signer]).await;
    assert_eq!(oidc.identify(&token).await, Err(OidcError::Unavailable));
    pass(31 * SECOND).await;
    assert_eq!(oidc.identify(&token).await, Ok(ada()));
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
}

#[tokio::test]
async fn callers_at_once_make_one_request() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[]).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({"keys": [signer.jwk]}));
    issuer
        .publish_set(answer.set_delay(Duration::from_millis(200)))
        .await;
    let oidc = issuer.oidc();
    let token = signer.sign(&issuer.claims());
    for found in join_all((0..20).map(|_| oidc.identify(&token))).await {
        assert_eq!(found, Ok(ada()));
    }
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_waste_the_attempt() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[]).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({"keys": [signer.jwk]}));
    issuer
        .publish_set(answer.set_delay(Duration::from_millis(200)))
        .await;
    let oidc = issuer.oidc();
    let token = signer.sign(&issuer.claims());
    let hung_up = tokio::time::timeout(Duration::from_millis(50), oidc.identify(&token)).await;
    assert!(hung_up.is_err());
    assert_eq!(oidc.identify(&token).await, Ok(ada()));
    assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
}

#[tokio::test]
async fn the_place_of_keys_can_be_set() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let jwks_url = Some(format!("{}{JWKS}", issuer.name()));
    let oidc = Oidc::try_new(OidcConfig {
        jwks_url,
        ..issuer.config()
    })
    .unwrap();
    assert_eq!(issuer.requests().await, Vec::<String>::new());
    assert_eq!(
        oidc.identify(&signer.sign(&issuer.claims())).await,
        Ok(ada())
    );
    assert_eq!(issuer.requests().await, [JWKS]);
}

#[tokio::test]
async fn an_issuer_may_end_in_a_slash_or_have_a_path() {
    let signer = Signer::new("1", Algorithm::ES256);
    for under in ["/", "/realms/donors", "/realms/donors/"] {
        let issuer = Issuer::with(&[&signer]).await;
        let name = format!("{}{under}", issuer.name());
        let discovery = json!({"issuer": name, "jwks_uri": format!("{}{JWKS}", issuer.name())});
        issuer.server.reset().await;
        let at = format!("{}{DISCOVERY}", under.trim_end_matches('/'));
        issuer
            .answer(&at, ResponseTemplate::new(200).set_body_json(discovery))
            .await;
        let keys = json!({"keys": [signer.jwk]});
        issuer
            .answer(JWKS, ResponseTemplate::new(200).set_body_json(keys))
            .await;
        let token = signer.sign(&issuer.claiming("iss", json!(name)));
        let oidc = Oidc::try_new(OidcConfig {
            issuer: name,
            ..issuer.config()
        })
        .unwrap();
        assert_eq!(oidc.identify(&token).await, Ok(ada()), "{under}");
    }
}

#[tokio::test]
async fn believes_no_wrong_discovery() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let token = signer.sign(&issuer.claims());
    let (name, jwks) = (issuer.name(), format!("{}{JWKS}", issuer.name()));
    for document in [
        json!({"issuer": "https://elsewhere.example", "jwks_uri": jwks}),
        json!({"issuer": format!("{name}/"), "jwks_uri": jwks}),
        json!({"issuer": name, "jwks_uri": jwks.replace("http:", "https:")}),
        json!({"issuer": name, "jwks_uri": JWKS}),
        json!({"issuer": name}),
        json!({"jwks_uri": jwks}),
        json!([]),
    ] {
        issuer.server.reset().await;
        let answer = ResponseTemplate::new(200).set_body_json(&document);
        issuer.answer(DISCOVERY, answer).await;
        issuer
            .answer(
                JWKS,
                ResponseTemplate::new(200).set_body_json(json!({"keys": []})),
            )
            .await;
        let found = issuer.oidc().identify(&token).await;
        assert_eq!(found, Err(OidcError::Unavailable), "{document}");
        assert_eq!(issuer.requests().await, [DISCOVERY], "{document}");
    }
}

#[test]
fn keys_keep_the_scheme_of_their_issuer() {
    let asked = Url::parse(&format!("https://issuer.example{DISCOVERY}")).unwrap();
    let place = |keys: &str| {
        let document = json!({"issuer": "https://issuer.example", "jwks_uri": keys});
        let document: Discovery = serde_json::from_value(document).unwrap();
        document
            .place("https://issuer.example", &asked)
            .ok()
            .map(String::from)
    };
    let keys = "https://keys.example/jwks";
    assert_eq!(place(keys).as_deref(), Some(keys));
    for keys in [
        "http://issuer.example/jwks",
        "file:///jwks",
        "data:,{}",
        "/jwks",
        "",
    ] {
        assert_eq!(place(keys), None, "{keys}");
    }
}

#[tokio::test]
async fn believes_no_strange_answer() {
    let signer = Signer::new("1", Algorithm::ES256);
    let issuer = Issuer::with(&[&signer]).await;
    let token = signer.sign(&issuer.claims());
    let keys = json!({"keys": [signer.jwk]});
    let fits = json!({"keys": [signer.jwk], "pad": "x".repeat(200 * 1024)});
    let large = json!({"keys": [signer.jwk], "pad": "x".repeat(256 * 1024)});
    let elsewhere = format!("{}/elsewhere", issuer.name());
    let ok = || ResponseTemplate::new(200);
    for (answer, expected) in [
        (ok().set_body_json(&fits), Ok(ada())),
        (ok().set_body_json(&large), Err(OidcError::Unavailable)),
        (ok().set_body_string("<html>"), Err(OidcError::Unavailable)),
        (
            ok().set_body_json(json!({"keys": {}})),
            Err(OidcError::Unavailable),
        ),
        (
            ok().set_body_json(json!({"keys": []})),
            Err(OidcError::UnknownKey),
        ),
        (
            ResponseTemplate::new(500).set_body_json(&keys),
            Err(OidcError::Unavailable),
        ),
        (
            ResponseTemplate::new(302).insert_header("location", elsewhere.as_str()),
            Err(OidcError::Unavailable),
        ),
    ] {
        issuer.publish_set(answer).await;
        issuer.answer("/elsewhere", ok().set_body_json(&keys)).await;
        assert_eq!(issuer.oidc().identify(&token).await, expected);
        assert_eq!(issuer.requests().await, [DISCOVERY, JWKS]);
    }
}

#[tokio::test]
async fn errors_and_debug_output_do_not_show_the_token() {
    let signer = Signer::new("secret-kid", Algorithm::ES256);
    let issuer = Issuer::with(&[]).await;
    let oidc = issuer.oidc();
    let header = json!({"alg": "secret-alg"}).to_string();
    for token in [
        signer.sign(&issuer.claiming("sub", json!("secret-subject"))),
        format!("{}.e30.e30", URL_SAFE_NO_PAD.encode(header)),
        "secret-token".to_owned(),
    ] {
        let error = oidc.identify(&token).await.unwrap_err();
        let shown = format!("{error} {error:?} {oidc:?}");
        assert!(
            !shown.contains("secret") && !shown.contains(&token),
            "{shown}"
        );
    }
}

#[test]
fn refuses_settings_that_cannot_work() {
    let good = || OidcConfig {
        issuer: "https://issuer.example".to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks_url: None,
        roles_claim: "roles".to_owned(),
    };
    let refused = |config| match Oidc::try_new(config) {
        Err(OidcError::Config { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    for issuer in [
        "",
        "issuer.example",
        "ftp://issuer.example",
        "https://issuer.example?x=1",
    ] {
        assert_eq!(
            refused(OidcConfig {
                issuer: issuer.to_owned(),
                ..good()
            }),
            "issuer"
        );
    }
    assert_eq!(
        refused(OidcConfig {
            audience: String::new(),
            ..good()
        }),
        "audience"
    );
    assert_eq!(
        refused(OidcConfig {
            roles_claim: String::new(),
            ..good()
        }),
        "roles claim"
    );
    assert_eq!(
        refused(OidcConfig {
            jwks_url: Some("/jwks".to_owned()),
            ..good()
        }),
        "JWKS URL"
    );
}
