//! How long audit events are kept, and where they go afterwards.

use chrono::NaiveTime;
use clap::Args;
use serde::Deserialize;
use tranche_domain::retention::MOST_DAYS;
use tranche_domain::{RetentionPolicies, RetentionPolicy};

use super::time_of_day::{shown, time_of_day};
use super::{ConfigError, number, value};

/// When a run begins by itself, unless told otherwise.
const AT: &str = "03:00";

/// Settings as they are given.
#[derive(Clone, Default, Args, Deserialize)]
pub struct RetentionSettings {
    /// For how many days after their month events of severity info are kept, 1 to 36500 [default: 365]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_INFO_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    retention_info_days: Option<String>,
    /// After how many days they go to the archive, at most as many [default: 90]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_INFO_ARCHIVE_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    retention_info_archive_days: Option<String>,
    /// As for info, of severity warning [default: 1095]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_WARNING_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    retention_warning_days: Option<String>,
    /// After how many days they go to the archive [default: 180]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_WARNING_ARCHIVE_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    retention_warning_archive_days: Option<String>,
    /// As for info, of severity critical [default: 2555]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_CRITICAL_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    retention_critical_days: Option<String>,
    /// After how many days they go to the archive [default: 365]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_CRITICAL_ARCHIVE_DAYS",
        global = true,
        value_name = "DAYS"
    )]
    retention_critical_archive_days: Option<String>,
    /// The time of day (UTC) at which old events are archived and expire, or `off` [default: 03:00]
    #[arg(
        long,
        env = "TRANCHE_RETENTION_AT",
        global = true,
        value_name = "HH:MM"
    )]
    retention_at: Option<String>,
    /// Where expired events are kept outside the store: `file:///FOLDER`, or `s3://BUCKET/FOLDER`
    /// with endpoint and credentials in the usual `AWS_…` variables [default: nowhere]
    #[arg(
        long,
        env = "TRANCHE_ARCHIVE_URL",
        global = true,
        value_name = "URL",
        hide_env_values = true
    )]
    archive_url: Option<String>,
}

/// How long audit events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The policy of each severity.
    pub policies: RetentionPolicies,
    /// When a run begins by itself, in UTC; `None`: never.
    pub at: Option<NaiveTime>,
    /// Where expired events are kept outside the store.
    pub archive_url: Option<String>,
}

/// A policy's two settings, and their defaults.
struct Named {
    keep: (&'static str, u64),
    archive: (&'static str, u64),
}

impl Named {
    fn policy(
        &self,
        keep: Option<&str>,
        archive: Option<&str>,
    ) -> Result<RetentionPolicy, ConfigError> {
        let most = u64::from(MOST_DAYS);
        let keep = number(self.keep.0, keep, self.keep.1, 1..=most)?;
        let archive = number(self.archive.0, archive, self.archive.1.min(keep), 1..=most)?;
        let days = |days: u64| u32::try_from(days).unwrap_or(MOST_DAYS);
        RetentionPolicy::try_new(days(archive), days(keep))
            .map_err(|error| value(self.archive.0, format!("is {archive}: {error}")))
    }
}

const INFO: Named = Named {
    keep: ("TRANCHE_RETENTION_INFO_DAYS", 365),
    archive: ("TRANCHE_RETENTION_INFO_ARCHIVE_DAYS", 90),
};
const WARNING: Named = Named {
    keep: ("TRANCHE_RETENTION_WARNING_DAYS", 1_095),
    archive: ("TRANCHE_RETENTION_WARNING_ARCHIVE_DAYS", 180),
};
const CRITICAL: Named = Named {
    keep: ("TRANCHE_RETENTION_CRITICAL_DAYS", 2_555),
    archive: ("TRANCHE_RETENTION_CRITICAL_ARCHIVE_DAYS", 365),
};

impl RetentionSettings {
    pub(super) fn fill_from(&mut self, file: Self) {
        macro_rules! fill { ($($field:ident)*) => { $(
            if self.$field.is_none() { self.$field = file.$field; }
        )* } }
        fill!(retention_info_days retention_info_archive_days retention_warning_days
            retention_warning_archive_days retention_critical_days
            retention_critical_archive_days retention_at archive_url);
    }

    pub(super) fn resolve(self) -> Result<Retention, ConfigError> {
        Ok(Retention {
            policies: RetentionPolicies {
                info: INFO.policy(
                    self.retention_info_days.as_deref(),
                    self.retention_info_archive_days.as_deref(),
                )?,
                warning: WARNING.policy(
                    self.retention_warning_days.as_deref(),
                    self.retention_warning_archive_days.as_deref(),
                )?,
                critical: CRITICAL.policy(
                    self.retention_critical_days.as_deref(),
                    self.retention_critical_archive_days.as_deref(),
                )?,
            },
            at: time_of_day("TRANCHE_RETENTION_AT", self.retention_at.as_deref(), AT)?,
            archive_url: self.archive_url.map(archive).transpose()?,
        })
    }
}

/// Whether it can be used shows when it is opened.
fn archive(url: String) -> Result<String, ConfigError> {
    if url.starts_with("file:///") || url.starts_with("s3://") {
        return Ok(url);
    }
    let why = "must begin with file:/// or s3://";
    Err(value("TRANCHE_ARCHIVE_URL", why))
}

impl Retention {
    /// Every setting in force, a line each.
    pub(super) fn describe(&self, lines: &mut Vec<String>) {
        let policies = &self.policies;
        for (named, policy) in [
            (INFO, policies.info),
            (WARNING, policies.warning),
            (CRITICAL, policies.critical),
        ] {
            lines.push(format!("{}={}", named.keep.0, policy.keep()));
            lines.push(format!("{}={}", named.archive.0, policy.archive_after()));
        }
        lines.push(format!("TRANCHE_RETENTION_AT={}", shown(self.at)));
        let archive_url = self.archive_url.as_deref();
        lines.push(format!(
            "TRANCHE_ARCHIVE_URL={}",
            archive_url.unwrap_or_default()
        ));
    }
}
