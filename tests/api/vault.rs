//! Wallets whose keys only a Vault server holds.

use serde_json::json;
use tranche_tests::support::service::{Options, StoreKind};
use tranche_tests::support::vault::{FakeVault, TOKEN};

use crate::scene::{Scene, stroops};

on_both_stores! {
    burns: a_wallet_in_vault_burns_on_sqlite, a_wallet_in_vault_burns_on_postgres;
    adopts: only_the_accounts_own_key_is_adopted_on_sqlite,
        only_the_accounts_own_key_is_adopted_on_postgres;
    again: a_wallet_that_moved_within_vault_burns_on_sqlite,
        a_wallet_that_moved_within_vault_burns_on_postgres;
}

fn settings(vault: &FakeVault) -> Vec<(&'static str, String)> {
    vec![
        ("TRANCHE_VAULT_ADDR", vault.url()),
        ("TRANCHE_VAULT_TOKEN", TOKEN.to_owned()),
    ]
}

fn scene(store: StoreKind, vault: &FakeVault) -> Scene {
    let settings = settings(vault);
    Scene::with(
        store,
        Options {
            settings,
            ..Options::default()
        },
    )
}

// Keys: a second custodian. From adopting to a settled burn, with a key that never was here; an
// outage is told apart, changes nothing, and passes.
async fn burns(store: StoreKind) {
    let vault = FakeVault::start().await;
    let mut scene = scene(store, &vault);
    let account = vault.account();
    scene.tranche.ledger().fund(&account, "1000").await;
    let wallet = json!({ "account_id": account, "custody": "vault" });
    let project = scene
        .open(&json!({ "nav": "1000", "wallet": wallet }))
        .await;
    let [first, second] = [
        scene.paid(&project, 1, "10").await,
        scene.paid(&project, 2, "20").await,
    ];
    scene.disburse(&first, "first", 30).await.json(200);
    assert_eq!(vault.signed(), [format!("{account}/v1")]);

    vault.seal(true);
    let refused = scene.disburse(&second, "sealed", 30).await;
    refused.problem(503, "ledger.unavailable");
    assert_eq!(scene.milestone(&second).await["status"], "approved");
    vault.seal(false);
    // The key is rotated and the token renewed meanwhile, now in a file.
    vault.key(&account);
    vault.change_token("renewed");
    let file = scene.tranche.data_dir().join("token");
    std::fs::write(&file, "renewed\n").expect("a file");
    scene.tranche.set("TRANCHE_VAULT_TOKEN", None);
    let file = file.display().to_string();
    scene.tranche.set("TRANCHE_VAULT_TOKEN_FILE", Some(&file));
    scene.tranche.restart_after(Some(0));
    scene.disburse(&second, "second", 30).await.json(200);

    assert_eq!(vault.signed(), [(); 2].map(|()| format!("{account}/v1")));
    let burns = scene.tranche.ledger().burns().await;
    let burned: Vec<_> = burns
        .iter()
        .map(|burn| (burn.account.clone(), burn.stroops, burn.succeeded))
        .collect();
    let of = |stroops| (account.clone(), stroops, true);
    assert_eq!(burned, [of(100_000_000), of(200_000_000)]);
    let view = scene.project_view(&project).await;
    assert_eq!(stroops(&view["nav"]), 9_700_000_000);
    let row = "SELECT custody || ' ' || key_id || ' ' || length(sealed_seed) FROM wallets";
    let row = scene.tranche.sql(row).await;
    assert_eq!(row.trim(), format!("vault {account}/v1 0"));
    for place in [scene.tranche.log(), scene.tranche.answers()] {
        assert!(!place.contains(TOKEN), "the token is told");
    }
    let status = scene.tranche.command(&["custody", "status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains("vault             outside       1"),
        "{status}"
    );
}

// Keys: a wallet never names a key that is not its account's; what is set up wrongly is not the
// caller's mistake.
async fn adopts(store: StoreKind) {
    let vault = FakeVault::start().await;
    let mut scene = scene(store, &vault);
    let named = vault.key("fund-1");
    let other = vault.account();
    let open = async |scene: &Scene, account: &str, custody: &str| {
        let body = json!({ "name": "Lekki", "nav": "10", "lp_tokens_outstanding": "1",
            "wallet": { "account_id": account, "custody": custody } });
        scene.admin.post("/v1/projects", &body).await
    };
    for (account, custody) in [
        (&named, "vault"),
        (&named, "vault:nobody"),
        (&other, "vault:fund-1"),
        (&named, "vault:symmetric"),
        (&named, "vault:../sys"),
        (&named, "vaults:fund-1"),
    ] {
        let answer = open(&scene, account, custody).await;
        assert_eq!(answer.refused_fields(), ["wallet.custody"], "{custody}");
    }
    assert_eq!(
        scene
            .tranche
            .sql("SELECT count(*) FROM wallets")
            .await
            .trim(),
        "0"
    );
    open(&scene, &named, "vault:fund-1").await.json(201);
    vault.seal(true);
    let sealed = open(&scene, &other, "vault").await;
    sealed.problem(503, "custody.unavailable");
    vault.seal(false);
    vault.change_token("another");
    let refused = open(&scene, &other, "vault").await;
    refused.problem(500, "custody.misconfigured");
    for name in ["TRANCHE_VAULT_ADDR", "TRANCHE_VAULT_TOKEN"] {
        scene.tranche.set(name, None);
    }
    scene.tranche.restart_after(Some(0));
    let nowhere = open(&scene, &other, "vault").await;
    assert_eq!(nowhere.refused_fields(), ["wallet.custody"]);
}

// Keys: a project that is opened again signs by what leads to its wallet's key now, not by what did
// when it was deleted.
async fn again(store: StoreKind) {
    let vault = FakeVault::start().await;
    let scene = scene(store, &vault);
    let account = vault.account();
    scene.tranche.ledger().fund(&account, "1000").await;
    let open = |custody: &str| {
        json!({ "nav": "1000",
        "wallet": { "account_id": account, "custody": custody } })
    };
    let first = scene.open(&open("vault")).await;
    let deleted = scene.admin.delete(&format!("/v1/projects/{first}")).await;
    assert_eq!(deleted.status, 204);
    vault.rename(&account, "fund");
    let project = scene.open(&open("vault:fund")).await;
    let milestone = scene.paid(&project, 1, "10").await;
    scene.disburse(&milestone, "first", 30).await.json(200);
    assert_eq!(vault.signed(), ["fund/v1"]);
}
