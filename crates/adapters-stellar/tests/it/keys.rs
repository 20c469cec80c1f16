//! The vectors' keys, and a custody that holds them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tranche_adapters_stellar::{Custodians, LocalCustody, MasterKey};
use tranche_application::ports::custody::{Custody, SealedWallet, SealedWallets, SecretSeed};
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::store::StoreError;

pub const WALLET: &str = "GARY2PWDU3CCOY3HZMIIA3FOF2X4Q45XDFR4BPDFHGXT5BWCYAP24AMO";
pub const WALLET_SEED: &str = "SBRNVXXX7B2EEBTLJMJ34IIBJVVJUBUOSU6YBS7GJ3GORHPJXNY2UXF4";
pub const CHANNEL: &str = "GCRLLIHZ3PT2F3QO5PVGQ2P72QZNVHGQ5HSZIW7WL2HOUOKBMGQRSBPW";
pub const CHANNEL_SEED: &str = "SCRGCD3FS4TW45MSW77TO6WRC5RFBE6D2GSOXVJTMTJTMC5PICSYIN3S";
pub const ISSUER: &str = "GAMXHYZYJYWQCRGKUI27IMJZY5DV64IGRZAAKFBQUWXG7YL2DC6IX7LX";

/// Sealed wallets in memory.
#[derive(Default)]
pub struct Rows(Mutex<HashMap<String, SealedWallet>>);

impl Rows {
    pub fn keep(&self, wallet: SealedWallet) {
        let mut rows = self.0.lock().unwrap();
        rows.insert(wallet.account_id.clone(), wallet);
    }
}

#[async_trait]
impl SealedWallets for Rows {
    async fn sealed_wallet(&self, id: &str) -> Result<Option<SealedWallet>, StoreError> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }
}

/// New values, the same in each run.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Entropy for Counting {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.salt())
    }

    fn salt(&self) -> [u8; 16] {
        self.secret()[..16].try_into().unwrap()
    }

    fn secret(&self) -> [u8; 32] {
        Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes()).into()
    }
}

/// A custody with an empty store behind it.
pub fn custody() -> (Custodians, Arc<Rows>) {
    let rows = Arc::new(Rows::default());
    let key = MasterKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
    let local = LocalCustody::new(key, Arc::new(Counting::default()));
    (Custodians::new(Arc::new(local), rows.clone()), rows)
}

/// A custody that holds these seeds.
pub fn custody_of(seeds: &[&str]) -> Arc<Custodians> {
    let (custody, rows) = custody();
    for seed in seeds {
        let seed = SecretSeed::new((*seed).to_owned());
        rows.keep(custody.seal(&seed).unwrap());
    }
    Arc::new(custody)
}
