//! What waits for its place in the tree is seen and found, however late its id is (S8).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::StoreUnderTest;
use super::pipeline::events;
use super::scene::World;
use super::tree::{append, assert_sound, process};

/// The cheap question.
pub async fn what_is_waiting_is_seen(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (sealer, _) = process(subject, &world);
    let tree = subject.tree();
    for _ in 0..2 {
        sealer.step(1_000).await.expect("it seals");
        assert!(!tree.look(Uuid::nil()).await.expect("it reads").is_waiting);
        append(subject, &world, 1).await;
        assert!(tree.look(Uuid::nil()).await.expect("it reads").is_waiting);
        append(subject, &world, 4).await;
        for (most, counted) in [(3, 3), (5, 5), (100, 5)] {
            assert_eq!(tree.waiting(most).await.expect("it counts"), counted);
        }
    }
}

/// An hour of an id's time.
const HOUR: u128 = 3_600_000;

/// What comes late, under an id far below those that were sealed, is sealed as well, and soon.
pub async fn late_ids_are_sealed_too(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (sealer, _) = process(subject, &world);
    let mut late = Vec::new();
    for event in events(&world, 3) {
        let mut event = event.as_ref().clone();
        event.id = Uuid::from_u128(event.id.as_u128() - (HOUR << 80));
        late.push(Arc::new(event));
    }
    let first = append(subject, &world, 4).await;
    assert_eq!(sealer.step(1_000).await.expect("it seals"), 4);
    let log = subject.audit_store();
    let new = log.append(&late, world.now()).await;
    assert_eq!(new.expect("it is appended"), 3);
    let tree = subject.tree();
    let above = first[0].id;
    assert!(!tree.look(above).await.expect("it reads").is_waiting);
    assert!(
        tree.look(late[2].id).await.expect("it reads").is_waiting,
        "it too"
    );
    let mut turn = tree.begin_sealing().await.expect("a turn").expect("ours");
    assert_eq!(turn.number(above, 10).await.expect("it numbers"), []);
    let some = turn.number(late[1].id, 10).await.expect("it numbers");
    let some: Vec<Uuid> = some.iter().map(|leaf| leaf.event_id).collect();
    assert_eq!(some, [late[1].id, late[2].id]);
    drop(turn);
    let swept = async {
        while sealer.step(1_000).await.expect("it seals") == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let swept = timeout(Duration::from_secs(20), swept).await;
    swept.expect("it is swept");
    assert_eq!(assert_sound(subject).await.size, 7);
}
