//! What details are to contain, as a search asks: any object that details can be (S4).

use serde_json::json;
use tranche_application::audit::incoming::read_details;

#[test]
fn an_object_is_read_as_it_is() {
    let text = r#" {"a": {"b": [1, -2, 2.5, "x\u00e9", null, true]}} "#;
    let read = read_details(text);
    assert_eq!(
        read,
        Ok(json!({ "a": { "b": [1, -2, 2.5, "xé", null, true] } }))
    );
}

#[test]
fn what_details_cannot_be_is_refused_with_the_reason() {
    let twice = r#"{"a": {"b": 1, "b": 1}}"#;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32));
    for (text, message) in [
        ("", "must be JSON"),
        ("{", "must be JSON"),
        ("{} {}", "must be JSON"),
        ("[]", "must be an object"),
        ("null", "must be an object"),
        (r#"{"$sealed": {}}"#, "must not hold a field named $sealed"),
        (
            r#"{"a": [{"$sealed": 1}]}"#,
            "must not hold a field named $sealed",
        ),
        (twice, "must not have the same field twice in one object"),
        (deep.as_str(), "must have at most 32 levels"),
    ] {
        assert_eq!(read_details(text), Err(message.to_owned()), "{text}");
    }
}
