//! When a delivery that failed is tried again.

use std::time::Duration;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause, whatever the receiver asks for.
pub const LONGEST: Duration = Duration::from_hours(1);

/// The pause after so many failures in a row: doubling from a second to an hour, shortened by up to
/// half at random, so that what failed together is not tried together; as long as the receiver asks
/// for, if that is longer.
#[must_use]
pub fn pause(failures: i32, random: u8, asked: Option<Duration>) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or(0)
        .min(12);
    let whole = (FIRST * 2_u32.pow(doublings)).min(LONGEST);
    let spread = whole / 512 * (256 + u32::from(random));
    asked.map_or(spread, |asked| spread.max(asked.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, pause};

    #[test]
    fn pauses_double_and_have_an_end() {
        let longest = |failures| pause(failures, u8::MAX, None).as_millis();
        let shortest = |failures| pause(failures, 0, None).as_millis();
        assert_eq!((shortest(1), longest(1)), (500, 998));
        assert_eq!((shortest(2), longest(2)), (1_000, 1_996));
        assert_eq!((shortest(5), longest(5)), (8_000, 15_968));
        for failures in [13, 14, 1_000, i32::MAX] {
            assert_eq!(shortest(failures), LONGEST.as_millis() / 2);
            assert!(pause(failures, u8::MAX, None) <= LONGEST);
        }
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_ever() {
        let asked = |seconds| pause(1, 0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(0), Duration::from_millis(500));
        assert_eq!(asked(90), Duration::from_secs(90));
        assert_eq!(asked(1 << 40), LONGEST);
    }
}
