//! Amounts and prices: exact, checked, and refused when they would lose a stroop.

use proptest::prelude::*;
use tranche_domain::money::AmountError::{Malformed, Negative, TooLarge, TooManyDecimals};
use tranche_domain::{Amount, Price};

use crate::scene::{cases, stroops};

#[test]
fn the_edges_parse_and_print() {
    let table = [
        ("0", 0, "0.0000000"),
        ("0.0000001", 1, "0.0000001"),
        ("1", 10_000_000, "1.0000000"),
        ("1.5", 15_000_000, "1.5000000"),
        ("007.10", 71_000_000, "7.1000000"),
        ("1250000.50", 12_500_005_000_000, "1250000.5000000"),
        ("922337203685.4775807", i64::MAX, "922337203685.4775807"),
    ];
    for (text, expected, printed) in table {
        let amount: Amount = text.parse().unwrap();
        assert_eq!(amount.stroops(), expected, "{text}");
        assert_eq!(amount.to_string(), printed);
    }
    assert_eq!("0".parse(), Ok(Amount::ZERO));
    assert_eq!("922337203685.4775807".parse(), Ok(Amount::MAX));
}

#[test]
fn what_is_not_a_plain_decimal_is_refused() {
    let malformed = [
        "",
        " ",
        ".",
        "-",
        "+",
        "1.",
        ".5",
        "-.5",
        "1..2",
        "1.2.3",
        "+1",
        "1+",
        "1-",
        " 1",
        "1 ",
        "1 000",
        "1_000",
        "1,000",
        "1,5",
        "1e5",
        "1E5",
        "1e-7",
        "0x10",
        "0b1",
        "1f64",
        "NaN",
        "nan",
        "Infinity",
        "inf",
        "-inf",
        "null",
        "true",
        "\"1\"",
        "[1]",
        "{}",
        "1\n",
        "\t1",
        "1\0",
        "\u{661}",
        "\u{ff11}",
        "1.\u{0663}",
        "\u{2212}1",
        "\u{bd}",
        "1\u{a0}000",
        "₦1",
        "1NGNTS",
        "1%",
        "٣.١٤",
    ];
    for text in malformed {
        assert_eq!(text.parse::<Amount>(), Err(Malformed), "{text:?}");
    }
}

#[test]
fn signs_without_end_are_refused_without_end() {
    for signs in [2, 3, 1_000_000] {
        assert_eq!("-".repeat(signs).parse::<Amount>(), Err(Malformed));
        assert_eq!(
            format!("{}1", "-".repeat(signs)).parse::<Amount>(),
            Err(Malformed)
        );
    }
}

#[test]
fn what_is_too_small_too_fine_or_too_large_is_refused_by_name() {
    let table = [
        ("-1", Negative),
        ("-0", Negative),
        ("-0.0000001", Negative),
        ("-922337203685.4775808", TooLarge),
        ("0.00000001", TooManyDecimals),
        ("1.00000000", TooManyDecimals),
        ("-1.00000000", TooManyDecimals),
        ("922337203685.4775808", TooLarge),
        ("922337203686", TooLarge),
        ("9223372036854775807", TooLarge),
        (
            "99999999999999999999999999999999999999999999999999",
            TooLarge,
        ),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
    }
    assert_eq!(Amount::try_from_stroops(-1), Err(Negative));
    assert_eq!(Amount::try_from_stroops(i64::MIN), Err(Negative));
}

/// `value ÷ tokens` by long division on decimal digits, rounded half to even by hand.
fn long_division(value: i64, tokens: i64) -> String {
    let (value, tokens) = (value.unsigned_abs(), tokens.unsigned_abs());
    let mut digits: Vec<u32> = (value / tokens)
        .to_string()
        .chars()
        .map(|digit| digit.to_digit(10).unwrap())
        .collect();
    let mut rest = u128::from(value % tokens);
    for _ in 0..7 {
        rest *= 10;
        digits.push(u32::try_from(rest / u128::from(tokens)).unwrap());
        rest %= u128::from(tokens);
    }
    let odd = digits.last().unwrap() % 2 == 1;
    let up = match (rest * 2).cmp(&u128::from(tokens)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => odd,
        std::cmp::Ordering::Greater => true,
    };
    if up {
        let nines = digits.iter().rev().take_while(|digit| **digit == 9).count();
        let at = digits.len() - nines;
        digits[at..].fill(0);
        match at.checked_sub(1) {
            Some(before) => digits[before] += 1,
            None => digits.insert(0, 1),
        }
    }
    let point = digits.len() - 7;
    let text = |part: &[u32]| part.iter().map(u32::to_string).collect::<String>();
    format!("{}.{}", text(&digits[..point]), text(&digits[point..]))
}

#[test]
fn a_price_is_rounded_half_to_even() {
    // In stroops; a price step is 10⁻⁷, so a half step needs a token count of 2 × 10⁷.
    let table = [
        (0, 1, "0.0000000"),
        (1, 3, "0.3333333"),
        (2, 3, "0.6666667"),
        (1, 20_000_000, "0.0000000"),
        (3, 20_000_000, "0.0000002"),
        (5, 20_000_000, "0.0000002"),
        (7, 20_000_000, "0.0000004"),
        (19_999_999, 20_000_000, "1.0000000"),
        (i64::MAX, 1, "9223372036854775807.0000000"),
        (1, i64::MAX, "0.0000000"),
        (i64::MAX, i64::MAX, "1.0000000"),
    ];
    for (value, tokens, expected) in table {
        let price = Price::per_token(stroops(value), stroops(tokens)).unwrap();
        assert_eq!(price.to_string(), expected, "{value} / {tokens}");
        assert_eq!(long_division(value, tokens), expected, "the test's own sum");
    }
}

#[test]
fn without_tokens_there_is_no_price() {
    for value in [Amount::ZERO, stroops(1), Amount::MAX] {
        assert_eq!(Price::per_token(value, Amount::ZERO), None);
    }
}

/// Small, large and awkward counts of stroops.
fn count() -> impl Strategy<Value = i64> {
    prop_oneof![
        0..=i64::MAX,
        0..=1_000_i64,
        (i64::MAX - 1_000)..=i64::MAX,
        (0_u32..=18).prop_map(|power| 10_i64.pow(power)),
    ]
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn printing_and_parsing_lose_nothing(value in count()) {
        let amount = stroops(value);
        prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        prop_assert_eq!(amount.stroops(), value);
    }

    #[test]
    fn trailing_zeros_and_shorter_fractions_mean_the_same(value in count()) {
        let whole = stroops(value).to_string();
        let short = whole.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(short.parse::<Amount>(), Ok(stroops(value)));
    }

    #[test]
    fn no_text_is_misread(text in "[-+]?[0-9 _.eE٣x]{0,24}") {
        // Whatever is accepted is digits, perhaps a point, and at most seven digits behind it,
        // and its stroops are those digits.
        if let Ok(amount) = text.parse::<Amount>() {
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            prop_assert!(fraction.len() <= 7 && !whole.is_empty());
            prop_assert!(text.chars().all(|c| c == '.' || c.is_ascii_digit()));
            let mut expected: i128 = 0;
            for digit in whole.chars().chain(fraction.chars()) {
                expected = expected * 10 + i128::from(digit.to_digit(10).unwrap());
            }
            for _ in fraction.len()..7 {
                expected *= 10;
            }
            prop_assert_eq!(i128::from(amount.stroops()), expected);
        }
    }

    #[test]
    fn nothing_above_the_ledgers_limit_is_accepted(
        above in (i128::from(i64::MAX) + 1)..=i128::MAX,
    ) {
        let (whole, fraction) = (above / 10_000_000, above % 10_000_000);
        let text = format!("{whole}.{fraction:07}");
        prop_assert_eq!(text.parse::<Amount>(), Err(TooLarge));
    }

    #[test]
    fn sums_and_differences_are_exact_or_refused(a in count(), b in count()) {
        let sum = i128::from(a) + i128::from(b);
        let expected = i64::try_from(sum).ok().map(stroops);
        prop_assert_eq!(stroops(a).checked_add(stroops(b)), expected);
        let expected = (a >= b).then(|| stroops(a - b));
        prop_assert_eq!(stroops(a).checked_sub(stroops(b)), expected);
    }

    #[test]
    fn a_price_is_what_long_division_says(value in count(), tokens in count()) {
        prop_assume!(tokens > 0);
        let price = Price::per_token(stroops(value), stroops(tokens)).unwrap();
        prop_assert_eq!(price.to_string(), long_division(value, tokens));
    }

    #[test]
    fn a_price_on_the_half_goes_to_the_even_step(steps in 0..=10_000_i64, scale in 1..=1_000_i64) {
        // (2 × steps + 1) ÷ 2 price steps, exactly between two of them.
        let value = stroops((2 * steps + 1) * scale);
        let price = Price::per_token(value, stroops(20_000_000 * scale)).unwrap();
        let even = if steps % 2 == 0 { steps } else { steps + 1 };
        prop_assert_eq!(price.to_string(), stroops(even).to_string());
    }
}
