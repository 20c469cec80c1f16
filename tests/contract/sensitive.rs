//! Sensitive parts of events, sealed and opened over the keys that a store keeps (S9).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tranche_application::audit::erasure::{Erasure, ErasureError};
use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::audit::sensitive::{Sensitive, mask};
use tranche_application::keys::KeyRing;
use tranche_application::ports::clock::Clock;
use tranche_application::ports::custody::{CustodyError, SealedSecret, SealedWallet, Sealer};
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::monitor::{Fallback, Incident, Monitor};
use tranche_application::{Call, Caller, Outcome, Services};
use tranche_domain::text::Reason;
use tranche_domain::{Actor, Origin, Role};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::StoreUnderTest;
use super::scene::World;
use super::tools::an_event;

const RULES: &str = "$.email, $.patient.*@$.patient.id, $.list.*.name, ip_address, user_agent";
const SECRETS: [&str; 4] = ["ada@example.org", "Grace Hopper", "p-77", "198.51.100.7"];

/// Time, ids and bytes of the world's counter.
struct Machine(World, AtomicU8);

impl Clock for Machine {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }
}

impl Entropy for Machine {
    fn id(&self) -> Uuid {
        self.0.id()
    }

    fn salt(&self) -> [u8; 16] {
        [self.1.fetch_add(1, Ordering::Relaxed); 16]
    }

    fn secret(&self) -> [u8; 32] {
        [self.1.fetch_add(1, Ordering::Relaxed); 32]
    }
}

struct Silent;

impl Monitor for Silent {
    fn report(&self, _: Incident) {}
    fn fallback(&self, _: Fallback) {}
}

/// Keeps secrets with their name beside them: enough to see that both come back together.
struct Box;

impl Sealer for Box {
    fn key_id(&self) -> &'static str {
        "key-1"
    }

    fn has(&self, key_id: &str) -> bool {
        key_id == "key-1"
    }

    fn seal_secret(&self, name: &str, secret: &[u8; 32]) -> Result<SealedSecret, CustodyError> {
        Ok(SealedSecret {
            name: name.to_owned(),
            key_id: "key-1".to_owned(),
            sealed: [&secret[..], name.as_bytes()].concat(),
        })
    }

    fn open_secret(&self, sealed: &SealedSecret) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        let (secret, name) = sealed.sealed.split_at(32);
        assert_eq!(name, sealed.name.as_bytes());
        Ok(Zeroizing::new(secret.try_into().expect("32 bytes")))
    }

    fn reseal(&self, _: &SealedWallet) -> Result<SealedWallet, CustodyError> {
        Err(CustodyError::UnknownCustodian)
    }
}

/// A process over this store, with the rules above.
fn process(subject: &dyn StoreUnderTest, world: &World) -> (Services, Sensitive) {
    let machine = Arc::new(Machine(world.clone(), AtomicU8::new(1)));
    let services = Services {
        store: subject.store(),
        clock: machine.clone(),
        entropy: machine,
        monitor: Arc::new(Silent),
        outbox: Arc::new(Notify::new()),
    };
    let ring = KeyRing::new([9; 32]);
    let rules = RULES.parse().expect("they are rules");
    let keys = subject.subject_keys();
    let sensitive = Sensitive::new(rules, services.clone(), keys, Arc::new(Box), ring);
    (services, sensitive)
}

fn details() -> Value {
    json!({
        "email": "ada@example.org", "total": 12,
        "patient": { "id": "p-77", "name": "Grace Hopper", "visits": [1, { "at": 0.1 }], "none": null },
        "list": [{ "name": "Grace Hopper" }, { "other": true }, "text"],
    })
}

fn event(world: &World, actor: &str) -> EventRecord {
    let mut event = EventRecord {
        details: details(),
        metadata: json!({ "sent_by": "billing" }),
        ip_address: Some([198, 51, 100, 7].into()),
        user_agent: Some("Grace Hopper's phone".to_owned()),
        request_id: Some("request-7".to_owned()),
        ..an_event(world, world.id())
    };
    actor.clone_into(&mut event.actor.id);
    event
}

async fn sealed(sensitive: &Sensitive, event: &EventRecord) -> EventRecord {
    let mut events = [Arc::new(event.clone())];
    assert_eq!(sensitive.seal(&mut events).await, [] as [usize; 0]);
    let [sealed] = events;
    Arc::unwrap_or_clone(sealed)
}

async fn shown(sensitive: &Sensitive, event: &EventRecord, open: bool) -> EventRecord {
    let mut events = [LoggedEvent {
        event: event.clone(),
        recorded_at: None,
        leaf_index: None,
    }];
    let shown = events.iter_mut().map(|logged| &mut logged.event);
    let shown = sensitive.show(shown, open).await;
    shown.expect("the keys are looked up");
    let [LoggedEvent { event, .. }] = events;
    event
}

fn told(event: &EventRecord) -> String {
    serde_json::to_string(event).expect("JSON")
}

/// Nothing is left in clear that a rule names; who may see it sees what was there, to the byte.
pub async fn what_is_sensitive_is_sealed_and_opened(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (_, sensitive) = process(subject, &world);
    let clear = event(&world, "ada");
    let kept = sealed(&sensitive, &clear).await;
    for secret in SECRETS {
        assert!(told(&clear).contains(secret), "{secret}");
        assert!(!told(&kept).contains(secret), "{secret} in {}", told(&kept));
    }
    assert_eq!(kept.details["total"], 12);
    assert_eq!(kept.details["patient"]["none"], Value::Null);
    assert_eq!(kept.details["list"][1], json!({ "other": true }));
    assert_eq!((kept.ip_address, &kept.user_agent), (None, &None));
    assert_eq!(kept.metadata["sent_by"], "billing");
    // A key for the actor and one for the patient.
    assert_eq!(subject.count("audit_subject_keys").await, 2);
    assert_eq!(shown(&sensitive, &kept, true).await, clear);
    let (_, other) = process(subject, &world);
    assert_eq!(shown(&other, &kept, true).await, clear, "another process");

    let masked = shown(&sensitive, &kept, false).await;
    let hidden = json!({ "sealed": true });
    for place in ["/email", "/patient/name", "/patient/visits", "/list/0/name"] {
        assert_eq!(masked.details.pointer(place), Some(&hidden), "{place}");
    }
    assert_eq!(masked.metadata["origin"], hidden);
    let mut by_itself = kept.clone();
    mask(&mut by_itself);
    assert_eq!(by_itself, masked);

    let again = sealed(&sensitive, &event(&world, "ada")).await;
    assert_eq!(
        subject.count("audit_subject_keys").await,
        2,
        "the same keys"
    );
    assert_eq!(
        again.details["email"]["$sealed"],
        kept.details["email"]["$sealed"]
    );
    assert_ne!(again.details["email"]["box"], kept.details["email"]["box"]);
}

/// After an erasure nobody opens what the subject's key sealed, the leaf is what it was, other
/// subjects are untouched, and what comes later gets a key of its own.
pub async fn what_is_erased_stays_closed_and_proven(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (services, sensitive) = process(subject, &world);
    let clear = event(&world, "ada");
    let kept = sealed(&sensitive, &clear).await;
    let now = world.now();
    let leaf = kept.leaf_hash(now).expect("canonical");
    // Now this process holds the keys.
    assert_eq!(shown(&sensitive, &kept, true).await, clear);
    let erasure = Erasure::new(services, sensitive.clone());
    let call = Call {
        caller: Caller {
            actor: Actor {
                id: "admin".to_owned(),
                role: Role::Admin,
            },
            origin: Origin::default(),
            scope: None,
        },
        idempotency: None,
        expected_version: None,
    };
    let reason = Reason::try_new("asked to").expect("a short text");
    let unknown = erasure.erase("nobody", &reason, &call).await;
    assert!(matches!(unknown, Err(ErasureError::NoKey)), "{unknown:?}");
    let done = erasure.erase("p-77", &reason, &call).await;
    let key = match done.expect("it is erased") {
        Outcome::Done(key) => Some(key),
        Outcome::AlreadyApplied(_) => None,
    };
    let key = key.expect("it was not done before");
    assert_eq!(kept.details["patient"]["name"]["$sealed"], json!(key));
    let again = erasure.erase("p-77", &reason, &call).await;
    assert!(matches!(again, Err(ErasureError::NoKey)), "{again:?}");
    let told_of = format!(
        "audit_events WHERE action = 'subject.erased' AND severity = 'critical' AND resource_id = '{key}'"
    );
    assert_eq!(subject.count(&told_of).await, 1);

    let (_, other) = process(subject, &world);
    for process in [&sensitive, &other] {
        for open in [true, false] {
            let shown = shown(process, &kept, open).await;
            let erased = json!({ "erased": true });
            assert_eq!(shown.details["patient"]["name"], erased);
            assert_eq!(shown.details["patient"]["id"], erased);
            let email = if open {
                json!("ada@example.org")
            } else {
                json!({ "sealed": true })
            };
            assert_eq!(shown.details["email"], email);
        }
    }
    assert_eq!(kept.leaf_hash(now).expect("canonical"), leaf);

    let later = sealed(&sensitive, &event(&world, "ada")).await;
    assert_ne!(later.details["patient"]["name"]["$sealed"], json!(key));
    let opened = shown(&sensitive, &later, true).await;
    assert_eq!(opened.details, details());
}

/// A sealed value that was moved to another event or another place stays closed.
pub async fn a_mark_opens_where_it_was_made_alone(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (_, sensitive) = process(subject, &world);
    let one = sealed(&sensitive, &event(&world, "ada")).await;
    let other = sealed(&sensitive, &event(&world, "ada")).await;
    let mut forged = one.clone();
    forged.details["email"] = other.details["email"].clone();
    forged.details["patient"]["name"] = one.details["patient"]["id"].clone();
    forged.details["total"] = one.details["email"].clone();
    let mut cut = one.details["list"][0]["name"].clone();
    cut["box"] = json!("AAAA");
    forged.details["list"][0]["name"] = cut;
    forged.request_id = Some("request-8".to_owned());
    let shown = shown(&sensitive, &forged, true).await;
    let closed = json!({ "sealed": true });
    for place in ["/email", "/patient/name", "/total", "/list/0/name"] {
        assert_eq!(shown.details.pointer(place), Some(&closed), "{place}");
    }
    assert_eq!(shown.details["patient"]["id"], "p-77");
    assert_eq!(shown.metadata["origin"], closed);
    assert_eq!(shown.ip_address, None);
}

/// Where a request came from goes sealed into every event of the request.
pub async fn an_origin_is_sealed_for_its_request(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (_, sensitive) = process(subject, &world);
    let origin = Origin {
        ip_address: Some([198, 51, 100, 7].into()),
        user_agent: Some("Grace Hopper's phone".to_owned()),
        request_id: Some("request-7".to_owned()),
        sealed: None,
    };
    let kept = sensitive.origin(origin.clone(), "ada").await;
    assert_eq!((kept.ip_address, &kept.user_agent), (None, &None));
    assert!(kept.sealed.is_some());
    let mut act = world.act("ada", Role::Manager);
    act.origin = kept;
    let opening = tranche_domain::Project::open(world.new_project(1_000), &act);
    let record = EventRecord::from(opening.event());
    assert!(!told(&record).contains("198.51.100.7"));
    let opened = shown(&sensitive, &record, true).await;
    assert_eq!(opened.ip_address, origin.ip_address);
    assert_eq!(opened.user_agent, origin.user_agent);
    assert_eq!(opened.metadata.get("origin"), None);
    let empty = Origin::default();
    assert_eq!(sensitive.origin(empty.clone(), "ada").await, empty);
}
