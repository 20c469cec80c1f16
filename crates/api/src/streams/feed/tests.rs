//! What is between a stream and its reader.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::{FutureExt, StreamExt};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use super::{Answer, BUFFER, End, Pen};

const STALL: Duration = Duration::from_secs(30);

fn pen() -> (Pen, Answer) {
    let (pieces, read) = unbounded_channel();
    let pen = Pen {
        pieces,
        room: Arc::new(Semaphore::new(BUFFER)),
        stall: STALL,
    };
    let answer = Answer {
        pieces: read,
        end: Arc::default(),
        is_over: false,
    };
    (pen, answer)
}

fn piece(size: usize) -> Bytes {
    Bytes::from(vec![b'a'; size])
}

// S6: so much waits for a reader and no more, and not for ever.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_left() {
    let (pen, _answer) = pen();
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(pen.write(piece(BUFFER / 4)).await, Ok(()));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(pen.write(piece(1)).await, Err(End::SlowReader));
    assert_eq!(began.elapsed(), STALL);
}

// S6: each piece that is taken makes room, and an event larger than all the room passes alone.
#[tokio::test(start_paused = true)]
async fn what_is_taken_makes_room() {
    let (pen, mut answer) = pen();
    for _ in 0..3 {
        assert_eq!(pen.write(piece(BUFFER * 2)).await, Ok(()));
        assert!(pen.write(piece(1)).now_or_never().is_none(), "it is full");
        let taken = answer.next().await.expect("a piece").expect("bytes");
        assert_eq!(taken.len(), BUFFER * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_left_is_not_waited_for() {
    let (pen, answer) = pen();
    assert_eq!(pen.write(piece(BUFFER)).await, Ok(()));
    let began = Instant::now();
    let (written, ()) = tokio::join!(pen.write(piece(1)), async { drop(answer) });
    assert_eq!(written, Err(End::ReaderLeft));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

// S6: the last word comes after everything that was written, and nothing after it.
#[tokio::test]
async fn the_reason_is_the_last_word() {
    let (pen, mut answer) = pen();
    assert_eq!(pen.write(piece(3)).await, Ok(()));
    assert_eq!(answer.end.set(End::Shutdown), Ok(()));
    drop(pen);
    let mut read = Vec::new();
    while let Some(Ok(bytes)) = answer.next().await {
        read.extend(bytes);
    }
    let read = String::from_utf8(read).expect("text");
    assert!(read.starts_with("aaaevent: end\n"), "{read}");
    assert!(read.contains(r#""reason":"shutdown""#), "{read}");
}
