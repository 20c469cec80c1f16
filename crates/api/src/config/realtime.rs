//! Streams and webhooks: how many, how patient, and where they may lead.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, number, value};

/// Settings as they are given.
#[derive(Clone, Default, Args, Deserialize)]
pub struct RealtimeSettings {
    /// How many event streams this process serves at once, 1 to 10000 [default: 256]
    #[arg(long, env = "TRANCHE_STREAMS", global = true, value_name = "COUNT")]
    streams: Option<String>,
    /// How many of them one key may have [default: 10]
    #[arg(
        long,
        env = "TRANCHE_STREAMS_PER_KEY",
        global = true,
        value_name = "COUNT"
    )]
    streams_per_key: Option<String>,
    /// How long a reader may take nothing of an answer before its connection is closed, 1 to 3600
    /// [default: 30]
    #[arg(
        long,
        env = "TRANCHE_STALL_SECONDS",
        global = true,
        value_name = "SECONDS"
    )]
    stall_seconds: Option<String>,
    /// Whether webhooks may lead to private addresses: `on` or `off` [default: off]
    #[arg(
        long,
        env = "TRANCHE_WEBHOOK_PRIVATE_ADDRESSES",
        global = true,
        value_name = "on|off"
    )]
    webhook_private_addresses: Option<String>,
    /// How long a webhook may fail before it is disabled, 1 to 31536000 [default: 259200]
    #[arg(
        long,
        env = "TRANCHE_WEBHOOK_DISABLE_AFTER_SECONDS",
        global = true,
        value_name = "SECONDS"
    )]
    webhook_disable_after_seconds: Option<String>,
}

/// Streams and webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realtime {
    /// Streams at most in this process.
    pub streams: usize,
    /// Streams at most of one key.
    pub streams_per_key: usize,
    /// How long a reader may take nothing.
    pub stall: Duration,
    /// Whether webhooks may lead to private addresses.
    pub webhook_private_addresses: bool,
    /// How long a webhook may fail.
    pub webhook_disable_after: Duration,
}

impl RealtimeSettings {
    pub(super) fn fill_from(&mut self, file: Self) {
        macro_rules! fill { ($($field:ident)*) => { $(
            if self.$field.is_none() { self.$field = file.$field; }
        )* } }
        fill!(streams streams_per_key stall_seconds webhook_private_addresses
            webhook_disable_after_seconds);
    }

    pub(super) fn resolve(self) -> Result<Realtime, ConfigError> {
        let bound = |setting, given: &Option<String>, default, most| {
            number(setting, given.as_deref(), default, 1..=most)
        };
        let count = |setting, given, default| {
            let count = bound(setting, given, default, 10_000)?;
            Ok(usize::try_from(count).unwrap_or(usize::MAX))
        };
        let stall = bound("TRANCHE_STALL_SECONDS", &self.stall_seconds, 30, 3_600)?;
        let disable_after = bound(
            "TRANCHE_WEBHOOK_DISABLE_AFTER_SECONDS",
            &self.webhook_disable_after_seconds,
            259_200,
            31_536_000,
        )?;
        let private = match self.webhook_private_addresses.as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(_) => {
                let why = "must be on or off";
                return Err(value("TRANCHE_WEBHOOK_PRIVATE_ADDRESSES", why));
            }
        };
        Ok(Realtime {
            streams: count("TRANCHE_STREAMS", &self.streams, 256)?,
            streams_per_key: count("TRANCHE_STREAMS_PER_KEY", &self.streams_per_key, 10)?,
            stall: Duration::from_secs(stall),
            webhook_private_addresses: private,
            webhook_disable_after: Duration::from_secs(disable_after),
        })
    }
}

impl Realtime {
    /// Every setting in force, a line each.
    pub(super) fn describe(&self, lines: &mut Vec<String>) {
        let private = if self.webhook_private_addresses {
            "on"
        } else {
            "off"
        };
        lines.extend([
            format!("TRANCHE_STREAMS={}", self.streams),
            format!("TRANCHE_STREAMS_PER_KEY={}", self.streams_per_key),
            format!("TRANCHE_STALL_SECONDS={}", self.stall.as_secs()),
            format!("TRANCHE_WEBHOOK_PRIVATE_ADDRESSES={private}"),
            format!(
                "TRANCHE_WEBHOOK_DISABLE_AFTER_SECONDS={}",
                self.webhook_disable_after.as_secs()
            ),
        ]);
    }
}
