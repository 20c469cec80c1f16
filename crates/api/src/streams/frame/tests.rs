//! Positions: whoever comes back with one goes on after what they had.

use super::{End, end, heartbeat, hello};

// S6
#[test]
fn a_position_is_that_of_the_event_before() {
    assert_eq!(hello(5), "retry: 2000\nid: 4\n\n");
    assert_eq!(hello(0), "retry: 2000\nid: -1\n\n");
    assert_eq!(heartbeat(7), ": still here\nid: 6\n\n");
}

// S6
#[test]
fn every_end_has_its_reason() {
    for (reason, name) in [
        (End::Shutdown, "shutdown"),
        (End::Denied, "denied"),
        (End::SlowReader, "slow_reader"),
        (End::ReaderLeft, "reader_left"),
    ] {
        let frame = String::from_utf8(end(reason).to_vec()).expect("text");
        let data = frame.strip_prefix("event: end\ndata: ").expect("an end");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["reason"], name);
    }
}
