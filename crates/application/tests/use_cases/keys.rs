//! API keys: a token opens its key and no other, and is nowhere kept.

use sha2::{Digest, Sha256};
use tranche_application::keys::{ApiKey, IssueKey, KeyRing, Keys, keyed_hash};
use tranche_domain::Role;

use super::scene::{PROJECT, caller, time};
use super::script::Step;
use super::stage::{Stage, down};

const PEPPER: [u8; 32] = [9; 32];

fn new_key() -> IssueKey {
    IssueKey {
        subject: "ops".to_owned(),
        roles: vec![Role::Manager, Role::Viewer],
        project_id: Some(PROJECT),
        rate_limit: Some("5000/h".to_owned()),
    }
}

fn commands(stage: &mut Stage) -> Keys {
    Keys::new(stage.services(), KeyRing::new(PEPPER))
}

/// Issues a key: the token, and what was kept.
async fn issued() -> (String, ApiKey, Stage) {
    let mut stage = Stage::new();
    stage.work([
        Step::KeepKey(Ok(())),
        Step::Post(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let keys = commands(&mut stage);
    let token = keys.issue(new_key(), &caller("admin")).await.unwrap();
    let key = stage.seen.lock().unwrap().keys[0].clone();
    (token.expose().to_owned(), key, stage)
}

#[tokio::test]
async fn an_issued_token_opens_its_key_and_a_changed_one_does_not() {
    let (token, key, _) = issued().await;
    let ring = KeyRing::new(PEPPER);
    assert!(ring.opens(&token, &key));
    assert_eq!(format!("{ring:?}"), "KeyRing(…)");
    assert!(!KeyRing::new([8; 32]).opens(&token, &key), "another pepper");
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        let other = String::from_utf8(other).unwrap();
        assert!(!ring.opens(&other, &key), "{at}");
    }
    assert!(!ring.opens(&token[..token.len() - 1], &key));
    assert!(!ring.opens("", &key));
}

#[tokio::test]
async fn a_token_names_its_key_and_holds_thirty_two_secret_bytes() {
    let (token, key, _) = issued().await;
    assert_eq!(token, format!("trk_{}_{}", key.id, "ab".repeat(32)));
    assert_eq!(key.id.len(), 16);
    assert_eq!(KeyRing::id_of(&token), Some(key.id.as_str()));
}

#[test]
fn only_what_has_a_tokens_form_names_a_key() {
    let (id, secret) = ("0123456789abcdef", "ab".repeat(32));
    assert_eq!(KeyRing::id_of(&format!("trk_{id}_{secret}")), Some(id));
    for text in [
        String::new(),
        "trk_".to_owned(),
        format!("trk_{id}"),
        format!("trk_{id}_"),
        format!("{id}_{secret}"),
        format!("TRK_{id}_{secret}"),
        format!("trk_{id}{secret}"),
        format!("trk_{id}_{secret}0"),
        format!("trk_{id}0_{secret}"),
        format!("trk_{id}_{}", &secret[1..]),
        format!("trk_g{}_{secret}", &id[1..]),
        format!("trk_{id}_g{}", &secret[1..]),
        format!("trk_{id}_é{}", &secret[2..]),
        format!(" trk_{id}_{secret}"),
    ] {
        assert_eq!(KeyRing::id_of(&text), None, "{text}");
    }
}

#[tokio::test]
async fn what_is_kept_is_a_hash_and_the_event_holds_no_secret() {
    let (token, key, stage) = issued().await;
    assert_eq!(key.hash, keyed_hash(&PEPPER, token.as_bytes()));
    assert_eq!(key.subject, "ops");
    assert_eq!(key.roles, [Role::Manager, Role::Viewer]);
    assert_eq!(key.project_id, Some(PROJECT));
    assert_eq!(key.rate_limit.as_deref(), Some("5000/h"));
    assert_eq!((key.created_at, key.revoked_at), (time(0), None));
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    let event = &seen.posted[0];
    assert_eq!(event.action, "key.issued");
    assert_eq!(event.resource_id.as_deref(), Some(key.id.as_str()));
    assert_eq!(event.project_id, Some(PROJECT.0));
    assert_eq!(event.actor.id, "admin");
    assert_eq!(event.metadata["subject"], "ops");
    assert_eq!(event.metadata["roles"], "manager,viewer");
    let text = serde_json::to_string(event).unwrap();
    for secret in ["ab".repeat(32), token, hex::encode(key.hash)] {
        assert!(!text.contains(&secret));
    }
}

#[tokio::test]
async fn a_token_does_not_print_itself() {
    let mut stage = Stage::new();
    stage.work([
        Step::KeepKey(Ok(())),
        Step::Post(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let keys = commands(&mut stage);
    let token = keys.issue(new_key(), &caller("admin")).await.unwrap();
    assert_eq!(format!("{token:?}"), "Token(…)");
}

#[tokio::test]
async fn a_key_whose_event_is_refused_is_not_issued() {
    let mut stage = Stage::new();
    stage.work([Step::KeepKey(Ok(())), Step::Post(down())]);
    stage.work([Step::KeepKey(down())]);
    let keys = commands(&mut stage);
    assert!(keys.issue(new_key(), &caller("admin")).await.is_err());
    assert!(keys.issue(new_key(), &caller("admin")).await.is_err());
    assert!(!stage.rung().await);
}

#[tokio::test]
async fn a_key_in_force_is_revoked_with_its_event() {
    let mut stage = Stage::new();
    stage.work([
        Step::RevokeKey(true),
        Step::Post(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let keys = commands(&mut stage);
    let revoked = keys.revoke("0123456789abcdef", &caller("admin")).await;
    assert!(revoked.unwrap());
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.revoked, [("0123456789abcdef".to_owned(), time(0))]);
    assert_eq!(seen.posted[0].action, "key.revoked");
    assert_eq!(
        seen.posted[0].resource_id.as_deref(),
        Some("0123456789abcdef")
    );
}

#[tokio::test]
async fn a_key_not_in_force_leaves_no_event() {
    let mut stage = Stage::new();
    stage.work([Step::RevokeKey(false)]);
    let keys = commands(&mut stage);
    let revoked = keys.revoke("0123456789abcdef", &caller("admin")).await;
    assert!(!revoked.unwrap());
    assert!(!stage.rung().await);
}

/// RFC 2104 by hand.
#[test]
fn the_keyed_hash_is_hmac_sha_256() {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        for (byte, key) in block.iter_mut().zip(PEPPER) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(b"message")
        .finalize();
    let outer = Sha256::new()
        .chain_update(padded(0x5C))
        .chain_update(inner)
        .finalize();
    assert_eq!(keyed_hash(&PEPPER, b"message"), <[u8; 32]>::from(outer));
}
