//! The documents of a trail: any list, object or string that means the same everywhere (T1).

use tranche_application::trails::document;
use tranche_domain::trail::JsonText;

fn read(raw: &str) -> Result<String, &'static str> {
    document(raw).map(|text| text.as_str().to_owned())
}

#[test]
fn the_same_document_is_the_same_text() {
    let one = read(r#"{"b": [1, 2.50 , {"z":null}], "a": "\u00e9"}"#).unwrap();
    let same = read("{\"a\":\"é\",\n \"b\":[1,2.5,{ \"z\": null }]}").unwrap();
    assert_eq!(one, same);
    assert_eq!(one, r#"{"a":"é","b":[1,2.5,{"z":null}]}"#);
    assert_eq!(read("\"one \\u0074ext\""), Ok("\"one text\"".to_owned()));
    assert_eq!(
        read(r#"[{"$sealed":1}]"#),
        Ok(r#"[{"$sealed":1}]"#.to_owned())
    );
}

#[test]
fn what_is_no_document_is_named() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&deep(32)).is_ok());
    let long = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4));
    assert!(read(&long(JsonText::MAX)).is_ok());
    let spaced = format!("[\"x\"{}]", " ".repeat(JsonText::MAX));
    assert_eq!(read(&spaced), Ok("[\"x\"]".to_owned()));
    let scalar = "must be a list, an object or a string";
    for (raw, flaw) in [
        ("7", scalar),
        ("true", scalar),
        ("null", scalar),
        (deep(33).as_str(), "must have at most 32 levels"),
        (
            long(JsonText::MAX + 1).as_str(),
            "must take at most 262144 bytes",
        ),
        (
            "[9007199254740993]",
            "must not hold a number beyond 9007199254740991; write it as a string",
        ),
        (r#"["\u0000"]"#, "must not hold the character U+0000"),
        (
            r#"{"a":1,"a":2}"#,
            "must not have the same field twice in one object",
        ),
        (
            r#"["\ud800"]"#,
            "must be valid Unicode: no invalid UTF-8, no half of a surrogate pair",
        ),
    ] {
        assert_eq!(read(raw), Err(flaw), "{}", &raw[..raw.len().min(40)]);
    }
}
