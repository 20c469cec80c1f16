//! A database that is not the one it was: found out before anything is signed (S8, S13).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::tree::keeper::{CompareError, Contradiction, Keeper};
use tranche_application::audit::tree::note::NoteError;
use tranche_application::audit::tree::sealer::Sealer;

use super::memory_tree::{Folder, MemoryTree, Rows, key, start};
use super::stage::Stage;

/// A database with so many leaves, each turn of it kept in the folder, and what it was after 300.
async fn grown(stage: &mut Stage, to: usize) -> (Arc<MemoryTree>, Arc<Folder>, Rows) {
    let (database, folder) = (Arc::<MemoryTree>::default(), Arc::<Folder>::default());
    let (sealer, keeper) = start(stage, &database, &folder);
    grow(&database, &sealer, 300, 1).await;
    let backup = database.rows().clone();
    if to > 300 {
        grow(&database, &sealer, to - 300, 1).await;
    }
    keeper.follow().await.unwrap();
    (database, folder, backup)
}

async fn grow(database: &MemoryTree, sealer: &Sealer, by: usize, kind: u8) {
    database.append(by, kind);
    assert_eq!(sealer.step(10_000).await.unwrap(), by as u64);
}

/// Neither seals any more, nothing changes, and people are told once.
async fn assert_stopped(
    stage: &Stage,
    (sealer, keeper): &(Sealer, Keeper),
    (database, folder): (&MemoryTree, &Folder),
    why: &Contradiction,
) {
    database.append(5, 1);
    let before = (database.rows().clone(), folder.note.lock().unwrap().clone());
    for _ in 0..3 {
        let stopped = sealer.step(10_000).await.unwrap_err();
        assert!(
            matches!(&stopped, CompareError::Contradiction(it) if it == why),
            "{stopped:?}"
        );
    }
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0].operation, "audit.tree");
    assert!(incidents[0].critical);
    assert_eq!(keeper.standing().contradiction.as_ref(), Some(why));
    // What is at the right edge is the sealer's to find.
    if !matches!(why, Contradiction::Altered { .. }) {
        keeper.follow().await.unwrap_err();
    }
    let after = (database.rows().clone(), folder.note.lock().unwrap().clone());
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_older_database_is_not_sealed() {
    let mut stage = Stage::new();
    let (database, folder, backup) = grown(&mut stage, 700).await;
    *database.rows() = backup;
    let process = start(&mut stage, &database, &folder);
    let why = Contradiction::Shorter {
        kept: 700,
        store: 300,
    };
    assert_stopped(&stage, &process, (&database, &folder), &why).await;
}

#[tokio::test]
async fn an_empty_database_is_not_sealed() {
    let mut stage = Stage::new();
    let (database, folder, _) = grown(&mut stage, 700).await;
    *database.rows() = Rows::default();
    let process = start(&mut stage, &database, &folder);
    let why = Contradiction::Shorter {
        kept: 700,
        store: 0,
    };
    assert_stopped(&stage, &process, (&database, &folder), &why).await;
}

/// Whoever puts an older one back while the service runs is found out as well.
#[tokio::test]
async fn a_database_that_forgets_what_it_confirmed_is_not_sealed() {
    let mut stage = Stage::new();
    let (database, folder) = (Arc::<MemoryTree>::default(), Arc::<Folder>::default());
    let process = start(&mut stage, &database, &folder);
    grow(&database, &process.0, 300, 1).await;
    process.1.follow().await.unwrap();
    let backup = database.rows().clone();
    grow(&database, &process.0, 1, 1).await;
    *database.rows() = backup;
    let why = Contradiction::Shorter {
        kept: 301,
        store: 300,
    };
    assert_stopped(&stage, &process, (&database, &folder), &why).await;
}

/// Restored, and gone on with elsewhere: longer than what was kept, or as long.
#[tokio::test]
async fn another_history_is_not_sealed() {
    for to in [700, 900] {
        let mut stage = Stage::new();
        let (database, folder, backup) = grown(&mut stage, 700).await;
        *database.rows() = backup;
        let (elsewhere, _) = start(&mut stage, &database, &Arc::default());
        grow(&database, &elsewhere, to - 300, 2).await;
        let process = start(&mut stage, &database, &folder);
        let why = Contradiction::Forked {
            kept: 700,
            store: to as u64,
        };
        assert_stopped(&stage, &process, (&database, &folder), &why).await;
    }
}

#[tokio::test]
async fn a_checkpoint_of_somebody_else_is_not_built_upon() {
    for kept in [true, false] {
        let mut stage = Stage::new();
        let (database, folder, _) = grown(&mut stage, 300).await;
        {
            let mut rows = database.rows();
            let real = rows.checkpoint.clone().unwrap();
            rows.leaves.push([8; 32]);
            let mut frontier = tranche_application::audit::tree::merkle::Frontier::default();
            for leaf in rows.leaves.clone() {
                frontier.push(leaf, &mut Vec::new());
            }
            rows.checkpoint = Some(key(2).sign(301, frontier.root(), real.signed_at));
        }
        let folder = if kept { folder } else { Arc::default() };
        let process = start(&mut stage, &database, &folder);
        let why = Contradiction::StoreNote(NoteError::NotSigned);
        assert_stopped(&stage, &process, (&database, &folder), &why).await;
    }
}

#[tokio::test]
async fn a_checkpoint_that_says_more_than_was_signed_is_not_built_upon() {
    let mut stage = Stage::new();
    let (database, _, _) = grown(&mut stage, 300).await;
    database.rows().checkpoint.as_mut().unwrap().size = 299;
    let folder = Arc::default();
    let process = start(&mut stage, &database, &folder);
    let why = Contradiction::StoreNote(NoteError::NotSigned);
    assert_stopped(&stage, &process, (&database, &folder), &why).await;
}

#[tokio::test]
async fn what_another_key_signed_is_no_proof() {
    let mut stage = Stage::new();
    let (database, folder, backup) = grown(&mut stage, 300).await;
    let real = backup.checkpoint.unwrap();
    let other = key(2).sign(real.size, real.root, real.signed_at);
    *folder.note.lock().unwrap() = Some(other.note);
    let process = start(&mut stage, &database, &folder);
    let why = Contradiction::KeptNote(NoteError::NotSigned);
    assert_stopped(&stage, &process, (&database, &folder), &why).await;
}

/// At the right edge, which everything to come is put beside.
#[tokio::test]
async fn altered_hashes_are_not_built_upon() {
    for level in [0, 1] {
        let mut stage = Stage::new();
        let (database, folder, _) = grown(&mut stage, 700).await;
        {
            let mut rows = database.rows();
            match level {
                0 => rows.leaves[690][9] ^= 1,
                _ => rows.nodes.get_mut(&(1, 1)).unwrap()[9] ^= 1,
            }
        }
        let process = start(&mut stage, &database, &folder);
        let why = Contradiction::Altered { size: 700 };
        assert_stopped(&stage, &process, (&database, &folder), &why).await;
    }
}

/// The right database put back, or the one there is accepted.
#[tokio::test]
async fn it_goes_on_when_the_contradiction_is_over() {
    for accepted in [false, true] {
        let mut stage = Stage::new();
        let (database, folder, backup) = grown(&mut stage, 700).await;
        let right = std::mem::replace(&mut *database.rows(), backup);
        let (sealer, keeper) = start(&mut stage, &database, &folder);
        sealer.step(10).await.unwrap_err();
        if accepted {
            folder.note.lock().unwrap().take();
        } else {
            *database.rows() = right;
        }
        grow(&database, &sealer, 9, 3).await;
        keeper.follow().await.unwrap();
        let standing = keeper.standing();
        assert_eq!(standing.contradiction, None);
        let size = if accepted { 309 } else { 709 };
        assert_eq!(standing.kept.unwrap().size, size);
        assert_eq!(stage.incidents().len(), 1);
    }
}

/// Of two processes that share a folder, the one goes on from what the other has accepted.
#[tokio::test]
async fn what_another_process_has_accepted_is_accepted() {
    let mut stage = Stage::new();
    let (database, folder, backup) = grown(&mut stage, 700).await;
    *database.rows() = backup;
    let (one, its) = start(&mut stage, &database, &folder);
    let (other, others) = start(&mut stage, &database, &folder);
    for sealer in [&one, &other] {
        sealer.step(10).await.unwrap_err();
    }
    folder.note.lock().unwrap().take();
    grow(&database, &one, 3, 3).await;
    its.follow().await.unwrap();
    grow(&database, &other, 3, 3).await;
    others.follow().await.unwrap();
    assert_eq!(others.standing().kept.unwrap().size, 306);
}

/// What was kept last counts, with what was seen after it, for as long as it is kept.
#[tokio::test]
async fn what_was_seen_counts_while_what_is_kept_stays() {
    let mut stage = Stage::new();
    let (database, folder) = (Arc::<MemoryTree>::default(), Arc::<Folder>::default());
    let process = start(&mut stage, &database, &folder);
    grow(&database, &process.0, 300, 1).await;
    process.1.follow().await.unwrap();
    let backup = database.rows().clone();
    grow(&database, &process.0, 1, 1).await;
    *database.rows() = backup;
    database.append(1, 2);
    for _ in 0..3 {
        process.0.step(10).await.unwrap_err();
        process.1.follow().await.unwrap_err();
    }
    assert_eq!(stage.incidents().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_compared_is_not_sealed() {
    let mut stage = Stage::new();
    let (database, folder, _) = grown(&mut stage, 300).await;
    *folder.is_gone.lock().unwrap() = true;
    let (sealer, _) = start(&mut stage, &database, &folder);
    database.append(1, 1);
    let before = database.rows().clone();
    let refused = sealer.step(10).await;
    assert!(matches!(refused, Err(CompareError::Kept(_))), "{refused:?}");
    assert_eq!(*database.rows(), before);
    *folder.is_gone.lock().unwrap() = false;
    assert_eq!(sealer.step(10).await.unwrap(), 1);
}

/// A disk that takes nothing stops no sealing; what is not kept is not served.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_told_and_not_served() {
    let mut stage = Stage::new();
    let (database, folder, _) = grown(&mut stage, 300).await;
    *folder.is_full.lock().unwrap() = true;
    let (sealer, keeper) = start(&mut stage, &database, &folder);
    let stop = CancellationToken::new();
    let task = tokio::spawn(keeper.clone().run(stop.clone()));
    grow(&database, &sealer, 7, 1).await;
    sleep(Duration::from_secs(30)).await;
    grow(&database, &sealer, 7, 1).await;
    let standing = keeper.standing();
    assert_eq!(standing.kept.unwrap().size, 300);
    assert_eq!(standing.not_kept.unwrap(), "the folder: no space");
    assert_eq!(stage.incidents().len(), 1, "told once");
    assert_eq!(stage.incidents()[0].operation, "audit.keep_checkpoint");

    *folder.is_full.lock().unwrap() = false;
    sleep(Duration::from_secs(6)).await;
    let standing = keeper.standing();
    assert_eq!(standing.kept.unwrap().size, 314);
    assert_eq!(standing.not_kept, None);
    stop.cancel();
    task.await.unwrap();
}

/// What is taken out of here is kept before, or is what was kept: nothing of another history.
#[tokio::test]
async fn what_is_given_out_is_kept() {
    let mut stage = Stage::new();
    let (database, folder, backup) = grown(&mut stage, 400).await;
    let (sealer, keeper) = start(&mut stage, &database, &folder);
    let kept = || folder.note.lock().unwrap().clone();
    for size in [400, 407] {
        let given = keeper.to_give_out().await.unwrap().unwrap();
        assert_eq!((given.size, Some(given.note)), (size, kept()));
        grow(&database, &sealer, 7, 1).await;
    }
    *folder.is_full.lock().unwrap() = true;
    let given = keeper.to_give_out().await.unwrap().unwrap();
    assert_eq!((given.size, Some(given.note)), (407, kept()));
    let full = Arc::new(Folder::default());
    *full.is_full.lock().unwrap() = true;
    let (_, elsewhere) = start(&mut stage, &database, &full);
    let refused = elsewhere.to_give_out().await;
    assert!(matches!(refused, Err(CompareError::Kept(_))), "{refused:?}");

    *database.rows() = backup;
    for _ in 0..2 {
        let refused = keeper.to_give_out().await;
        assert!(
            matches!(refused, Err(CompareError::Contradiction(_))),
            "{refused:?}"
        );
    }
    *folder.is_gone.lock().unwrap() = true;
    let refused = keeper.to_give_out().await;
    assert!(matches!(refused, Err(CompareError::Kept(_))), "{refused:?}");
}

/// What the sealer commits is kept at once, what others commit within a second.
#[tokio::test(start_paused = true)]
async fn the_newest_is_kept_soon() {
    let mut stage = Stage::new();
    let (database, folder) = (Arc::<MemoryTree>::default(), Arc::<Folder>::default());
    let (sealer, keeper) = start(&mut stage, &database, &folder);
    let (other, _) = start(&mut stage, &database, &Arc::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(keeper.clone().run(stop.clone()));
    sleep(Duration::from_millis(1)).await;
    grow(&database, &sealer, 7, 1).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(keeper.standing().kept.unwrap().size, 7);
    grow(&database, &other, 7, 1).await;
    sleep(Duration::from_millis(1_001)).await;
    assert_eq!(keeper.standing().kept.unwrap().size, 14);
    stop.cancel();
    task.await.unwrap();
    assert_eq!(stage.incidents(), []);
}
