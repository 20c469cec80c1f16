//! Times of day at which something begins by itself.

use chrono::NaiveTime;

use super::{ConfigError, value};

/// A time of day, or `None` for `off`.
pub(super) fn time_of_day(
    setting: &'static str,
    text: Option<&str>,
    default: &str,
) -> Result<Option<NaiveTime>, ConfigError> {
    let text = text.unwrap_or(default);
    if text == "off" {
        return Ok(None);
    }
    NaiveTime::parse_from_str(text, "%H:%M")
        .map(Some)
        .map_err(|_| {
            let why = format!("is \"{text}\" and must be a time of day such as {default}, or off");
            value(setting, why)
        })
}

/// The same as a setting has it.
pub(super) fn shown(at: Option<NaiveTime>) -> String {
    at.map_or_else(|| "off".to_owned(), |at| at.format("%H:%M").to_string())
}
