//! The limits of what people write.

use proptest::prelude::*;
use tranche_domain::text::{
    Description, Notes, ProjectName, Reason, TextError, Title, TransferReference,
};

use crate::scene::cases;

/// Runs `$check` with the constructor and the limit of every text.
macro_rules! for_every_text {
    ($($name:ident = $max:literal),* $(,)?) => {
        /// Every text: its name, its limit, and what its constructor makes of a string.
        fn every_text() -> Vec<(&'static str, usize, fn(String) -> Result<String, TextError>)> {
            vec![$((
                stringify!($name),
                $max,
                |text| $name::try_new(text).map(|text| {
                    assert_eq!(text.as_str(), text.to_string());
                    text.to_string()
                }),
            )),*]
        }
    };
}
for_every_text! {
    ProjectName = 200,
    Title = 200,
    Description = 5_000,
    Reason = 2_000,
    TransferReference = 140,
    Notes = 2_000,
}

#[test]
fn a_text_may_be_as_long_as_its_limit_and_no_longer() {
    for (name, max, make) in every_text() {
        // Counted in characters: a letter of four bytes counts once.
        for letter in ["x", "ọ", "𐀀"] {
            assert_eq!(make(letter.repeat(max)), Ok(letter.repeat(max)), "{name}");
            let long = letter.repeat(max + 1);
            assert_eq!(make(long), Err(TextError::TooLong { max }), "{name}");
        }
    }
}

#[test]
fn an_empty_text_is_refused() {
    for (name, _, make) in every_text() {
        for text in ["", " ", "\n\t\r ", "\u{a0}\u{2003}"] {
            assert_eq!(
                make(text.to_owned()),
                Err(TextError::Empty),
                "{name} {text:?}"
            );
        }
    }
}

#[test]
fn line_breaks_and_tabs_are_kept_and_other_controls_refused() {
    for (name, _, make) in every_text() {
        let kept = "first\r\n\tsecond";
        assert_eq!(make(kept.to_owned()), Ok(kept.to_owned()), "{name}");
        let controls = (0_u32..=0x9f).filter_map(char::from_u32);
        for control in controls.filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            let text = format!("a{control}b");
            assert_eq!(make(text), Err(TextError::Control), "{name} {control:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn what_is_accepted_is_kept_as_written(text in "\\PC{0,220}") {
        for (name, max, make) in every_text() {
            let fits = text.chars().count() <= max && !text.trim().is_empty();
            match make(text.clone()) {
                Ok(kept) => prop_assert!(fits && kept == text, "{name}"),
                Err(_) => prop_assert!(!fits, "{name} refused {text:?}"),
            }
        }
    }
}
