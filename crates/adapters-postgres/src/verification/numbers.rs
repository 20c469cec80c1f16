//! Numbers that the database holds and a float does not: the proof is over the float, so that other
//! digits behind it would pass unseen.

/// The first number in a document that is not the one which is read from it.
pub(super) fn inexact(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = after_text(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let rest = &json[at..];
                let end = rest
                    .find(|char: char| !matches!(char, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
                    .unwrap_or(rest.len());
                let number = &rest[..end];
                if !is_exact(number) {
                    return Some(number);
                }
                at += end;
            }
            _ => at += 1,
        }
    }
    None
}

fn after_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn is_exact(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    // The shortest text that reads back as the same float is the one that was sent.
    number
        .parse::<f64>()
        .is_ok_and(|float| decimal(&float.to_string()) == decimal(number))
}

/// Sign, digits without zeros around them, and the power of ten of the last one.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (number, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let power = exponent - i64::try_from(fraction.len()).ok()? + zeros;
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((is_negative, significant.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::inexact;

    #[test]
    fn what_was_sent_passes() {
        for json in [
            "{}",
            r#"{"a": [1, -2, 0, 0.1, 1.50, 1e21, 1000000000000000000000, 9007199254740991]}"#,
            r#"{"a": "0.10000000000000000001", "b\"": "\\", "c": 2.5e-7, "d": -0.0}"#,
        ] {
            assert_eq!(inexact(json), None, "{json}");
        }
    }

    #[test]
    fn digits_that_a_float_does_not_hold_are_found() {
        for (json, number) in [
            (r#"{"a": 0.10000000000000000001}"#, "0.10000000000000000001"),
            (
                r#"{"a\"": "1.5", "b": [1.5, 100000000000000000000000001]}"#,
                "100000000000000000000000001",
            ),
            ("1.00000000000000000001", "1.00000000000000000001"),
            ("1e400", "1e400"),
        ] {
            assert_eq!(inexact(json), Some(number), "{json}");
        }
    }
}
