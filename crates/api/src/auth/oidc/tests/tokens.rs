//! Tokens: what is taken, and everything that is refused.

use super::*;

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
