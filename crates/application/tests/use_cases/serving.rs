//! The public tree, as it is served: full tiles are read once, and a few reads go on at a time (S8).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::audit::tree::public::{ProofError, PublicLog, TileOf};

use super::memory_tree::{Folder, MemoryTree, Rows, Shared, key, start};
use super::small_log::SmallLog;
use super::stage::Stage;

fn tile(number: u64, width: u16) -> TileOf {
    TileOf { number, width }
}

/// What is served of a log of 700 leaves.
async fn served(stage: &mut Stage) -> (Arc<MemoryTree>, Arc<Folder>, Keeper, PublicLog) {
    let (database, folder) = (Arc::<MemoryTree>::default(), Arc::<Folder>::default());
    let (sealer, keeper) = start(stage, &database, &folder);
    database.append(700, 1);
    sealer.step(1_000).await.unwrap();
    keeper.follow().await.unwrap();
    let tree = Arc::new(Shared(database.clone()));
    let public = PublicLog::new(tree, SmallLog::of(0, 0, &key(1)), keeper.clone());
    database.reads.store(0, Ordering::SeqCst);
    (database, folder, keeper, public)
}

#[tokio::test]
async fn a_full_tile_is_read_once_and_what_grows_each_time() {
    let (database, _, _, public) = served(&mut Stage::new()).await;
    let expected = database.rows().leaves[256..512].to_vec();
    let reads = || database.reads.load(Ordering::SeqCst);
    for _ in 0..3 {
        let hashes = public.tile(0, tile(1, 256)).await.unwrap();
        assert_eq!(hashes.as_deref(), Some(&expected[..]));
    }
    let part = public.tile(0, tile(1, 7)).await.unwrap();
    assert_eq!(part.as_deref(), Some(&expected[..7]));
    assert_eq!(reads(), 1);
    for _ in 0..2 {
        let hashes = public.tile(0, tile(2, 188)).await.unwrap();
        assert_eq!(hashes.unwrap(), database.rows().leaves[512..]);
    }
    assert_eq!(reads(), 3);
    assert_eq!(public.tile(0, tile(2, 189)).await.unwrap(), None);
    assert_eq!(public.tile(0, tile(u64::MAX, 256)).await.unwrap(), None);
    assert_eq!(reads(), 3, "what the tree does not reach is not looked for");
}

/// The database had to be given up: nothing of it is served any more.
#[tokio::test]
async fn another_history_has_other_tiles() {
    let mut stage = Stage::new();
    let (database, folder, keeper, public) = served(&mut stage).await;
    let before = public.tile(0, tile(0, 256)).await.unwrap();
    *database.rows() = Rows::default();
    keeper.follow().await.unwrap_err();
    let refused = public.tile(0, tile(0, 256)).await;
    assert!(
        matches!(refused, Err(ProofError::Contradicted(_))),
        "{refused:?}"
    );
    // A person decides that it goes on from here.
    *folder.note.lock().unwrap() = None;
    let (sealer, _) = start(&mut stage, &database, &Arc::default());
    database.append(800, 2);
    sealer.step(1_000).await.unwrap();
    keeper.follow().await.unwrap();
    let after = public.tile(0, tile(0, 256)).await.unwrap();
    assert_eq!(after.as_deref(), Some(&database.rows().leaves[..256]));
    assert_ne!(after, before);
}

#[tokio::test(start_paused = true)]
async fn a_few_read_at_once_and_the_others_are_told() {
    let (database, _, _, public) = served(&mut Stage::new()).await;
    let known = public.tile(0, tile(0, 256)).await.unwrap();
    database.silent.store(true, Ordering::SeqCst);
    let reading: Vec<_> = (0..4)
        .map(|_| {
            let public = public.clone();
            tokio::spawn(async move { public.tile(0, tile(1, 256)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let began = Instant::now();
    let refused = public.tile(0, tile(1, 256)).await;
    assert!(matches!(refused, Err(ProofError::Busy)), "{refused:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    let refused = public.consistency(3, None).await;
    assert!(matches!(refused, Err(ProofError::Busy)), "{refused:?}");
    let refused = public.records(tile(1, 256)).await;
    assert!(matches!(refused, Err(ProofError::Busy)), "{refused:?}");
    assert_eq!(public.tile(0, tile(0, 256)).await.unwrap(), known);
    // Who goes away makes room.
    reading[0].abort();
    database.silent.store(false, Ordering::SeqCst);
    assert!(public.tile(0, tile(1, 256)).await.unwrap().is_some());
    for reader in reading {
        reader.abort();
    }
}
