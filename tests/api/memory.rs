//! A seed that was used is not in the process's memory any more.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::json;
use tranche_tests::support::service::StoreKind;

use crate::scene::Scene;

on_both_stores! {
    wiped: a_seed_that_signed_is_wiped_on_sqlite, a_seed_that_signed_is_wiped_on_postgres;
}

/// What a process may write to: its heap, its stacks, its data. A page that it gives back while it is
/// read counts as empty.
fn memory(pid: u32) -> Vec<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the maps");
    let mem = File::open(format!("/proc/{pid}/mem")).expect("the memory");
    let written = maps.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (range, rights) = (words.next()?, words.next()?);
        let (from, to) = range.split_once('-')?;
        let at = |hex| u64::from_str_radix(hex, 16).ok();
        rights.starts_with("rw").then_some((at(from)?, at(to)?))
    });
    written
        .map(|(from, to)| {
            let mut region = vec![0; usize::try_from(to - from).expect("a size")];
            for (page, offset) in region.chunks_mut(4096).zip((from..).step_by(4096)) {
                // Not there any more.
                let _ = mem.read_at(page, offset);
            }
            region
        })
        .collect()
}

fn is_in(memory: &[Vec<u8>], what: &[u8]) -> bool {
    memory.iter().any(|region| {
        let mut rest = &region[..];
        while let Some(at) = rest.iter().position(|byte| *byte == what[0]) {
            if rest[at..].starts_with(what) {
                return true;
            }
            rest = &rest[at + 1..];
        }
        false
    })
}

// disbursement.md, keys: opened only to sign, and wiped after. The service is restarted, so that all
// it ever knew of the seed is what it opened to sign.
async fn wiped(store: StoreKind) {
    let mut scene = Scene::new(store);
    let wallet = scene.tranche.ledger().wallet("1000").await;
    let project = scene
        .open(&json!({ "nav": "1000", "wallet": { "secret_seed": wallet.seed } }))
        .await;
    let mut paid = Vec::new();
    for number in 1..=3 {
        paid.push(scene.paid(&project, number, "10").await);
    }
    scene.tranche.restart_after(Some(0));
    for milestone in &paid {
        scene.disburse(milestone, milestone, 30).await.json(200);
    }
    assert_eq!(scene.tranche.ledger().burned().await, 3, "the seed signed");

    let memory = memory(scene.tranche.pid());
    for (what, form) in [
        ("the seed's text", wallet.seed.as_bytes()),
        ("half of the seed's text", &wallet.seed.as_bytes()[..28]),
        ("the seed", &wallet.bytes[..]),
        ("its first half", &wallet.bytes[..16]),
        ("its second half", &wallet.bytes[16..]),
        ("its hex", hex::encode(wallet.bytes).as_bytes()),
    ] {
        assert!(!is_in(&memory, form), "{what} is in memory");
    }
    // It would be found: the master key is, which the service holds to open seeds with, and so is
    // the account that signed.
    let master = hex::decode(scene.tranche.master_key()).expect("hex");
    assert!(is_in(&memory, &master), "the master key");
    assert!(is_in(&memory, wallet.account.as_bytes()), "the account");
}
