//! The subjects' keys, opened: looked up where they are kept, made where there are none, and held for
//! a short time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::SensitiveError;
use super::mark::DataKey;
use crate::keys::KeyRing;
use crate::ports::custody::Sealer;
use crate::ports::entropy::Entropy;
use crate::ports::store::StoreError;
use crate::ports::subject_keys::{KeptKey, SubjectKey, SubjectKeys};
use crate::services::Services;

/// How long a key is held, and so the longest until an erasure is known to every process.
pub const HELD: Duration = Duration::from_secs(30);
/// The most keys that are held.
const MOST_HELD: usize = 10_000;
/// The longest that a caller waits for keys.
const LONGEST_LOOK_UP: Duration = Duration::from_millis(1500);

/// What became of a key, as far as opening goes.
#[derive(Clone)]
pub(super) enum Known {
    /// It opens.
    Opens(Arc<DataKey>),
    /// It is gone for good.
    Erased,
    /// It is unknown here, or no master key that is given opens it.
    Closed,
}

pub(super) struct Keyring {
    services: Services,
    kept: Arc<dyn SubjectKeys>,
    sealer: Arc<dyn Sealer>,
    ring: KeyRing,
    by_subject: Mutex<Held<[u8; 32], Arc<DataKey>>>,
    by_id: Mutex<Held<Uuid, Known>>,
}

/// What is held for a short time.
struct Held<K, V>(HashMap<K, (Instant, V)>);

impl<K: Eq + Hash, V: Clone> Held<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let (until, value) = self.0.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    fn put(&mut self, key: K, value: V) {
        let now = Instant::now();
        if self.0.len() >= MOST_HELD {
            self.0.retain(|_, (until, _)| now < *until);
        }
        if self.0.len() >= MOST_HELD {
            self.0.clear();
        }
        self.0.insert(key, (now + HELD, value));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keyring {
    pub fn new(
        services: Services,
        kept: Arc<dyn SubjectKeys>,
        sealer: Arc<dyn Sealer>,
        ring: KeyRing,
    ) -> Self {
        Self {
            services,
            kept,
            sealer,
            ring,
            by_subject: Mutex::new(Held(HashMap::new())),
            by_id: Mutex::new(Held(HashMap::new())),
        }
    }

    /// The subject's name where keys are kept.
    pub fn hash(&self, subject: &str) -> [u8; 32] {
        self.ring.subject_hash(subject)
    }

    pub fn entropy(&self) -> &dyn Entropy {
        self.services.entropy.as_ref()
    }

    pub fn kept(&self) -> &dyn SubjectKeys {
        self.kept.as_ref()
    }

    /// The keys to seal these subjects' data under, made where there are none.
    pub async fn for_sealing(
        &self,
        subjects: impl Iterator<Item = &str>,
    ) -> Result<BTreeMap<String, Arc<DataKey>>, SensitiveError> {
        let mut found = BTreeMap::new();
        let mut missing = BTreeMap::new();
        for subject in subjects {
            let hash = self.hash(subject);
            match locked(&self.by_subject).get(&hash) {
                Some(key) => drop(found.insert(subject.to_owned(), key)),
                None => drop(missing.insert(hash, subject.to_owned())),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let hashes: Vec<_> = missing.keys().copied().collect();
        let looked_up = timeout(LONGEST_LOOK_UP, self.kept_or_made(&hashes)).await;
        let keys = looked_up.unwrap_or_else(|_| Err(StoreError::timeout().into()))?;
        for (hash, key) in keys {
            locked(&self.by_subject).put(hash, key.clone());
            if let Some(subject) = missing.remove(&hash) {
                found.insert(subject, key);
            }
        }
        if missing.is_empty() {
            Ok(found)
        } else {
            Err(SensitiveError::Unkept)
        }
    }

    async fn kept_or_made(
        &self,
        hashes: &[[u8; 32]],
    ) -> Result<Vec<([u8; 32], Arc<DataKey>)>, SensitiveError> {
        let mut kept = self.kept.in_force(hashes).await?;
        let missing: Vec<[u8; 32]> = hashes
            .iter()
            .filter(|hash| !kept.iter().any(|key| key.subject == **hash))
            .copied()
            .collect();
        if !missing.is_empty() {
            let made = missing.iter().map(|hash| self.make(*hash));
            let made = made.collect::<Result<Vec<_>, _>>()?;
            let mut work = self.services.store.begin().await?;
            work.credentials().keep_subject_keys(&made).await?;
            work.commit().await?;
            // Another process may have been first: what is kept counts.
            kept.extend(self.kept.in_force(&missing).await?);
        }
        kept.iter()
            .map(|key| Ok((key.subject, Arc::new(self.open(key)?))))
            .collect()
    }

    fn make(&self, subject: [u8; 32]) -> Result<SubjectKey, SensitiveError> {
        let entropy = &self.services.entropy;
        let id = entropy.id();
        let secret = Zeroizing::new(entropy.secret());
        let sealed = self.sealer.seal_secret(&SubjectKey::name(id), &secret)?;
        Ok(SubjectKey {
            id,
            subject,
            key_id: sealed.key_id,
            sealed: sealed.sealed,
            created_at: self.services.clock.now(),
        })
    }

    fn open(&self, key: &SubjectKey) -> Result<DataKey, SensitiveError> {
        Ok(DataKey {
            id: key.id,
            secret: self.sealer.open_secret(&key.secret())?,
        })
    }

    /// What is known of the keys of these ids.
    pub async fn known(
        &self,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<HashMap<Uuid, Known>, StoreError> {
        let mut known = HashMap::new();
        let mut missing = Vec::new();
        for id in ids {
            match locked(&self.by_id).get(&id) {
                Some(state) => drop(known.insert(id, state)),
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let kept = timeout(LONGEST_LOOK_UP, self.kept.by_id(&missing)).await;
        for kept in kept.unwrap_or_else(|_| Err(StoreError::timeout()))? {
            let (id, state) = match kept {
                KeptKey::Erased(id) => (id, Known::Erased),
                KeptKey::InForce(key) => match self.open(&key) {
                    Ok(opened) => (key.id, Known::Opens(Arc::new(opened))),
                    Err(error) => {
                        tracing::error!(key = %key.id, %error, "sensitive details stay closed");
                        (key.id, Known::Closed)
                    }
                },
            };
            locked(&self.by_id).put(id, state.clone());
            known.insert(id, state);
        }
        for id in missing {
            known.entry(id).or_insert(Known::Closed);
        }
        Ok(known)
    }

    /// Forgets a key that is gone.
    pub fn forget(&self, subject: &[u8; 32], id: Uuid) {
        locked(&self.by_subject).0.remove(subject);
        locked(&self.by_id).0.remove(&id);
    }
}
