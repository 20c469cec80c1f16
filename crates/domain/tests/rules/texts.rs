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
fn line_breaks_are_kept_where_a_text_has_several_lines_and_controls_refused() {
    for (name, _, make) in every_text() {
        let several = ["Description", "Reason", "Notes"].contains(&name);
        let controls = (0_u32..=0x9f).filter_map(char::from_u32);
        for control in controls.filter(|c| c.is_control()) {
            let text = format!("a{control}b");
            let kept = several && matches!(control, '\n' | '\r' | '\t');
            let expected = if kept {
                Ok(text.clone())
            } else {
                Err(TextError::Control)
            };
            assert_eq!(make(text), expected, "{name} {control:?}");
        }
    }
}

#[test]
fn white_space_around_a_text_is_not_part_of_it() {
    for (name, _, make) in every_text() {
        assert_eq!(
            make(" \tREF-1\n ".to_owned()),
            Ok("REF-1".to_owned()),
            "{name}"
        );
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn what_is_accepted_is_kept_but_for_white_space_around_it(text in "\\PC{0,220}") {
        for (name, max, make) in every_text() {
            let bare = text.trim();
            let fits = bare.chars().count() <= max && !bare.is_empty();
            match make(text.clone()) {
                Ok(kept) => prop_assert!(fits && kept == bare, "{name}"),
                Err(_) => prop_assert!(!fits, "{name} refused {text:?}"),
            }
        }
    }
}
