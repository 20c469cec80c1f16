//! API keys that were seen in force of late, so that services can send events while the store is
//! away, and need not ask it for each event; and that people see meanwhile how that goes.
//!
//! For these two alone: a key may be used for a second after it was looked up, and while the store
//! does not answer for a quarter of an hour. Everything else asks the store each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tranche_application::keys::ApiKey;

/// How long a key counts as just looked up: a revoked one is refused after that.
pub const FRESH: Duration = Duration::from_secs(1);
/// How long a key is taken on trust while the store is away.
pub const TRUSTED: Duration = Duration::from_mins(15);
/// How many keys are remembered.
const MOST: usize = 10_000;

/// Keys that were in force when they were last looked up.
#[derive(Debug, Default)]
pub struct KnownKeys(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
struct Known {
    key: ApiKey,
    /// When the store last said so.
    at: Instant,
    /// When the store was last asked.
    asked: Instant,
}

impl KnownKeys {
    /// A key of which the store was asked a moment ago, and which it confirmed then or not long
    /// before.
    pub fn fresh(&self, id: &str, now: Instant) -> Option<ApiKey> {
        self.find(id, now, |known| known.asked, FRESH)
    }

    /// A key that is taken on trust now that the store does not answer. It is fresh again.
    pub fn trusted(&self, id: &str, now: Instant) -> Option<ApiKey> {
        let key = self.find(id, now, |known| known.at, TRUSTED)?;
        if let Some(known) = self.lock().get_mut(id) {
            known.asked = now;
        }
        Some(key)
    }

    fn find(
        &self,
        id: &str,
        now: Instant,
        since: impl Fn(&Known) -> Instant,
        age: Duration,
    ) -> Option<ApiKey> {
        let known = self.lock();
        let known = known.get(id)?;
        (now.saturating_duration_since(since(known)) <= age
            && now.saturating_duration_since(known.at) <= TRUSTED)
            .then(|| known.key.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store says of a key now.
    pub fn learn(&self, id: &str, key: Option<&ApiKey>, now: Instant) {
        let mut known = self.lock();
        match key.filter(|key| key.revoked_at.is_none()) {
            Some(key) => {
                if known.len() >= MOST && !known.contains_key(id) {
                    known.retain(|_, known| now.saturating_duration_since(known.at) <= FRESH);
                }
                if known.len() < MOST {
                    let key = key.clone();
                    let (at, asked) = (now, now);
                    known.insert(id.to_owned(), Known { key, at, asked });
                }
            }
            None => drop(known.remove(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::DateTime;
    use tranche_application::keys::ApiKey;
    use tranche_domain::Role;

    use super::{FRESH, KnownKeys, MOST, TRUSTED};

    fn key(id: &str) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            subject: "reports".to_owned(),
            roles: vec![Role::Service],
            project_id: None,
            hash: [7; 32],
            rate_limit: None,
            created_at: DateTime::UNIX_EPOCH,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_is_fresh_for_a_moment_and_trusted_for_longer() {
        let (known, now) = (KnownKeys::default(), Instant::now());
        known.learn("a", Some(&key("a")), now);
        let later = now + Duration::from_secs(5);
        assert_eq!(known.fresh("a", now), Some(key("a")));
        assert_eq!(known.fresh("a", later), None);
        assert_eq!(known.trusted("a", later), Some(key("a")));
        assert_eq!(known.fresh("a", later), Some(key("a")), "it was just asked");
        let much_later = now + TRUSTED + FRESH;
        assert_eq!(known.trusted("a", much_later), None);
        assert_eq!(known.fresh("b", now), None);
    }

    #[test]
    fn a_key_that_is_revoked_or_gone_is_forgotten() {
        let (known, now) = (KnownKeys::default(), Instant::now());
        let revoked = ApiKey {
            revoked_at: Some(DateTime::UNIX_EPOCH),
            ..key("a")
        };
        for gone in [Some(&revoked), None] {
            known.learn("a", Some(&key("a")), now);
            known.learn("a", gone, now);
            assert_eq!(known.fresh("a", now), None);
        }
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (known, now) = (KnownKeys::default(), Instant::now());
        for number in 0..=MOST {
            let id = number.to_string();
            known.learn(&id, Some(&key(&id)), now);
        }
        assert_eq!(known.fresh(&MOST.to_string(), now), None);
        let later = now + FRESH * 2;
        known.learn("late", Some(&key("late")), later);
        assert_eq!(known.fresh("late", later), Some(key("late")));
        assert_eq!(known.trusted("0", later), None);
    }
}
