use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use governor::clock::FakeRelativeClock;

use super::{Account, Defaults, Kind, OwnRates, Rate, RateLimits, SWEEP};
use crate::problem::Problem;

fn account(name: &str, rate: Option<&str>) -> Account {
    Account {
        name: name.to_owned(),
        rates: rate.map(|rate| rate.parse().unwrap()),
    }
}

fn limits(defaults: &str) -> (RateLimits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let limits = RateLimits::with_clock(defaults.parse().unwrap(), clock.clone());
    (limits, clock)
}

#[test]
fn a_rate_is_a_number_and_a_period() {
    for text in ["1/s", "60/min", "5000/h", "1000000/d"] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "/",
        "/h",
        "5000",
        "0/h",
        "-1/h",
        "+5/h",
        " 5/h",
        "5 /h",
        "5/hour",
        "5/H",
        "1000001/s",
        "4294967296/h",
        "1.5/h",
        "5/h/h",
        "off",
    ] {
        assert!(text.parse::<Rate>().is_err(), "{text:?}");
    }
}

// S9
#[test]
fn a_thousand_requests_come_at_once_and_then_one_each_3_6_seconds() {
    let clock = FakeRelativeClock::default();
    let limits = RateLimits::with_clock(Defaults::default(), clock.clone());
    let ada = account("ada", None);
    for left in (0..1000).rev() {
        let allowance = limits.check(Kind::Ingest, &ada).unwrap().unwrap();
        assert_eq!(allowance.remaining, left);
    }
    assert_eq!(limits.check(Kind::Ingest, &ada).unwrap_err().retry_after, 4);
    clock.advance(Duration::from_millis(3_599));
    assert_eq!(limits.check(Kind::Ingest, &ada).unwrap_err().retry_after, 1);
    clock.advance(Duration::from_millis(1));
    assert!(limits.check(Kind::Ingest, &ada).is_ok());
    assert!(limits.check(Kind::Ingest, &ada).is_err());
    clock.advance(Duration::from_hours(1));
    assert_eq!(
        limits.check(Kind::Ingest, &ada).unwrap().unwrap().remaining,
        999
    );
}

// S9
#[test]
fn a_hundred_searches_an_hour_are_counted_apart_from_what_is_sent() {
    let (limits, _) = limits("1/h");
    let ada = account("ada", None);
    assert!(limits.check(Kind::Ingest, &ada).is_ok());
    assert!(limits.check(Kind::Ingest, &ada).is_err());
    for _ in 0..100 {
        assert!(limits.check(Kind::Query, &ada).is_ok());
    }
    assert!(limits.check(Kind::Query, &ada).is_err());
}

// S9: how much is sent and how much is searched are two limits, by default and of a credential's own.
#[test]
fn sending_and_searching_have_limits_of_their_own() {
    let all = |limits: &RateLimits<FakeRelativeClock>, kind, who: &Account| {
        (0..10).filter(|_| limits.check(kind, who).is_ok()).count()
    };
    for (defaults, own, sent, searched) in [
        ("2/h,3/h", None, 2, 3),
        ("off,3/h", None, 10, 3),
        ("2/h,off", None, 2, 10),
        ("2/h,3/h", Some("4/h"), 4, 4),
        ("2/h,3/h", Some("4/h,5/h"), 4, 5),
        ("off", Some("9/h,1/h"), 9, 1),
    ] {
        let (limits, _) = limits(defaults);
        let ada = account("ada", own);
        let found = (
            all(&limits, Kind::Ingest, &ada),
            all(&limits, Kind::Query, &ada),
        );
        assert_eq!(found, (sent, searched), "{defaults} {own:?}");
    }
    for (text, shown) in [
        ("off", "off,off"),
        ("5/h", "5/h,100/h"),
        ("5/h,off", "5/h,off"),
    ] {
        let defaults: Defaults = text.parse().unwrap();
        assert_eq!(defaults.to_string(), shown);
        assert_eq!(shown.parse(), Ok(defaults));
    }
    for text in ["", ",", "5/h,", ",5/h", "5/h,6/h,7/h", "5/h, 6/h", "off,of"] {
        assert!(text.parse::<Defaults>().is_err(), "{text}");
        assert!(text.parse::<OwnRates>().is_err(), "{text}");
    }
    for text in ["5/h", "5/h,6/d"] {
        assert_eq!(text.parse::<OwnRates>().unwrap().to_string(), text);
    }
}

#[test]
fn each_credential_is_counted_by_itself_and_by_its_own_limit() {
    let (limits, _) = limits("2/h");
    let (ada, bob) = (account("ada", None), account("bob", Some("3/h")));
    let all = |who: &Account| {
        (0..5)
            .filter(|_| limits.check(Kind::Ingest, who).is_ok())
            .count()
    };
    assert_eq!([all(&ada), all(&bob)], [2, 3]);
    assert_eq!(all(&account("eve", None)), 2);
}

#[test]
fn without_a_default_only_a_limit_of_ones_own_holds() {
    let (limits, _) = limits("off");
    for kind in [Kind::Ingest, Kind::Query] {
        for _ in 0..2000 {
            assert_eq!(limits.check(kind, &account("ada", None)), Ok(None));
        }
        let bob = account("bob", Some("1/d"));
        assert!(limits.check(kind, &bob).is_ok());
        assert_eq!(limits.check(kind, &bob).unwrap_err().retry_after, 86_400);
    }
}

#[test]
fn who_has_all_places_back_is_forgotten() {
    let (limits, clock) = limits("10/s");
    for number in 0..SWEEP / 2 {
        let someone = account(&format!("someone {number}"), None);
        limits.check(Kind::Ingest, &someone).unwrap();
        limits.check(Kind::Query, &someone).unwrap();
    }
    let count = || {
        let limiters = limits.limiters.lock().unwrap();
        let all = limiters.all.values();
        all.map(|limiter| limiter.len()).sum::<usize>()
    };
    assert_eq!(count(), SWEEP as usize);
    clock.advance(Duration::from_hours(2));
    limits.check(Kind::Ingest, &account("late", None)).unwrap();
    assert_eq!(count(), 1);
    let all = limits.limiters.lock().unwrap().all.len();
    assert_eq!(all, 1, "limiters of nobody are gone");
}

#[test]
fn who_sends_too_much_is_told_when_to_come_back() {
    let (limits, _) = limits("1/min");
    let ada = account("ada", None);
    let allowance = limits.check(Kind::Ingest, &ada).unwrap().unwrap();
    let mut answer = StatusCode::ACCEPTED.into_response();
    allowance.tell(&mut answer);
    assert_eq!(answer.headers()["ratelimit-limit"], "1");
    assert_eq!(answer.headers()["ratelimit-remaining"], "0");
    let exceeded = limits.check(Kind::Ingest, &ada).unwrap_err();
    let answer = Problem::from(exceeded).into_response();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "60");
}
