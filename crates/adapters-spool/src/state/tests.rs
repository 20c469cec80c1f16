//! What a crash of the file, or somebody who was faster, does to what is known of it.

use std::time::Duration;

use chrono::DateTime;
use tokio::time::Instant;

use super::{Amount, Census, Content, Frame, Limits, State};

/// A frame of two events in 100 bytes.
fn frame(sequence: i64) -> Frame {
    Frame {
        sequence,
        amount: Amount {
            events: 2,
            bytes: 100,
        },
        pushed_at: DateTime::UNIX_EPOCH,
    }
}

/// Frames 1 to `frames`, all of them in memory, of room for 100 events.
fn remembered(frames: i64) -> State {
    let limits = Limits {
        events: Some(100),
        bytes: None,
    };
    let mut state = State::new(limits, 1 << 20, Census::default());
    for sequence in 1..=frames {
        state.stored(frame(sequence), Content::default());
    }
    state
}

fn claimed(state: &mut State, limit: usize) -> Vec<i64> {
    let claims = state.claim(limit, Instant::now(), Duration::from_mins(1));
    claims.iter().map(|claim| claim.sequence).collect()
}

#[test]
fn a_frame_that_is_gone_while_nobody_holds_it_gives_its_room_back() {
    let mut state = remembered(3);
    let fresh = state.fresh;
    state.removed(2);
    assert_eq!(state.room().events, 96);
    assert_eq!(state.fresh, fresh / 3 * 2, "and its memory");
    assert!(!state.knows(2));
    assert_eq!(claimed(&mut state, 10), [1, 3]);
    // So too where the events are on the disk only, and where there is no such frame.
    state.give_back(3, 2);
    let fresh = state.fresh;
    state.removed(3);
    state.removed(9);
    assert_eq!((state.room().events, state.fresh), (98, fresh));
}

#[test]
fn a_recount_forgets_what_the_file_does_not_have() {
    let mut state = remembered(4);
    assert_eq!(claimed(&mut state, 2), [1]);
    let census = Census {
        amount: Amount {
            events: 4,
            bytes: 200,
        },
        last: 4,
    };
    state.recount(census, &[1, 3]);
    assert_eq!(state.room().events, 96);
    assert_eq!(
        [1, 2, 3, 4].map(|n| state.knows(n)),
        [true, false, true, false]
    );
    assert_eq!(claimed(&mut state, 10), [3]);
    state.recount(Census::default(), &[]);
    assert!(state.is_empty());
    assert_eq!(state.room().events, 100);
}

/// Two takers looked for more at the same time: what the second one found is known already.
#[test]
fn what_was_found_meanwhile_is_not_found_twice() {
    let census = Census {
        amount: Amount {
            events: 4,
            bytes: 200,
        },
        last: 2,
    };
    let mut state = State::new(Limits::default(), 0, census);
    let behind = state.behind().expect("two frames");
    state.found(behind, vec![frame(1)]);
    assert_eq!(claimed(&mut state, 2), [1]);
    state.found(behind, vec![frame(1), frame(2)]);
    assert_eq!(claimed(&mut state, 10), [] as [i64; 0]);
    assert_eq!(state.behind(), Some((1, 2)));
}
