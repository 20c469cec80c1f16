//! Figures as text. Whole numbers throughout: rates a second, latencies in microseconds, ratios in
//! thousandths.

use std::fmt;

/// Markdown that can be read as it is. The first row is the head, the first column is text.
///
/// # Errors
/// Those of the formatter.
pub fn table<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for (index, row) in rows.iter().enumerate() {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                write!(f, "| {cell:<width$} ")?;
            } else {
                write!(f, "| {cell:>width$} ")?;
            }
        }
        writeln!(f, "|")?;
        if index == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let end = if column == 0 { '-' } else { ':' };
                write!(f, "|{:-<1$}{end}", "", width + 1)?;
            }
            writeln!(f, "|")?;
        }
    }
    Ok(())
}

/// The median and the 99th percentile.
#[must_use]
pub fn percentiles(mut values: Vec<u64>) -> Option<(u64, u64)> {
    values.sort_unstable();
    let at = |hundredths: usize| values.get(values.len() * hundredths / 100).copied();
    Some((at(50)?, at(99)?))
}

/// The middle one, the lower of two.
pub fn median<T>(values: &[T], figure: impl Fn(&T) -> u64) -> u64 {
    let mut figures: Vec<_> = values.iter().map(figure).collect();
    figures.sort_unstable();
    let middle = figures.len().saturating_sub(1) / 2;
    figures.get(middle).copied().unwrap_or_default()
}

/// Microseconds as milliseconds.
#[must_use]
pub fn milliseconds(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

/// A ratio with two digits behind the point.
#[must_use]
pub fn thousandths(ratio: u64) -> String {
    let hundredths = (ratio + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// With a comma before each three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::percentiles;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        assert_eq!(percentiles((1..=200).rev().collect()), Some((101, 199)));
        assert_eq!(percentiles(Vec::new()), None);
    }
}
