//! What lies in `deploy`: it names only metrics, settings and chapters of the runbook that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tranche_tests::support::service::{Options, StoreKind, Tranche, files_below, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of a text that begin so, of letters, digits and underscores.
fn words<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(start))
        .collect()
}

/// The names of the metrics in a scrape, those of a histogram's parts too.
fn names(scrape: &str) -> BTreeSet<&str> {
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect()
}

// P6, P8: a rule or panel over a metric that is not there never fires and shows nothing.
#[tokio::test]
async fn every_metric_of_rules_and_dashboard_is_there() {
    let tranche = Tranche::start(StoreKind::Sqlite, Options::default());
    let none = tranche.with_token(None);
    none.get("/healthz").await;
    let scrape = none.get("/metrics").await.text;
    let there = names(&scrape);
    let rules = text("deploy/prometheus/alerts.yml");
    let mut all = rules;
    let dashboards = files_below(&root().join("deploy/grafana"));
    assert!(dashboards.len() >= 2, "{dashboards:?}");
    for file in dashboards {
        let dashboard = fs::read_to_string(&file).expect("a text");
        let dashboard: Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut ids = BTreeSet::new();
        for panel in panels {
            assert!(ids.insert(panel["id"].as_i64()), "{file:?}: {panel}");
            let targets = panel["targets"].as_array().expect("targets");
            let queries = targets.iter().map(|target| target["expr"].as_str());
            for query in queries {
                all.push('\n');
                all.push_str(query.expect("a query"));
            }
        }
    }
    let named = &words(&all, "tranche_") | &words(&all, "process_");
    assert!(named.len() > 15, "the queries were found: {named:?}");
    let missing: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty(), "no such metrics: {missing:?}");
    // The other way round: what is exported is looked at somewhere.
    let exported = &words(&scrape, "tranche_audit_") | &words(&scrape, "tranche_trails_");
    let unseen: Vec<_> = exported
        .into_iter()
        .filter(|name| !named.contains(name))
        .collect();
    assert!(unseen.is_empty(), "on no panel and in no rule: {unseen:?}");
}

// P9: a unit or a compose file with a setting that is none would quietly run with a default.
#[test]
fn every_setting_of_units_and_compose_file_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = run(&["serve", "--help"], &[], folder.path());
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let there = words(&help, "TRANCHE_");
    let files = files_below(&root().join("deploy"));
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("a text");
        let missing: Vec<_> = words(&text, "TRANCHE_")
            .into_iter()
            .filter(|name| !there.contains(name))
            .collect();
        assert!(
            missing.is_empty(),
            "{file:?}: no such settings: {missing:?}"
        );
    }
}

/// The anchors of a document's headings, as they are linked.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

// F7: whoever is woken finds what to do.
#[test]
fn every_alert_has_its_chapter_in_the_runbook() {
    let anchors = anchors(&text("docs/operations.md"));
    let rules = text("deploy/prometheus/alerts.yml");
    let links: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.split_once("docs/operations.md#"))
        .map(|(_, anchor)| anchor.trim())
        .collect();
    assert!(links.len() > 8, "{links:?}");
    for link in links {
        assert!(anchors.contains(link), "no chapter {link}: {anchors:?}");
    }
    for key in [
        "store_unavailable",
        "log_contradicted",
        "checkpoint_not_kept",
        "failures",
        "no_workers",
        "events_lost",
        "dropped",
        "write_failures",
        "queue_unavailable",
        "queue_deep",
        "dead_letters",
        "retention_late",
    ] {
        assert!(anchors.contains(&format!("audit{key}")), "{key}");
    }
}

#[test]
fn what_is_missing_is_noticed() {
    assert_eq!(words("a tranche_x{y} tranche_z", "tranche_").len(), 2);
    assert!(names("# HELP a b\nc{d=\"e\"} 1\nf 2").contains("c"));
    assert!(anchors("## `audit.queue_deep`, now").contains("auditqueue_deep-now"));
}
