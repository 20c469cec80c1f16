use std::time::Duration;

use tranche_tests::support::vault::{FakeVault, TOKEN};
use zeroize::Zeroizing;

use super::*;

const SOON: Duration = Duration::from_secs(5);

fn given() -> VaultToken {
    VaultToken::Given(Zeroizing::new(TOKEN.to_owned()))
}

fn connect(url: &str, mount: &str, token: VaultToken) -> VaultTransit {
    let (address, mount) = (url.to_owned(), mount.to_owned());
    let timeout = SOON;
    VaultTransit::try_new(VaultConfig {
        address,
        mount,
        token,
        timeout,
    })
    .unwrap()
}

async fn scene() -> (FakeVault, VaultTransit) {
    let vault = FakeVault::start().await;
    let transit = connect(&vault.url(), "transit", given());
    (vault, transit)
}

fn verifies(account: &str, digest: [u8; 32], signature: [u8; 64]) {
    let key = public_key(account).unwrap();
    key.verify_strict(&digest, &Signature::from_bytes(&signature))
        .unwrap();
}

#[tokio::test]
async fn adopts_a_key_that_is_the_accounts_and_signs_with_it() {
    let (vault, transit) = scene().await;
    let account = vault.account();
    let wallet = transit.adopt(&account, &account).await.unwrap();
    assert_eq!(wallet.account_id, account);
    assert_eq!(
        (wallet.custody.as_str(), wallet.key_id.as_str()),
        (VAULT, format!("{account}/v1").as_str())
    );
    assert_eq!(wallet.sealed_seed, [0; 0]);
    let signature = transit.sign(&wallet, [3; 32]).await.unwrap();
    verifies(&account, [3; 32], signature);
}

#[tokio::test]
async fn a_rotated_key_goes_on_signing_at_its_pinned_version() {
    let (vault, transit) = scene().await;
    let first = vault.key("fund-1");
    let wallet = transit.adopt(&first, "fund-1").await.unwrap();
    let second = vault.key("fund-1");
    assert_eq!(
        transit.adopt(&second, "fund-1").await.unwrap().key_id,
        "fund-1/v2"
    );
    assert_eq!(
        transit.adopt(&first, "fund-1").await.unwrap().key_id,
        "fund-1/v1"
    );
    let signature = transit.sign(&wallet, [3; 32]).await.unwrap();
    verifies(&first, [3; 32], signature);
    assert_eq!(vault.signed(), ["fund-1/v1"]);
}

#[tokio::test]
async fn does_not_adopt_what_is_not_the_accounts_key() {
    let (vault, transit) = scene().await;
    let (account, _other) = (vault.account(), vault.key("other"));
    let adopt = async |key: &str| transit.adopt(&account, key).await.unwrap_err();
    assert!(matches!(adopt("other").await, CustodyError::NotItsKey(key) if key == "other"));
    for key in ["nobody", "symmetric", "", "../keys/other", "a/b", ".", "a."] {
        let error = adopt(key).await;
        assert!(
            matches!(error, CustodyError::NoSuchKey(_)),
            "{key}: {error}"
        );
    }
    let error = transit.adopt("G", "other").await.unwrap_err();
    assert!(matches!(error, CustodyError::NotAnAccount));
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_not_used() {
    let (vault, transit) = scene().await;
    let account = vault.account();
    let wallet = transit.adopt(&account, &account).await.unwrap();
    vault.lie(true);
    let error = transit.sign(&wallet, [3; 32]).await.unwrap_err();
    assert!(matches!(error, CustodyError::Misconfigured(_)), "{error}");
    assert_eq!(vault.signed().len(), 1, "it was asked, and answered");
    vault.lie(false);
    // Another version than the pinned one, and a row that names a key of another account.
    vault.key(&account);
    let elsewhere = vault.key("other");
    for key_id in [&format!("{account}/v2"), "other/v1", "nobody/v1"] {
        let mut wallet = wallet.clone();
        key_id.clone_into(&mut wallet.key_id);
        let error = transit.sign(&wallet, [3; 32]).await.unwrap_err();
        assert!(matches!(error, CustodyError::Misconfigured(_)), "{key_id}");
    }
    for key_id in ["", "other", "other/v", "../other/v1"] {
        let mut wallet = wallet.clone();
        key_id.clone_into(&mut wallet.key_id);
        let error = transit.sign(&wallet, [3; 32]).await.unwrap_err();
        assert!(matches!(error, CustodyError::UnknownWallet(_)), "{key_id}");
    }
    assert_ne!(elsewhere, account);
}

#[tokio::test]
async fn tells_what_to_repeat_from_what_to_set_up_otherwise() {
    let (vault, transit) = scene().await;
    let account = vault.account();
    let wallet = transit.adopt(&account, &account).await.unwrap();
    vault.seal(true);
    for error in [
        transit.sign(&wallet, [3; 32]).await.unwrap_err(),
        transit.adopt(&account, &account).await.unwrap_err(),
    ] {
        assert!(matches!(error, CustodyError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("Vault is sealed"), "{error}");
    }
    vault.seal(false);
    transit.sign(&wallet, [3; 32]).await.unwrap();
    let nobody = connect("http://127.0.0.1:1", "transit", given());
    let error = nobody.sign(&wallet, [3; 32]).await.unwrap_err();
    assert!(matches!(error, CustodyError::Unavailable(_)), "{error}");
    let unmounted = connect(&vault.url(), "elsewhere", given());
    let error = unmounted.adopt(&account, &account).await.unwrap_err();
    assert!(matches!(error, CustodyError::Misconfigured(_)), "{error}");
    assert!(error.to_string().contains("no handler"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_in_no_error() {
    let (vault, transit) = scene().await;
    let account = vault.account();
    vault.change_token("another");
    vault.echo();
    let error = transit.adopt(&account, &account).await.unwrap_err();
    assert!(matches!(error, CustodyError::Misconfigured(_)), "{error}");
    let told = format!("{error} {error:?} {:?}", given());
    assert!(told.contains("permission denied…"), "{told}");
    assert!(!told.contains("hvs."), "{told}");
    let crooked = VaultToken::Given(Zeroizing::new("hvs.\u{7f}\n x".to_owned()));
    let crooked = connect(&vault.url(), "transit", crooked);
    let error = crooked.adopt(&account, &account).await.unwrap_err();
    assert!(!error.to_string().contains("hvs."), "{error}");
}

#[tokio::test]
async fn a_token_in_a_file_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let vault = FakeVault::start().await;
    let account = vault.account();
    let transit = connect(&vault.url(), "transit", VaultToken::File(path.clone()));
    let error = transit.adopt(&account, &account).await.unwrap_err();
    assert!(matches!(error, CustodyError::Misconfigured(_)), "{error}");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    transit.adopt(&account, &account).await.unwrap();
    vault.change_token("renewed");
    transit.adopt(&account, &account).await.unwrap_err();
    std::fs::write(&path, "renewed").unwrap();
    transit.adopt(&account, &account).await.unwrap();
}
