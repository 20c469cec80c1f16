//! Checkpoints as signed notes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tranche_application::audit::tree::note::{LogKey, NoteError, Origin, stated};

use super::memory_tree::key;
use super::scene::time;

fn named(origin: &str) -> LogKey {
    LogKey::new(&[1; 32].into(), Some(Origin::parse(origin).unwrap()))
}

#[test]
fn a_checkpoint_is_written_as_c2sp_says() {
    let key = named("example.com/audit");
    let signed = key.sign(42, [9; 32], time(0));
    let lines: Vec<&str> = signed.note.split('\n').collect();
    let root = STANDARD.encode([9; 32]);
    assert_eq!(lines[..4], ["example.com/audit", "42", root.as_str(), ""]);
    let (dash, signature) = lines[4].split_at("\u{2014} example.com/audit ".len());
    assert_eq!(dash, "\u{2014} example.com/audit ");
    let signature = STANDARD.decode(signature).unwrap();
    assert_eq!(signature.len(), 4 + 64);
    assert_eq!(lines[5..], [""]);
    let verifier = key.verifier();
    let parts: Vec<&str> = verifier.splitn(3, '+').collect();
    assert_eq!(parts[0], "example.com/audit");
    assert_eq!(parts[1], hex::encode(&signature[..4]));
    let public = STANDARD.decode(parts[2]).unwrap();
    assert_eq!((public[0], &public[1..]), (1, key.public().as_slice()));
}

#[test]
fn what_was_signed_opens_and_nothing_else_does() {
    let key = named("example.com/audit");
    let signed = key.sign(42, [9; 32], time(0));
    assert_eq!(key.open(&signed.note), Ok((42, [9; 32])));
    assert_eq!(stated(&signed.note), Ok((42, [9; 32])));
    for at in 0..signed.note.len() {
        let mut bytes = signed.note.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(altered) = String::from_utf8(bytes) else {
            continue;
        };
        assert!(key.open(&altered).is_err(), "byte {at}: {altered}");
    }
    for cut in 0..signed.note.len() {
        if let Some(part) = signed.note.get(..cut) {
            assert!(key.open(part).is_err(), "cut at {cut}");
        }
    }
    assert_eq!(
        super::memory_tree::key(2).open(&signed.note),
        Err(NoteError::NotSigned)
    );
    let mut more = signed.clone();
    more.size = 43;
    assert_eq!(key.verify(&more), Err(NoteError::NotSigned));
    assert_eq!(key.verify(&signed), Ok(()));
}

/// Other witnesses' signatures may stand beside; the log may have had another name.
#[test]
fn further_signatures_and_former_names_do_not_matter() {
    let former = named("example.com/before").sign(7, [3; 32], time(0));
    let now = named("example.com/audit");
    assert_eq!(now.open(&former.note), Ok((7, [3; 32])));
    let witness = key(2).sign(7, [3; 32], time(0)).note;
    let line = witness.lines().last().unwrap();
    let both = format!("{}{line}\n", former.note);
    assert_eq!(now.open(&both), Ok((7, [3; 32])));
}

#[test]
fn an_origin_is_one_word() {
    for wrong in [
        "",
        "two words",
        "a+b",
        "line\n",
        "nbsp\u{a0}",
        &"x".repeat(256),
    ] {
        assert!(Origin::parse(wrong).is_err(), "{wrong:?}");
    }
    assert_ne!(key(1).origin(), key(2).origin(), "each key its own");
    assert_eq!(key(1).origin(), key(1).origin());
}
