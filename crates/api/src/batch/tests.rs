use super::{MOST_BROKEN, NO_TEXT, entries, mended};

fn status(body: &str) -> (u16, Vec<String>) {
    let problem = entries(body, 3).expect_err(body);
    let fields = problem.errors.into_iter().map(|error| error.field);
    (problem.status, fields.collect())
}

#[test]
fn each_entry_is_kept_as_it_was_sent() {
    let body = r#" { "entries" : [ {"a":1} , 7,"x" ] } "#;
    assert_eq!(entries(body, 3).unwrap(), [r#"{"a":1}"#, "7", "\"x\""]);
}

#[test]
fn a_body_that_is_no_json_object_is_malformed() {
    for body in [
        "",
        " ",
        "[]",
        "7",
        "null",
        "{",
        r#"{"entries":[1,]}"#,
        r#"{"entries":[1}"#,
        r#"{"entries":[1]} x"#,
        r#"{"entries":[1"#,
        r#"{"entries":['a']}"#,
        "\u{feff}{}",
    ] {
        assert_eq!(status(body), (400, vec![]), "{body}");
    }
}

#[test]
fn a_body_has_entries_and_nothing_else() {
    let entries = || vec!["entries".to_owned()];
    for body in [
        "{}",
        r#"{"entries":null}"#,
        r#"{"entries":{}}"#,
        r#"{"entries":"[1]"}"#,
        r#"{"entries":[]}"#,
        r#"{"entries":[1,2,3,4]}"#,
        r#"{"entries":[1,2,3,4,5,6,7]}"#,
        r#"{"entries":[1],"entries":[2]}"#,
    ] {
        assert_eq!(status(body), (422, entries()), "{body}");
    }
    let unknown = r#"{"entry":1,"entries":[1]}"#;
    assert_eq!(status(unknown), (422, vec!["entry".to_owned()]));
    assert!(super::entries(r#"{"\u0065ntries":[1,2,3]}"#, 3).is_ok());
}

#[test]
fn a_million_levels_and_a_million_entries_are_no_burden() {
    let deep = format!(
        r#"{{"entries":[{}{}]}}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    assert_eq!(entries(&deep, 3).unwrap().len(), 1);
    let many = format!(r#"{{"entries":[1{}]}}"#, ",1".repeat(1_000_000));
    assert_eq!(status(&many).0, 422);
}

#[test]
fn what_is_no_utf_8_spoils_its_own_text_alone() {
    let body = b"{\"entries\":[\"good\",\"b\xffd\",\"\\ud83d\xc3\",\"\xf0\x9f\\udc00\"]}";
    let text = mended(body);
    let found = entries(&text, 4).unwrap();
    let read = |entry: &str| serde_json::from_str::<String>(entry).ok();
    let read: Vec<Option<String>> = found.into_iter().map(read).collect();
    assert_eq!(read, [Some("good".to_owned()), None, None, None]);
    for body in [
        &b"{\"entries\":[\xff]}"[..],
        b"\xff{}",
        b"{\"\xff\":1,\"entries\":[1]}",
    ] {
        assert_eq!(status(&mended(body)).0, 400);
    }
    assert_eq!(mended("{\"é\":1}".as_bytes()), "{\"é\":1}");
}

#[test]
fn so_many_broken_places_spoil_their_entries_and_more_the_body() {
    let body = |broken: usize| {
        [
            &b"{\"entries\":[1,\""[..],
            &b"\xff.".repeat(broken),
            b"\"]}",
        ]
        .concat()
    };
    let text = mended(&body(MOST_BROKEN)).into_owned();
    let found = entries(&text, 3).unwrap();
    assert_eq!(found[0], "1");
    serde_json::from_str::<String>(found[1]).expect_err("its text is broken");
    let beyond = mended(&body(MOST_BROKEN + 1)).into_owned();
    assert_eq!(beyond.len(), text.len() + "\u{1}.".len());
    assert_eq!(status(&beyond), (400, vec![]));
    // However many there are, the text has little more than the body.
    let most = mended(&vec![0xff; 1 << 20]).len();
    assert!(
        most < (1 << 20) + MOST_BROKEN * NO_TEXT.len(),
        "{most} bytes"
    );
}
