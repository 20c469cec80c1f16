//! What is sealed under a master key: kept once, and replaced only by whoever knows what was there.

use tranche_application::ports::custody::{SealedSecret, SealedWallet};
use tranche_application::ports::store::Store;

use super::StoreUnderTest;

fn wallet(n: u8, key_id: &str) -> SealedWallet {
    SealedWallet {
        account_id: format!("GWALLET{n}"),
        custody: "local".to_owned(),
        key_id: key_id.to_owned(),
        sealed_seed: vec![n, 0, 255],
    }
}

fn secret(key_id: &str, byte: u8) -> SealedSecret {
    SealedSecret {
        name: "pepper".to_owned(),
        key_id: key_id.to_owned(),
        sealed: vec![byte; 8],
    }
}

async fn keep_wallets(store: &dyn Store, wallets: &[SealedWallet]) {
    let mut work = store.begin().await.expect("it begins");
    for wallet in wallets {
        let kept = work.credentials().keep_wallet(wallet).await;
        kept.expect("it is kept");
    }
    work.commit().await.expect("it is committed");
}

async fn reseal_wallet(store: &dyn Store, wallet: &SealedWallet, from: &str) -> bool {
    let mut work = store.begin().await.expect("it begins");
    let done = work.credentials().reseal_wallet(wallet, from).await;
    work.commit().await.expect("it is committed");
    done.expect("it answers")
}

/// By account id, from after the one that was last, whatever custody they are in.
pub async fn wallets_are_listed_in_pages(subject: &dyn StoreUnderTest) {
    let mut kept: Vec<SealedWallet> = [3, 1, 5, 2, 4].map(|n| wallet(n, "key-1")).into();
    "vault".clone_into(&mut kept[0].custody);
    keep_wallets(subject.store().as_ref(), &kept).await;
    kept.sort_by(|a, b| a.account_id.cmp(&b.account_id));
    let secrets = subject.secrets();
    let page = |after: &'static str, limit| {
        let secrets = secrets.clone();
        async move {
            let page = secrets.wallets_after(after, limit).await;
            page.expect("it is read")
        }
    };
    assert_eq!(page("", 2).await, kept[..2]);
    assert_eq!(page("GWALLET2", 2).await, kept[2..4]);
    assert_eq!(page("GWALLET4", 2).await, kept[4..]);
    assert_eq!(page("GWALLET5", 2).await, []);
    assert_eq!(page("", 100).await, kept);
}

/// A wallet that was resealed meanwhile is left alone.
pub async fn a_wallet_is_resealed_from_the_key_it_was_under(subject: &dyn StoreUnderTest) {
    let store = subject.store();
    keep_wallets(store.as_ref(), &[wallet(1, "key-1"), wallet(2, "key-1")]).await;
    let mut resealed = wallet(1, "key-2");
    resealed.sealed_seed = vec![9; 5];
    assert!(!reseal_wallet(store.as_ref(), &resealed, "key-0").await);
    let read = subject.wallets().sealed_wallet("GWALLET1").await;
    assert_eq!(read.expect("it is read"), Some(wallet(1, "key-1")));
    assert!(reseal_wallet(store.as_ref(), &resealed, "key-1").await);
    let mut late = resealed.clone();
    late.sealed_seed = vec![7; 5];
    assert!(!reseal_wallet(store.as_ref(), &late, "key-1").await);
    let all = subject.secrets().wallets_after("", 10).await;
    assert_eq!(all.expect("it is read"), [resealed, wallet(2, "key-1")]);
}

/// Replicas that start together end up with one secret.
pub async fn of_secrets_that_come_at_once_one_stays(subject: &dyn StoreUnderTest) {
    let mut tasks = Vec::new();
    for byte in 0..8 {
        let store = subject.second_store().await;
        tasks.push(tokio::spawn(async move {
            let mut work = store.begin().await.expect("it begins");
            let secret = secret(&format!("key-{byte}"), byte);
            let kept = work.credentials().keep_secret(&secret).await;
            kept.expect("it is kept, or another is");
            work.commit().await.expect("it is committed");
        }));
    }
    for task in tasks {
        task.await.expect("it ends");
    }
    assert_eq!(subject.count("secrets").await, 1);
    let read = subject.secrets().sealed_secret("pepper").await;
    let read = read.expect("it is read").expect("one stays");
    let byte = read.sealed[0];
    assert_eq!(read, secret(&format!("key-{byte}"), byte), "it is whole");
    let mut work = subject.store().begin().await.expect("it begins");
    let kept = work.credentials().keep_secret(&secret("late", 9)).await;
    kept.expect("it answers");
    work.commit().await.expect("it is committed");
    let still = subject.secrets().sealed_secret("pepper").await;
    assert_eq!(still.expect("it is read"), Some(read), "the first stays");
    let unknown = subject.secrets().sealed_secret("salt").await;
    assert_eq!(unknown.expect("it answers"), None);
}

/// A secret that was resealed meanwhile is left alone.
pub async fn a_secret_is_resealed_from_the_key_it_was_under(subject: &dyn StoreUnderTest) {
    let store = subject.store();
    let mut work = store.begin().await.expect("it begins");
    let kept = work.credentials().keep_secret(&secret("key-1", 1)).await;
    kept.expect("it is kept");
    work.commit().await.expect("it is committed");
    for (from, done) in [("key-0", false), ("key-1", true), ("key-1", false)] {
        let mut work = store.begin().await.expect("it begins");
        let resealed = secret("key-2", 2);
        let answer = work.credentials().reseal_secret(&resealed, from).await;
        assert_eq!(answer.expect("it answers"), done, "{from}");
        work.commit().await.expect("it is committed");
    }
    let read = subject.secrets().sealed_secret("pepper").await;
    assert_eq!(read.expect("it is read"), Some(secret("key-2", 2)));
}
