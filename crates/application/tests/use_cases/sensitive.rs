//! Sensitive parts of events: how long a key is held, and what becomes of events whose keys are away
//! (S9). What is sealed and opened is the stores' contract's business.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tranche_application::audit::erasure::{Erasure, ErasureError};
use tranche_application::audit::intake::{Intake, Refusal};
use tranche_application::audit::record::EventRecord;
use tranche_application::audit::sensitive::{HELD, Rules, Sensitive};
use tranche_application::keys::KeyRing;
use tranche_application::mocks::MockSubjectKeys;
use tranche_application::ports::custody::{CustodyError, SealedSecret, SealedWallet, Sealer};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::subject_keys::{Mentions, SubjectKey};
use tranche_domain::Origin;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::plant::{Plant, event};
use super::scene::{caller, time};
use super::stage::Stage;

/// Opens whatever it is given.
struct Open;

impl Sealer for Open {
    fn key_id(&self) -> &'static str {
        "key-1"
    }

    fn has(&self, _: &str) -> bool {
        true
    }

    fn seal_secret(&self, _: &str, _: &[u8; 32]) -> Result<SealedSecret, CustodyError> {
        Err(CustodyError::UnknownCustodian)
    }

    fn open_secret(&self, _: &SealedSecret) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        Ok(Zeroizing::new([7; 32]))
    }

    fn reseal(&self, _: &SealedWallet) -> Result<SealedWallet, CustodyError> {
        Err(CustodyError::UnknownCustodian)
    }
}

fn sensitive(rules: &str, keys: MockSubjectKeys) -> Sensitive {
    let services = Stage::new().services();
    let rules = rules.parse().unwrap();
    Sensitive::new(
        rules,
        services,
        Arc::new(keys),
        Arc::new(Open),
        KeyRing::new([9; 32]),
    )
}

/// Keys that are there, and how often they were looked up.
fn kept() -> (MockSubjectKeys, Arc<AtomicUsize>) {
    let (mut keys, asked) = (MockSubjectKeys::new(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    keys.expect_in_force().returning(move |subjects| {
        count.fetch_add(1, Ordering::SeqCst);
        let key = |subject: &[u8; 32]| SubjectKey {
            id: Uuid::from_u128(u128::from(subject[0])),
            subject: *subject,
            key_id: "key-1".to_owned(),
            sealed: vec![1],
            created_at: time(0),
        };
        Ok(subjects.iter().map(key).collect())
    });
    (keys, asked)
}

fn away() -> MockSubjectKeys {
    let mut keys = MockSubjectKeys::new();
    let down = || StoreError::Unavailable("it is away".into());
    keys.expect_in_force().returning(move |_| Err(down()));
    keys
}

fn visit(n: u64) -> Arc<EventRecord> {
    Arc::new(EventRecord {
        details: json!({ "email": "ada@example.org" }),
        ..(*event(n)).clone()
    })
}

#[tokio::test(start_paused = true)]
async fn a_key_is_held_for_half_a_minute() {
    assert_eq!(HELD, Duration::from_secs(30));
    let (keys, asked) = kept();
    let sensitive = sensitive("$.email", keys);
    for (wait, lookups) in [(0, 1), (29, 1), (2, 2), (0, 2)] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        assert_eq!(sensitive.seal(&mut [visit(1)]).await, [] as [usize; 0]);
        assert_eq!(asked.load(Ordering::SeqCst), lookups, "after {wait} s more");
    }
}

#[tokio::test]
async fn what_no_rule_names_needs_no_key() {
    let plain = || {
        let event = EventRecord {
            ip_address: Some([192, 0, 2, 7].into()),
            ..(*event(1)).clone()
        };
        Arc::new(event)
    };
    for rules in ["", "$.phone, user_agent", "$.email"] {
        let mut events = [plain()];
        let sensitive = sensitive(rules, MockSubjectKeys::new());
        assert_eq!(sensitive.seal(&mut events).await, [] as [usize; 0]);
        assert_eq!(events, [plain()], "{rules}");
    }
}

/// Whatever cannot be sealed is kept nowhere; the rest of the request is.
#[tokio::test]
async fn events_that_cannot_be_sealed_are_refused() {
    let plant = Plant::new();
    let intake = Intake::new(plant.pipeline.clone()).sealing(sensitive("$.email", away()));
    let events = vec![event(1), visit(2), event(3), visit(4)];
    let accepted = intake.take(events).await.unwrap();
    assert_eq!(accepted.stored + accepted.queued, 2);
    let refused = [(1, Refusal::Unsealed), (3, Refusal::Unsealed)];
    assert_eq!(accepted.refused, refused);
}

/// An act does not fail because the keys are away, and nothing goes out in clear.
#[tokio::test]
async fn an_origin_that_cannot_be_sealed_is_left_out() {
    let origin = caller("maker").origin;
    let sensitive_away = sensitive("ip_address,user_agent", away());
    let left = sensitive_away.origin(origin.clone(), "maker").await;
    let expected = Origin {
        request_id: origin.request_id.clone(),
        ..Origin::default()
    };
    assert_eq!(left, expected);
    let (keys, _) = kept();
    let left = sensitive("user_agent", keys)
        .origin(origin.clone(), "maker")
        .await;
    assert_eq!(left.ip_address, origin.ip_address, "no rule names it");
    assert!(left.user_agent.is_none() && left.sealed.is_some());
}

/// Counting ends when its time is over, and what ended it is told apart from a store that is away.
#[tokio::test]
async fn a_count_that_takes_too_long_says_so() {
    let five = Duration::from_secs(5);
    let looked = async |answer: fn() -> Result<Mentions, StoreError>| {
        let (mut keys, _) = kept();
        keys.expect_mentions()
            .withf(move |_, actor, longest| actor == "ada" && *longest == Some(five))
            .returning(move |_, _, _| answer());
        let erasure = Erasure::new(Stage::new().services(), sensitive("$.email", keys));
        erasure.look("ada", Some(five)).await
    };
    assert!(looked(|| Ok(Mentions::default())).await.is_ok());
    let refused = looked(|| Err(StoreError::TooMuch)).await;
    assert!(matches!(refused, Err(ErasureError::TooMany)), "{refused:?}");
    let refused = looked(|| Err(StoreError::timeout())).await;
    assert!(
        matches!(refused, Err(ErasureError::Store(_))),
        "{refused:?}"
    );
}

#[test]
fn rules_are_read_and_written() {
    for (text, written) in [
        ("", ""),
        (
            " $.a , ,$.b.*@$.b.id, user_agent,ip_address",
            "$.a,$.b.*@$.b.id,ip_address,user_agent",
        ),
        ("$.a.*.c", "$.a.*.c"),
        ("$.größe", "$.größe"),
    ] {
        let rules: Rules = text.parse().unwrap();
        assert_eq!(rules.to_string(), written);
        assert_eq!(written.parse(), Ok(rules));
    }
    let many = vec!["$.a"; 51].join(",");
    let deep = format!("$.{}", vec!["a"; 33].join("."));
    for text in [
        "a", "$", "$.", "$a", "$..a", "$.a.", "$.a[0]", "$.a*", "$.a@", "$.a@$.*", "$.a@b",
        "$.a b", "phone", &many, &deep,
    ] {
        assert!(text.parse::<Rules>().is_err(), "{text}");
    }
}
