use std::collections::HashMap;
use std::sync::Mutex;

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};
use ed25519_dalek::{Signature, VerifyingKey};
use tranche_application::ports::custody::{SealedSecret, Sealer};
use tranche_application::ports::store::StoreError;

use super::local::{NONCE, SEED as CONTEXT, bound_to, cipher};
use super::*;
use crate::testing::CountingEntropy;

const SEED: &str = "SBRNVXXX7B2EEBTLJMJ34IIBJVVJUBUOSU6YBS7GJ3GORHPJXNY2UXF4";
const SEED_HEX: &str = "62dadef7f87442066b4b13be21014d6a9a068e953d80cbe64ecce89de9bb71aa";
const WALLET: &str = "GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMO";
const OTHER_SEED: &str = "SBBNLDUQ244U4AIJGJHZXIETYTQB4MLP3IGY7RLZ5AB52B5XYGMF4TTA";
const OTHER: &str = "GAMXHYZYJYWQCRGKUI27IMJZY5DV64IGRZAAKFBQUWXG7YL2DC6IX7LX";

#[derive(Default)]
struct Rows(Mutex<HashMap<String, SealedWallet>>);

#[async_trait]
impl SealedWallets for Rows {
    async fn sealed_wallet(&self, id: &str) -> Result<Option<SealedWallet>, StoreError> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }
}

fn master(byte: &str) -> MasterKey {
    MasterKey::from_hex(&format!("ff{}", byte.repeat(31))).unwrap()
}

fn local(key: MasterKey) -> LocalCustody {
    LocalCustody::new(key, Arc::new(CountingEntropy::default()))
}

fn custody(local: LocalCustody, wallets: &[SealedWallet]) -> Custodians {
    let rows = wallets
        .iter()
        .map(|wallet| (wallet.account_id.clone(), wallet.clone()));
    let rows = Rows(Mutex::new(rows.collect()));
    Custodians::new(Arc::new(local), Arc::new(rows))
}

fn sealed(seed: &str) -> SealedWallet {
    let seed = SecretSeed::new(seed.to_owned());
    local(master("01")).seal(&seed).unwrap()
}

async fn refusal(key: MasterKey, wallet: SealedWallet) -> CustodyError {
    let account_id = wallet.account_id.clone();
    let error = custody(local(key), &[wallet])
        .sign(&account_id, [3; 32])
        .await;
    let error = error.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SEED));
    error
}

#[tokio::test]
async fn a_wallet_that_was_sealed_here_serves_again_without_its_seed() {
    let kept = sealed(SEED);
    // Master keys have changed since.
    let next = local(master("02")).also_opening(master("01"));
    let custody = self::custody(next, std::slice::from_ref(&kept));
    let anew = custody.adopt(WALLET, LOCAL).await.unwrap();
    assert_eq!(anew.key_id, master("02").id());
    let [before, after] = [kept.clone(), anew].map(|wallet| (wallet.account_id, wallet.custody));
    assert_eq!(after, before);
    let unknown = custody.adopt(OTHER, LOCAL).await.unwrap_err();
    assert!(matches!(unknown, CustodyError::NoSuchKey(name) if name == OTHER));
    // What nobody can open is told now, and not when it is to sign.
    let custody = self::custody(local(master("03")), &[kept]);
    let lost = custody.adopt(WALLET, LOCAL).await.unwrap_err();
    assert!(matches!(lost, CustodyError::CannotOpen(name) if name == WALLET));
}

#[tokio::test]
async fn signs_with_the_key_that_was_sealed() {
    let wallet = sealed(SEED);
    assert_eq!(
        (wallet.account_id.as_str(), wallet.custody.as_str()),
        (WALLET, LOCAL)
    );
    assert_eq!(wallet.key_id, master("01").id());
    let signature = custody(local(master("01")), &[wallet])
        .sign(WALLET, [3; 32])
        .await;
    let key = account::parse(WALLET).unwrap();
    VerifyingKey::from_bytes(account::key(&key))
        .unwrap()
        .verify_strict(&[3; 32], &Signature::from_bytes(&signature.unwrap()))
        .unwrap();
}

#[test]
fn what_is_stored_or_printed_does_not_hold_the_seed() {
    let wallet = sealed(SEED);
    let seed = hex::decode(SEED_HEX).unwrap();
    let holds = |needle: &[u8]| {
        wallet
            .sealed_seed
            .windows(needle.len())
            .any(|part| part == needle)
    };
    assert_eq!(wallet.sealed_seed.len(), NONCE + 32 + 16);
    for part in [
        &seed[..8],
        &seed[24..],
        &SEED.as_bytes()[..8],
        &SEED_HEX.as_bytes()[..8],
    ] {
        assert!(!holds(part));
    }
    let seed = SecretSeed::new(SEED.to_owned());
    let printed = format!("{seed:?} {wallet:?} {:?}", master("01"));
    for secret in [SEED, SEED_HEX, "0101"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn two_sealings_of_one_seed_differ() {
    let custody = local(master("01"));
    let seed = SecretSeed::new(SEED.to_owned());
    let (first, second) = (custody.seal(&seed).unwrap(), custody.seal(&seed).unwrap());
    assert_ne!(first.sealed_seed[..NONCE], second.sealed_seed[..NONCE]);
    assert_ne!(first.sealed_seed[NONCE..], second.sealed_seed[NONCE..]);
}

#[test]
fn takes_nothing_but_a_seed() {
    let custody = local(master("01"));
    for text in [
        "",
        WALLET,
        SEED_HEX,
        &SEED[1..],
        &SEED.replace('X', "Y"),
        &format!("{SEED} "),
    ] {
        let error = custody.seal(&SecretSeed::new(text.to_owned())).unwrap_err();
        assert!(matches!(error, CustodyError::NotASeed));
    }
}

#[tokio::test]
async fn an_altered_row_does_not_open() {
    let whole = sealed(SEED);
    for position in 0..whole.sealed_seed.len() {
        let mut wallet = whole.clone();
        wallet.sealed_seed[position] ^= 1;
        let error = refusal(master("01"), wallet).await;
        assert!(
            matches!(error, CustodyError::CannotOpen(_)),
            "byte {position}"
        );
    }
    for length in [0, 1, NONCE, NONCE + 16, whole.sealed_seed.len() - 1] {
        let mut wallet = whole.clone();
        wallet.sealed_seed.truncate(length);
        let error = refusal(master("01"), wallet).await;
        assert!(
            matches!(error, CustodyError::CannotOpen(_)),
            "{length} bytes"
        );
    }
}

#[tokio::test]
async fn another_master_key_does_not_open_it() {
    let error = refusal(master("02"), sealed(SEED)).await;
    assert!(matches!(error, CustodyError::CannotOpen(_)));
    let mut renamed = sealed(SEED);
    master("02").id().clone_into(&mut renamed.key_id);
    let error = refusal(master("02"), renamed).await;
    assert!(matches!(error, CustodyError::CannotOpen(_)));
}

#[tokio::test]
async fn a_sealed_seed_does_not_open_in_another_accounts_row() {
    let mut swapped = sealed(OTHER_SEED);
    assert_eq!(swapped.account_id, OTHER);
    WALLET.clone_into(&mut swapped.account_id);
    let error = refusal(master("01"), swapped).await;
    assert!(matches!(error, CustodyError::CannotOpen(_)));
}

#[test]
fn the_ciphertext_itself_is_bound_to_account_and_key_id() {
    let wallet = sealed(SEED);
    let (nonce, msg) = wallet.sealed_seed.split_at(NONCE);
    let opens = |account_id: &str, key_id: &str| {
        let aad = bound_to(CONTEXT, account_id, key_id);
        let payload = Payload { msg, aad: &aad };
        let nonce = XNonce::try_from(nonce).unwrap();
        cipher(&master("01")).decrypt(&nonce, payload).is_ok()
    };
    assert!(opens(WALLET, &wallet.key_id));
    assert!(!opens(OTHER, &wallet.key_id));
    assert!(!opens(WALLET, master("02").id()));
}

#[tokio::test]
async fn knows_only_its_own_wallets() {
    let custody = custody(local(master("01")), &[]);
    let error = custody.sign(WALLET, [0; 32]).await.unwrap_err();
    assert!(matches!(error, CustodyError::UnknownWallet(id) if id == WALLET));
    let mut outside = sealed(SEED);
    "vault".clone_into(&mut outside.custody);
    let error = refusal(master("01"), outside).await;
    assert!(matches!(error, CustodyError::UnknownCustodian));
    for (account, name) in [(WALLET, "vault"), (WALLET, "local:x"), (WALLET, "")] {
        let error = custody.adopt(account, name).await.unwrap_err();
        assert!(matches!(error, CustodyError::UnknownCustodian), "{name}");
    }
    let error = custody.adopt("G", "vault").await.unwrap_err();
    assert!(matches!(error, CustodyError::NotAnAccount));
}

#[tokio::test]
async fn a_row_of_another_account_signs_nothing() {
    let mut rows = HashMap::new();
    rows.insert(WALLET.to_owned(), sealed(OTHER_SEED));
    let rows = Arc::new(Rows(Mutex::new(rows)));
    let custody = Custodians::new(Arc::new(local(master("01"))), rows);
    let error = custody.sign(WALLET, [3; 32]).await.unwrap_err();
    assert!(matches!(error, CustodyError::CannotOpen(_)));
}

#[tokio::test]
async fn rotates_to_a_new_master_key() {
    let old = sealed(SEED);
    let rotating = local(master("02")).also_opening(master("01"));
    assert!(rotating.has(&old.key_id) && !local(master("02")).has(&old.key_id));
    let new = rotating.reseal(&old).unwrap();
    assert_eq!(
        (new.account_id.as_str(), new.key_id.as_str()),
        (WALLET, rotating.key_id())
    );
    assert_eq!(rotating.key_id(), master("02").id());
    // While replicas restart one by one, each opens what the other seals.
    for wallet in [&old, &new] {
        for (first, second) in [("01", "02"), ("02", "01")] {
            let replica = local(master(first)).also_opening(master(second));
            let replica = custody(replica, std::slice::from_ref(wallet));
            replica.sign(WALLET, [3; 32]).await.unwrap();
        }
    }
    let only_new = custody(local(master("02")), &[new]);
    only_new.sign(WALLET, [3; 32]).await.unwrap();
    let error = local(master("02")).reseal(&old).unwrap_err();
    assert!(matches!(error, CustodyError::CannotOpen(_)));
}

#[test]
fn a_secret_opens_under_its_name_and_key_and_as_it_was() {
    let custody = local(master("01"));
    let secret = custody.seal_secret("pepper", &[5; 32]).unwrap();
    assert_eq!(*custody.open_secret(&secret).unwrap(), [5; 32]);
    assert!(!format!("{secret:?}").contains("[5"), "{secret:?}");
    let cannot = |custody: &LocalCustody, secret: &SealedSecret| {
        let error = custody.open_secret(secret).unwrap_err();
        assert!(matches!(error, CustodyError::CannotOpen(_)), "{error}");
    };
    cannot(&local(master("02")), &secret);
    for at in 0..secret.sealed.len() {
        let mut altered = secret.clone();
        altered.sealed[at] ^= 1;
        cannot(&custody, &altered);
    }
    let mut renamed = secret.clone();
    "salt".clone_into(&mut renamed.name);
    cannot(&custody, &renamed);
    let both = local(master("02")).also_opening(master("01"));
    assert_eq!(*both.open_secret(&secret).unwrap(), [5; 32]);
    let mut claimed = secret.clone();
    master("02").id().clone_into(&mut claimed.key_id);
    cannot(&both, &claimed);
    // A seed is not a secret of the service, though both are 32 bytes.
    let seed = sealed(SEED);
    let mistaken = SealedSecret {
        name: seed.account_id,
        key_id: seed.key_id,
        sealed: seed.sealed_seed,
    };
    cannot(&custody, &mistaken);
}
