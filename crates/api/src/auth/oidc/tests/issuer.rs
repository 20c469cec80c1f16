//! The issuer: its keys found, kept, renewed, and missed.

use super::*;

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
