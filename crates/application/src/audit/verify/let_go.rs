//! What may be missing: parts that retention let go, each no earlier than its policy allows and only
//! after a sealed event said that it goes.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use chrono::{DateTime, Utc};
use tranche_domain::{Month, RetentionPolicies, Severity};
use uuid::Uuid;

use super::finding::{Finding, Kind};
use crate::audit::retention::announced::Announced;
use crate::ports::verification::ExpiredPart;

/// How an event stands whose row is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is in a part that was let go, and it was time.
    Expired,
    /// It is in a part that was let go before its time, which is this.
    Early(DateTime<Utc>),
    /// It is in no such part.
    Lost,
}

#[derive(Debug)]
struct Part {
    expired: ExpiredPart,
    /// The highest id of this part and of those before it of its severity.
    highest: Uuid,
    /// Whether an event in the tree said that it goes.
    is_announced: AtomicBool,
}

/// The parts that the store says were let go, and by what that is judged.
#[derive(Debug)]
pub(super) struct LetGo {
    /// By severity and first id.
    parts: Vec<Part>,
    policies: RetentionPolicies,
    now: DateTime<Utc>,
}

impl LetGo {
    pub(super) fn new(
        mut expired: Vec<ExpiredPart>,
        policies: RetentionPolicies,
        now: DateTime<Utc>,
    ) -> Self {
        expired.sort_by_key(|part| (part.severity, *part.ids.start()));
        let mut parts: Vec<Part> = Vec::with_capacity(expired.len());
        for part in expired {
            let before = parts.last();
            let before = before.filter(|before| before.expired.severity == part.severity);
            let highest = before.map_or(Uuid::nil(), |before| before.highest);
            parts.push(Part {
                highest: highest.max(*part.ids.end()),
                expired: part,
                is_announced: AtomicBool::new(false),
            });
        }
        Self {
            parts,
            policies,
            now,
        }
    }

    /// Whether this event's row may be missing, whose leaf has this place.
    pub(super) fn judge(&self, severity: Severity, id: Uuid, leaf: i64) -> Missing {
        let Some(month) = month_of(id) else {
            return Missing::Lost;
        };
        let is_its = |of: &ExpiredPart| {
            of.month == month && of.ids.contains(&id) && of.leaves.contains(&leaf)
        };
        let begun = self
            .parts
            .partition_point(|of| (of.expired.severity, *of.expired.ids.start()) <= (severity, id));
        let begun = self.parts[..begun].iter().rev();
        let mut reaching =
            begun.take_while(|of| of.expired.severity == severity && of.highest >= id);
        if !reaching.any(|of| is_its(&of.expired)) {
            return Missing::Lost;
        }
        let expires_at = self.policies.of(severity).expires_at(month);
        if expires_at > self.now {
            return Missing::Early(expires_at);
        }
        Missing::Expired
    }

    /// The tree holds that this part goes.
    pub(super) fn announced(&self, named: &Announced) {
        for of in &self.parts {
            let part = &of.expired;
            let (first, last) = (part.leaves.start(), part.leaves.end());
            if (part.severity, part.month) == (named.severity, named.month)
                && part.sha256 == named.sha256
                && named.leaves.contains(first)
                && named.leaves.contains(last)
            {
                of.is_announced.store(true, Relaxed);
            }
        }
    }

    /// Parts of which no event in the tree said that they go; to be asked when all of it is read.
    pub(super) fn unannounced(&self) -> impl Iterator<Item = Finding> + '_ {
        let silent = self.parts.iter();
        let silent = silent.filter(|of| !of.is_announced.load(Relaxed));
        silent.map(|of| {
            let ExpiredPart {
                severity,
                month,
                leaves,
                ..
            } = &of.expired;
            let what = format!(
                "events of severity {} of {month} are said to have expired, and no event in the \
                 tree said so before",
                severity.as_str()
            );
            let finding = Finding::new(Kind::ExpiredUnannounced, what);
            match places(leaves) {
                Some(leaves) => finding.between(leaves),
                None => finding,
            }
        })
    }
}

fn places(leaves: &RangeInclusive<i64>) -> Option<std::ops::Range<u64>> {
    let first = u64::try_from(*leaves.start()).ok()?;
    let last = u64::try_from(*leaves.end()).ok()?;
    Some(first..last.saturating_add(1))
}

/// The month of a version 7 id: its first 48 bits are milliseconds since 1970.
fn month_of(id: Uuid) -> Option<Month> {
    let millis = i64::try_from(id.as_u128() >> 80).ok()?;
    DateTime::from_timestamp_millis(millis).map(Month::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(month: &str, tail: u128) -> Uuid {
        let month: Month = month.parse().unwrap();
        let millis = u128::try_from(month.starts_at().timestamp_millis()).unwrap();
        Uuid::from_u128(millis << 80 | tail)
    }

    fn part(month: &str, ids: (u128, u128), leaves: RangeInclusive<i64>) -> ExpiredPart {
        ExpiredPart {
            severity: Severity::Info,
            month: month.parse().unwrap(),
            ids: id(month, ids.0)..=id(month, ids.1),
            leaves,
            sha256: None,
        }
    }

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    /// Info is kept for 365 days after the end of its month.
    fn let_go(parts: Vec<ExpiredPart>, now: &str) -> LetGo {
        LetGo::new(parts, RetentionPolicies::default(), at(now))
    }

    #[test]
    fn an_event_is_in_the_part_of_its_severity_month_id_and_leaf() {
        let parts = vec![
            part("2024-01", (10, 90), 0..=50),
            part("2024-01", (20, 30), 70..=71),
            part("2024-02", (1, 1), 60..=60),
        ];
        let let_go = let_go(parts, "2030-01-01T00:00:00Z");
        let info = |month, tail, leaf| let_go.judge(Severity::Info, id(month, tail), leaf);
        for (tail, leaf) in [(10, 0), (90, 50), (25, 12), (25, 70), (20, 71)] {
            assert_eq!(
                info("2024-01", tail, leaf),
                Missing::Expired,
                "{tail} {leaf}"
            );
        }
        for (tail, leaf) in [(9, 1), (91, 1), (25, 51), (35, 70), (25, 72), (25, 60)] {
            assert_eq!(info("2024-01", tail, leaf), Missing::Lost, "{tail} {leaf}");
        }
        assert_eq!(info("2024-02", 1, 60), Missing::Expired);
        assert_eq!(info("2024-02", 2, 60), Missing::Lost);
        let other = let_go.judge(Severity::Warning, id("2024-01", 25), 12);
        assert_eq!(other, Missing::Lost);
    }

    #[test]
    fn nothing_expires_before_its_time() {
        let parts = || vec![part("2024-01", (10, 90), 0..=50)];
        let judge = |now| let_go(parts(), now).judge(Severity::Info, id("2024-01", 10), 0);
        let due = at("2025-01-31T00:00:00Z");
        assert_eq!(judge("2025-01-30T23:59:59Z"), Missing::Early(due));
        assert_eq!(judge("2025-01-31T00:00:00Z"), Missing::Expired);
        // A part that is said to be of an older month holds none of a younger one.
        let mut older = parts();
        older[0].month = "2020-01".parse().unwrap();
        let judged = let_go(older, "2024-03-01T00:00:00Z");
        let judged = judged.judge(Severity::Info, id("2024-01", 10), 0);
        assert_eq!(judged, Missing::Lost);
    }

    #[test]
    fn every_part_is_announced_as_it_is() {
        let name = "info/2024-01/0-50";
        let told = |part: ExpiredPart, name: &str| {
            let let_go = let_go(vec![part], "2030-01-01T00:00:00Z");
            let_go.announced(&name.parse().unwrap());
            let_go.unannounced().count() == 0
        };
        let whole = || part("2024-01", (10, 90), 0..=50);
        assert!(told(whole(), name));
        assert!(
            told(part("2024-01", (10, 20), 3..=9), name),
            "a piece of it"
        );
        for other in [
            "info/2024-01/0-49",
            "info/2024-01/1-50",
            "warning/2024-01/0-50",
            "info/2024-02/0-50",
        ] {
            assert!(!told(whole(), other), "{other}");
        }
        let file = ExpiredPart {
            sha256: Some([7; 32]),
            ..whole()
        };
        assert!(!told(file.clone(), name), "of no file");
        assert!(told(file, &format!("{name}/{}", "07".repeat(32))));
        let silent = let_go(vec![whole()], "2030-01-01T00:00:00Z");
        let found: Vec<Finding> = silent.unannounced().collect();
        assert_eq!(found[0].leaves, Some(0..51));
    }
}
