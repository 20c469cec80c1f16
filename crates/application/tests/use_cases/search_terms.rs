//! Search terms in the log: told apart, recognised by who has them, and in clear nowhere (S9).

use serde_json::{Value, json};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::search_terms::SearchTerms;
use tranche_application::keys::{KeyRing, keyed_hash};

fn terms(pepper: u8) -> SearchTerms {
    SearchTerms::new(&KeyRing::new([pepper; 32]))
}

// S9
#[test]
fn a_filter_is_written_without_what_was_looked_for() {
    let filter = EventFilter {
        actions: vec!["loan.paid".to_owned()],
        text: Some("Ngozi Ade".to_owned()),
        details: Some(json!({ "name": "Ngozi" })),
        ..EventFilter::default()
    };
    let written = terms(1).written(&filter);
    assert!(!written.contains("Ngozi"), "{written}");
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["actions"], json!(["loan.paid"]));
    assert_eq!(written["text"], terms(1).of_text("Ngozi Ade"));
    assert_eq!(
        written["details"],
        terms(1).of_details(&json!({ "name": "Ngozi" }))
    );
    let plain = terms(1).written(&EventFilter::default());
    let plain: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(
        (&plain["text"], &plain["details"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn what_finds_the_same_has_the_same_hash() {
    let terms = terms(1);
    assert_eq!(terms.of_text("Ngozi"), terms.of_text("nGOZI"));
    assert_ne!(terms.of_text("Ngozi"), terms.of_text("Ngozi "));
    let details = |text: &str| terms.of_details(&serde_json::from_str(text).unwrap());
    assert_eq!(
        details(r#"{"a": 1, "b": [2]}"#),
        details(r#"{"b":[2],"a":1.0}"#)
    );
    assert_ne!(details(r#"{"a": "x"}"#), details(r#"{"a": "X"}"#));
}

/// Nobody without the house's key makes the hash, and no other hash of the house is one of a term.
#[test]
fn a_hash_is_the_houses_own() {
    assert_ne!(terms(1).of_text("ada"), terms(2).of_text("ada"));
    let ring = KeyRing::new([1; 32]);
    let others = [
        keyed_hash(&[1; 32], b"text ada"),
        ring.subject_hash("text ada"),
        ring.subject_hash("ada"),
    ];
    for other in others {
        assert!(!terms(1).of_text("ada").contains(&hex::encode(other)));
    }
    assert_ne!(terms(1).of_text("{}"), terms(1).of_details(&json!({})));
}
