//! A cursor is good for its own walk alone.

use tranche_domain::{Actor, Origin, ProjectId, Role};

use super::*;

fn caller(id: &str, scope: Option<ProjectId>) -> Caller {
    Caller {
        actor: Actor {
            id: id.to_owned(),
            role: Role::Auditor,
        },
        origin: Origin::default(),
        scope,
    }
}

fn position() -> Position {
    Position {
        before: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0007),
        default_from: DateTime::from_timestamp_micros(1_795_000_000_000_001),
        end: 42,
    }
}

#[test]
fn a_cursor_gives_its_position_to_its_walk_alone() {
    let (ring, other_ring) = (KeyRing::new([1; 32]), KeyRing::new([2; 32]));
    let ada = caller("ada", None);
    let filter = EventFilter {
        text: Some("loan".to_owned()),
        ..EventFilter::default()
    };
    let cursors = Cursors::new(&ring, &ada, &filter, false);
    for position in [
        position(),
        Position {
            default_from: None,
            end: 0,
            ..position()
        },
    ] {
        let cursor = cursors.cursor(&position);
        assert_eq!(cursors.position(&cursor).expect("its own"), position);
    }
    let cursor = cursors.cursor(&position());
    let project = Some(ProjectId(Uuid::nil()));
    let others = [
        Cursors::new(&other_ring, &ada, &filter, false),
        Cursors::new(&ring, &caller("bola", None), &filter, false),
        Cursors::new(&ring, &caller("ada", project), &filter, false),
        Cursors::new(&ring, &ada, &EventFilter::default(), false),
        Cursors::new(&ring, &ada, &filter, true),
    ];
    for other in others {
        let refused = other.position(&cursor).expect_err("another's");
        assert_eq!(refused.status, 400);
    }
}

#[test]
fn a_cursor_that_was_altered_is_refused() {
    let ring = KeyRing::new([1; 32]);
    let cursors = Cursors::new(&ring, &caller("ada", None), &EventFilter::default(), false);
    let cursor = cursors.cursor(&position());
    let bytes = URL_SAFE_NO_PAD.decode(&cursor).expect("base64");
    for place in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        let altered = URL_SAFE_NO_PAD.encode(altered);
        assert!(cursors.position(&altered).is_err(), "byte {place}");
    }
    let long = format!("{cursor}{cursor}");
    let very_long = "A".repeat(1_000_000);
    for other in ["", "A", "!", &cursor[1..], &cursor[..80], &long, &very_long] {
        assert!(cursors.position(other).is_err(), "{}", other.len());
    }
}
