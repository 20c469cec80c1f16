//! The audit log over HTTP: what is found, how lists go on, and who may see it.

use reqwest::Method;
use serde_json::{Value, json};
use tranche_tests::support::service::{Answer, Caller, Options, StoreKind, Tranche, eventually};

use crate::scene::{Scene, at, id, rows};

on_both_stores! {
    searched: the_log_is_searched_by_everything_in_it_on_sqlite,
        the_log_is_searched_by_everything_in_it_on_postgres;
    walked: a_walk_gives_every_event_once_on_sqlite, a_walk_gives_every_event_once_on_postgres;
    refused: what_cannot_be_asked_is_named_on_sqlite, what_cannot_be_asked_is_named_on_postgres;
    confined: a_project_s_auditor_sees_its_events_alone_on_sqlite,
        a_project_s_auditor_sees_its_events_alone_on_postgres;
    named: actors_have_names_on_sqlite, actors_have_names_on_postgres;
    limited: searches_are_limited_and_recorded_on_sqlite,
        searches_are_limited_and_recorded_on_postgres;
}

const EVENTS: &str = "/v1/audit/events";

fn unlimited() -> Options {
    Options {
        settings: vec![("TRANCHE_RATE_LIMIT", "off".to_owned())],
        ..Options::default()
    }
}

pub(super) fn start(store: StoreKind) -> Tranche {
    Tranche::start(store, unlimited())
}

/// An event as another service sends it, stored before the answer.
pub(super) fn event(n: usize) -> Value {
    json!({
        "action": format!("invoice.step_{}", n % 3), "resource_type": "invoice",
        "resource_id": format!("inv-{n}"), "actor_id": format!("clerk-{}", n % 2),
        "severity": "critical", "details": { "total": n, "note": format!("Note {n}%") },
    })
}

pub(super) async fn sent(service: &Caller, events: impl IntoIterator<Item = Value>) {
    let entries: Vec<Value> = events.into_iter().collect();
    let answer = service.post(EVENTS, &json!({ "entries": entries })).await;
    answer.json(201);
}

/// An address with these parameters.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://here", parameters).expect("an address");
    format!("{path}?{}", url.query().unwrap_or_default())
}

/// A list, which says by itself where it is: the link restores every filter, for whoever has it.
pub(super) async fn list(auditor: &Caller, parameters: &[(&str, &str)]) -> Value {
    let listing = auditor.get(&address(EVENTS, parameters)).await.json(200);
    let mut shared = parameters.to_vec();
    shared.retain(|(name, _)| *name != "cursor");
    let here = match shared.as_slice() {
        [] => EVENTS.to_owned(),
        shared => address(EVENTS, shared),
    };
    assert_eq!(listing["navigation"]["self"], here);
    listing
}

fn column(listing: &Value, name: &str) -> Vec<Value> {
    rows(listing).iter().map(|row| row[name].clone()).collect()
}

// S4: every filter, alone and together; an event by its id.
async fn searched(store: StoreKind) {
    let tranche = start(store);
    let service = tranche.caller("billing", "service", None);
    let auditor = tranche.caller("bisi", "auditor", None);
    sent(&service, (0..12).map(event)).await;
    for (parameters, expected) in [
        (vec![("resource_type", "invoice")], (0..12).rev().collect()),
        (vec![("resource_id", "inv-7")], vec![7]),
        (vec![("action", "invoice.step_1")], vec![10, 7, 4, 1]),
        (
            vec![("action", "invoice.step_1,invoice.step_2"), ("limit", "3")],
            vec![11, 10, 8],
        ),
        (
            vec![("actor", "clerk-1"), ("action", "invoice.step_0")],
            vec![9, 3],
        ),
        (
            vec![("severity", "info,warning"), ("resource_type", "invoice")],
            vec![],
        ),
        (
            vec![("q", "NOTE 1%"), ("resource_type", "invoice")],
            vec![1],
        ),
        (
            vec![
                ("q", "note 1"),
                ("resource_type", "invoice"),
                ("offset", "1"),
            ],
            vec![10, 1],
        ),
        (vec![("q", "_%")], vec![]),
        (vec![("details", r#"{"total": 5.0}"#)], vec![5]),
        (
            vec![("details", r#"{"note": "Note 5%", "total": 6}"#)],
            vec![],
        ),
        (vec![("to", "2020-01-01T00:00:00Z")], vec![]),
        (vec![("from", "2999-01-01T00:00:00+01:00")], vec![]),
        (
            vec![("include", "archive"), ("resource_id", "inv-7")],
            vec![7],
        ),
    ] {
        let found = list(&auditor, &parameters).await;
        let ids: Vec<Value> = expected.iter().map(|n| json!(format!("inv-{n}"))).collect();
        assert_eq!(column(&found, "resource_id"), ids, "{parameters:?}");
    }
    let one = &rows(&list(&auditor, &[("resource_id", "inv-7")]).await)[0];
    let same = auditor
        .get(&format!("{EVENTS}/{}", id(one)))
        .await
        .json(200);
    assert_eq!(same["details"], json!({ "total": 7, "note": "Note 7%" }));
    assert_eq!(same["actor"]["id"], "clerk-1");
    for unknown in ["00000000-0000-7000-8000-000000000000", "7"] {
        let answer = auditor.get(&format!("{EVENTS}/{unknown}")).await;
        answer.problem(404, "not_found");
    }
}

// S4, S10: pages, the link that restores the filters, the bound in time, the way to follow on.
async fn walked(store: StoreKind) {
    let tranche = start(store);
    let service = tranche.caller("billing", "service", None);
    let auditor = tranche.caller("bisi", "auditor", None);
    sent(&service, (0..25).map(event)).await;
    let filters = [("resource_type", "invoice"), ("q", "note"), ("limit", "10")];
    let (mut met, mut cursor, mut first) = (Vec::new(), None::<String>, None::<Value>);
    for page in 0..4 {
        let mut parameters = filters.to_vec();
        let given = cursor.clone();
        parameters.extend(given.as_deref().map(|cursor| ("cursor", cursor)));
        let listing = list(&auditor, &parameters).await;
        met.extend(column(&listing, "resource_id"));
        let first = first.get_or_insert_with(|| listing.clone());
        for kept in ["default_from", "stream_after", "limit"] {
            assert_eq!(listing["page"][kept], first["page"][kept], "{kept}");
        }
        assert!(listing["page"]["default_from"].is_string(), "{listing}");
        sent(&service, [event(100 + page)]).await;
        match listing["page"]["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    let expected: Vec<Value> = (0..25).rev().map(|n| json!(format!("inv-{n}"))).collect();
    assert_eq!(met, expected);

    let first = first.expect("a page");
    let here = first["navigation"]["self"].as_str().expect("a link");
    let other = tranche.caller("kemi", "admin", None);
    assert_eq!(
        other.get(here).await.json(200)["data"]
            .as_array()
            .map(Vec::len),
        Some(10)
    );
    let crumbs = &first["navigation"]["breadcrumbs"];
    assert_eq!(crumbs, &json!([{ "label": "Audit log", "href": EVENTS }]));
    let plain = list(&auditor, &[("limit", "1")]).await;
    assert_eq!(plain["page"]["default_from"], Value::Null);

    let cursor = first["page"]["next_cursor"].as_str().expect("it goes on");
    let (head, tail) = cursor.split_at(cursor.len() - 8);
    let other_letter = if tail.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{head}{other_letter}{}", &tail[1..]);
    let mine = |cursor: &str, q: &str| {
        let mut parameters = filters.to_vec();
        parameters[1].1 = q;
        parameters.push(("cursor", cursor));
        address(EVENTS, &parameters)
    };
    for (who, address) in [
        (&other, mine(cursor, "note")),
        (&auditor, mine(cursor, "note 1")),
        (&auditor, mine(&forged, "note")),
        (&auditor, mine("", "note")),
        (
            &auditor,
            address(EVENTS, &[("cursor", cursor), ("include", "archive")]),
        ),
    ] {
        who.get(&address).await.problem(400, "request.malformed");
    }
}

// S4: nothing is guessed.
async fn refused(store: StoreKind) {
    let tranche = start(store);
    let auditor = tranche.caller("bisi", "auditor", None);
    let long = "x".repeat(10_000);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(60), "]".repeat(60));
    for (path, parameters, fields) in [
        (EVENTS, vec![("severty", "info")], vec!["severty"]),
        (
            EVENTS,
            vec![("severity", "fatal"), ("limit", "0")],
            vec!["limit", "severity"],
        ),
        (
            EVENTS,
            vec![("action", "a,,b"), ("limit", "1001")],
            vec!["action", "limit"],
        ),
        (EVENTS, vec![("q", &long)], vec!["q"]),
        (EVENTS, vec![("q", "")], vec!["q"]),
        (
            EVENTS,
            vec![("q", "a\0b"), ("actor", "a\0b")],
            vec!["actor", "q"],
        ),
        (EVENTS, vec![("details", "{")], vec!["details"]),
        (EVENTS, vec![("details", &deep)], vec!["details"]),
        (
            EVENTS,
            vec![("details", "7"), ("project_id", "7")],
            vec!["details", "project_id"],
        ),
        (
            EVENTS,
            vec![
                ("from", "2026-01-02T00:00:00Z"),
                ("to", "2026-01-01T00:00:00Z"),
            ],
            vec!["to"],
        ),
        (EVENTS, vec![("offset", "10001")], vec!["offset"]),
        (
            EVENTS,
            vec![("offset", "-1"), ("limit", "x")],
            vec!["limit", "offset"],
        ),
        (
            EVENTS,
            vec![("offset", "0"), ("cursor", "x")],
            vec!["offset"],
        ),
        (EVENTS, vec![("include", "stats,all")], vec!["include"]),
        ("/v1/audit/stats", vec![("bucket", "year")], vec!["bucket"]),
        ("/v1/audit/stats", vec![("bucket", "hour")], vec!["from"]),
        (
            "/v1/audit/stats",
            vec![("limit", "1"), ("from", "x")],
            vec!["limit"],
        ),
        ("/v1/audit/capacity", vec![], vec![]),
    ] {
        let answer = auditor.get(&address(path, &parameters)).await;
        match fields.as_slice() {
            [] => drop(answer.json(200)),
            fields => assert_eq!(answer.refused_fields(), fields, "{parameters:?}"),
        }
    }
    let twice = auditor.get(&format!("{EVENTS}?action=a&action=b")).await;
    twice.problem(400, "request.malformed");
    for (subject, role) in [
        ("v", "viewer"),
        ("m", "manager"),
        ("s", "service"),
        ("t", "treasurer"),
    ] {
        let other = tranche.caller(subject, role, None);
        for path in [EVENTS, "/v1/audit/stats", "/v1/audit/capacity"] {
            let answer = other.get(path).await;
            answer.problem(403, "auth.role_required");
        }
    }
    let nobody = tranche.with_token(None).get(EVENTS).await;
    nobody.problem(401, "auth.missing");
}

// S9, S4: a key for one project sees its events, whatever it asks.
async fn confined(store: StoreKind) {
    let scene = Scene::with(store, unlimited());
    let (own, other) = (scene.project().await, scene.project().await);
    let (mine, theirs) = (
        scene.approved(&own, 1, "1000").await,
        scene.approved(&other, 1, "1000").await,
    );
    let confined = scene.tranche.caller("bisi", "auditor", Some(&own));
    let auditor = scene.tranche.caller("kemi", "auditor", None);
    let approvals = [("action", "milestone.approved")];
    let all = list(&auditor, &approvals).await;
    let milestones = column(&all, "milestone_id");
    assert_eq!(milestones, [json!(theirs), json!(mine)]);
    let seen = list(&confined, &approvals).await;
    assert_eq!(column(&seen, "milestone_id"), [json!(mine)]);
    for parameters in [
        [("project_id", other.as_str())],
        [("milestone_id", theirs.as_str())],
        [("q", theirs.as_str())],
    ] {
        let seen = list(&confined, &parameters).await;
        assert_eq!(rows(&seen), [] as [Value; 0], "{parameters:?}");
    }
    let hidden = &rows(&all)[0];
    let answer = confined.get(&format!("{EVENTS}/{}", id(hidden))).await;
    answer.problem(404, "not_found");
    let address = address("/v1/audit/stats", &approvals);
    assert_eq!(confined.get(&address).await.json(200)["total"], 1);
    assert_eq!(auditor.get(&address).await.json(200)["total"], 2);
    let capacity = confined.get("/v1/audit/capacity").await;
    capacity.problem(403, "auth.out_of_scope");
    let copy = "/v1/audit/export?format=csv&action=milestone.approved";
    let copy = confined.get(copy).await;
    assert!(
        copy.header("content-disposition").contains(&own),
        "{copy:?}"
    );
    assert!(copy.text.contains(&mine) && !copy.text.contains(&theirs));
    // Who sees the project sees that it was copied.
    eventually("the copy is in the log", async || {
        let copies = list(&confined, &[("action", "audit.exported")]).await;
        (column(&copies, "project_id") == [json!(own)]).then_some(())
    })
    .await;
    let crumbs = list(&auditor, &[("project_id", &own), ("milestone_id", &mine)]).await;
    let crumbs = crumbs["navigation"]["breadcrumbs"]
        .as_array()
        .expect("a way")
        .clone();
    let links: Vec<Value> = crumbs.iter().map(|crumb| crumb["href"].clone()).collect();
    let project = format!("/v1/projects/{own}");
    let milestone = format!("/v1/milestones/{mine}");
    assert_eq!(
        links,
        [
            json!("/v1/projects"),
            json!(project),
            json!(milestone),
            json!(EVENTS)
        ]
    );
    assert_eq!(scene.admin.get(&at(&mine, "activity")).await.status, 200);
}

// S4: the directory of actors is kept by whoever issues their keys.
async fn named(store: StoreKind) {
    let scene = Scene::with(store, unlimited());
    let auditor = scene.tranche.caller("bisi", "auditor", None);
    let issue = |more: &[&str]| {
        let mut arguments = vec!["key", "issue", "--subject", "ngozi", "--role", "manager"];
        arguments.extend(more);
        scene.tranche.command(&arguments)
    };
    assert!(
        issue(&["--name", "Ngozi Ade", "--email", "n@x.ng"])
            .status
            .success()
    );
    assert!(issue(&["--email", "ngozi@x.ng"]).status.success());
    assert!(!issue(&["--name", "a\nb"]).status.success());
    let project = scene.project().await;
    let milestone = scene.approved(&project, 1, "1000").await;
    let submitted = eventually("the event is in the log", async || {
        let found = list(
            &auditor,
            &[("milestone_id", &milestone), ("actor", "ngozi")],
        )
        .await;
        let action = |row: &&Value| row["action"] == "milestone.submitted";
        rows(&found).iter().find(action).cloned()
    })
    .await;
    let ngozi = json!({
        "id": "ngozi", "name": "Ngozi Ade", "email": "ngozi@x.ng", "role": "manager",
    });
    assert_eq!(submitted["actor"], ngozi);
    let one = auditor.get(&format!("{EVENTS}/{}", id(&submitted))).await;
    assert_eq!(one.json(200)["actor"], ngozi);
    let activity = scene.admin.get(&at(&milestone, "activity")).await.json(200);
    let actors: Vec<Value> = column(&activity, "actor");
    assert!(actors.contains(&ngozi), "{activity}");
    let unknown = actors.iter().find(|actor| actor["id"] == "tunde");
    assert_eq!(unknown.expect("it approved")["name"], Value::Null);
}

// S9, S10: who reads is recorded, with what they asked for; and they may do it so often.
async fn limited(store: StoreKind) {
    let tranche = Tranche::start(store, Options::default());
    let auditor = tranche.caller("bisi", "auditor", None);
    let asked = [("actor", "bisi"), ("action", "audit.read"), ("q", "loan")];
    let first: Answer = auditor.get(&address(EVENTS, &asked)).await;
    assert_eq!(first.header("ratelimit-limit"), "100");
    first.json(200);
    let read = eventually("the reading is in the log", async || {
        let sql = "SELECT count(*) FROM audit_events WHERE action = 'audit.read' \
            AND actor_id = 'bisi' AND resource_id = 'events'";
        (tranche.sql(sql).await != "0").then_some(())
    });
    read.await;
    let found = list(&auditor, &[("actor", "bisi"), ("action", "audit.read")]).await;
    let event = rows(&found).last().cloned().expect("it is there");
    assert_eq!(event["metadata"]["rows"], 0);
    let filter = event["metadata"]["filter"].as_str().expect("a text");
    let filter: Value = serde_json::from_str(filter).expect("JSON");
    assert_eq!(filter["actors"], json!(["bisi"]));
    // What was looked for is a hash, which who has the term can tell.
    let told = tranche.command(&["log", "search-term", "--q", "LOAN"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.starts_with("hmac-sha256:"), "{told}");
    assert_eq!(filter["text"], told.trim());
    assert!(!event.to_string().contains("loan"), "{event}");

    let mut answers = Vec::new();
    for _ in 0..99 {
        answers.push(auditor.send(Method::GET, "/v1/audit/stats", None).await);
    }
    let (last, _) = answers.split_last().expect("some");
    let problem = last.problem(429, "rate_limit.exceeded");
    assert!(
        last.header("retry-after").parse::<u32>().is_ok(),
        "{problem}"
    );
    // Copies are of the same allowance.
    let refused = auditor.get("/v1/audit/export?format=csv").await;
    refused.problem(429, "rate_limit.exceeded");
    let other = tranche.caller("kemi", "auditor", None);
    other.get(EVENTS).await.json(200);
}
