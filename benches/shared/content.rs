//! What is sent: events of about 400 bytes of content each, 2 % critical, 8 % warnings, the rest
//! info.

use std::io::Write as _;

use uuid::{Builder, Uuid};

/// Marks the benchmark's rows among those that the service writes of itself.
pub const RESOURCE_TYPE: &str = "parcel";

pub const ACTIONS: [&str; 8] = [
    "milestone.submitted",
    "milestone.approved",
    "milestone.rejected",
    "evidence.uploaded",
    "disbursement.requested",
    "user.login",
    "report.exported",
    "settings.changed",
];
const STATUSES: [&str; 6] = [
    "pending",
    "submitted",
    "under_review",
    "approved",
    "rejected",
    "finalized",
];
pub const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

/// The beginning of every project's id; the rest is its number.
pub const PROJECTS: u128 = 0x0192_8f00_0000_7000_8000_0000_0000_0000;

/// Which severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mix {
    /// 2 % critical, 8 % warnings, the rest info.
    Usual,
    Info,
    Critical,
}

impl Mix {
    fn pick(self, random: &mut Random) -> &'static str {
        match (self, random.below(100)) {
            (Self::Critical, _) | (Self::Usual, 0..2) => "critical",
            (Self::Usual, 2..10) => "warning",
            _ => "info",
        }
    }
}

/// Numbers without rhyme, the same in every run (splitmix64).
pub struct Random(u64);

impl Random {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below this number.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub fn pick(&mut self, all: &[&'static str]) -> &'static str {
        let index = usize::try_from(self.next() >> 1).unwrap_or_default() % all.len();
        all[index]
    }

    /// A version 7 id of a moment, in milliseconds since 1970.
    pub fn id(&mut self, millis: u64) -> Uuid {
        let mut noise = [0; 10];
        noise[..8].copy_from_slice(&self.next().to_be_bytes());
        noise[8..].copy_from_slice(&self.next().to_be_bytes()[..2]);
        Builder::from_unix_timestamp_millis(millis, &noise).into_uuid()
    }
}

/// An event but for its id and its time.
pub struct Event {
    pub severity: &'static str,
    pub action: &'static str,
    pub actor_id: String,
    pub project_id: Uuid,
    pub resource_id: String,
    pub address: [u8; 4],
    /// JSON.
    pub details: String,
}

impl Event {
    pub fn make(random: &mut Random, mix: Mix) -> Self {
        let (from, to) = (random.pick(&STATUSES), random.pick(&STATUSES));
        let amounts = (random.below(100_000), random.below(100_000));
        let request = random.below(1 << 47);
        let details = format!(
            r#"{{"previous_status":"{from}","new_status":"{to}","changes":{{"status":{{"from":"{from}","to":"{to}"}},"amount":{{"from":"{}.00","to":"{}.00"}}}},"note":"inspection foundation verified second tranche","source":"api","region":"eu-west","request":"{request:016x}"}}"#,
            amounts.0, amounts.1
        );
        let [_, b, c, d, ..] = random.next().to_be_bytes();
        Self {
            severity: mix.pick(random),
            action: random.pick(&ACTIONS),
            actor_id: format!("usr_{:06}", random.below(20_000)),
            project_id: Uuid::from_u128(PROJECTS + u128::from(random.below(5_000))),
            resource_id: format!("mil_{:08x}", random.below(200_000)),
            address: [10, b, c, d],
            details,
        }
    }
}

/// A request: its bytes are made once, and only ids and times change from one sending to the next.
pub struct Body {
    bytes: Vec<u8>,
    /// Where each id and each time begins.
    marks: Vec<(usize, usize)>,
}

const BLANK_ID: &str = "00000000-0000-7000-8000-000000000000";
const BLANK_TIME: &str = "2026-01-01T00:00:00.000000Z";

impl Body {
    pub fn make(random: &mut Random, mix: Mix, events: usize) -> Self {
        let mut bytes = br#"{"entries":["#.to_vec();
        let marks = (0..events)
            .map(|index| {
                if index > 0 {
                    bytes.push(b',');
                }
                append(&mut bytes, &Event::make(random, mix))
            })
            .collect();
        bytes.extend_from_slice(b"]}");
        Self { bytes, marks }
    }

    /// How many events it has.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.marks.len()
    }

    /// Its bytes with new ids, of events that happened at this moment.
    pub fn stamped(&mut self, random: &mut Random, moment: Moment) -> &[u8] {
        let time = moment.text();
        let millis = moment.0 / 1_000;
        for &(id, at) in &self.marks {
            let place = &mut self.bytes[id..id + BLANK_ID.len()];
            random.id(millis).hyphenated().encode_lower(place);
            self.bytes[at..at + BLANK_TIME.len()].copy_from_slice(time.as_bytes());
        }
        &self.bytes
    }
}

fn append(bytes: &mut Vec<u8>, event: &Event) -> (usize, usize) {
    bytes.extend_from_slice(br#"{"id":""#);
    let id = bytes.len();
    bytes.extend_from_slice(BLANK_ID.as_bytes());
    bytes.extend_from_slice(br#"","occurred_at":""#);
    let at = bytes.len();
    bytes.extend_from_slice(BLANK_TIME.as_bytes());
    let [a, b, c, d] = event.address;
    // A write into memory cannot fail.
    let _: std::io::Result<()> = write!(
        bytes,
        r#"","severity":"{}","action":"{}","actor_id":"{}","project_id":"{}","resource_type":"{RESOURCE_TYPE}","resource_id":"{}","ip_address":"{a}.{b}.{c}.{d}","user_agent":"{USER_AGENT}","details":{}}}"#,
        event.severity,
        event.action,
        event.actor_id,
        event.project_id,
        event.resource_id,
        event.details,
    );
    (id, at)
}

/// Microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "the benchmark's clock")]
    #[must_use]
    pub fn now() -> Self {
        Self(u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or_default())
    }

    /// As long as [`BLANK_TIME`].
    fn text(self) -> String {
        let micros = i64::try_from(self.0).unwrap_or_default();
        let time = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
        time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{Body, Mix, Moment, Random};

    fn entries(bytes: &[u8]) -> Vec<Value> {
        let body: Value = serde_json::from_slice(bytes).unwrap();
        body["entries"].as_array().unwrap().clone()
    }

    #[test]
    fn each_sending_of_a_body_has_ids_and_times_of_its_own() {
        let mut random = Random::new(1);
        let mut body = Body::make(&mut random, Mix::Usual, 100);
        let mut ids = BTreeSet::new();
        for second in 1_800_000_000..1_800_000_003 {
            let moment = Moment(second * 1_000_000 + 123_456);
            for entry in entries(body.stamped(&mut random, moment)) {
                let id: uuid::Uuid = entry["id"].as_str().unwrap().parse().unwrap();
                assert_eq!(id.get_version_num(), 7);
                assert_eq!(id.as_u128() >> 80, u128::from(second) * 1_000 + 123);
                assert!(ids.insert(id));
                let time = entry["occurred_at"].as_str().unwrap();
                assert!(time.ends_with(".123456Z"), "{time}");
            }
        }
        assert_eq!(ids.len(), 300);
    }

    #[test]
    fn an_event_has_about_400_bytes_of_content() {
        let mut random = Random::new(2);
        let mut body = Body::make(&mut random, Mix::Usual, 1_000);
        let bytes = body.stamped(&mut random, Moment(0)).len() / 1_000;
        assert!(
            (500..900).contains(&bytes),
            "{bytes} bytes of JSON an event"
        );
        let content: usize = entries(body.stamped(&mut random, Moment(0)))
            .iter()
            .flat_map(|entry| entry.as_object().unwrap().values().cloned())
            .map(|value| value.as_str().map_or(value.to_string().len(), str::len))
            .sum();
        let content = content / 1_000;
        assert!((350..650).contains(&content), "{content} bytes an event");
    }

    #[test]
    fn two_in_a_hundred_are_critical_and_eight_warnings() {
        let mut random = Random::new(3);
        let mut body = Body::make(&mut random, Mix::Usual, 10_000);
        let entries = entries(body.stamped(&mut random, Moment(0)));
        let count = |severity: &str| {
            let of = |entry: &&Value| entry["severity"] == severity;
            entries.iter().filter(of).count()
        };
        assert!((150..250).contains(&count("critical")));
        assert!((700..900).contains(&count("warning")));
        assert_eq!(count("info") + count("warning") + count("critical"), 10_000);
    }
}
