//! `domain ← application ← adapters ← api`, and nothing the other way round.

use std::process::Command;

use serde_json::Value;

/// One line of a manifest.
#[derive(Clone, Debug)]
struct Edge {
    from: String,
    to: String,
    /// Whether only tests and benches need it.
    dev: bool,
    /// Whether `to` is a crate of this workspace.
    inside: bool,
    features: Vec<String>,
    default_features: bool,
}

/// What `from` may lean on. A name that ends with `*` stands for all that begin so.
struct Rule {
    from: &'static str,
    /// The crates of this workspace it may use.
    inside: &'static [&'static str],
    /// Whether its tests may use any other crate of the workspace but the binary.
    free_tests: bool,
    /// The crates from elsewhere that it must not use, tests included.
    banned: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        from: "tranche-domain",
        inside: &[],
        free_tests: false,
        banned: &[
            "async-trait",
            "axum",
            "futures",
            "getrandom",
            "rand",
            "reqwest",
            "serde_json",
            "sqlx",
            "tokio",
            "tracing",
        ],
    },
    Rule {
        from: "tranche-application",
        inside: &["tranche-application", "tranche-domain"],
        free_tests: false,
        banned: &["axum", "redis", "reqwest", "sqlx", "stellar*"],
    },
    Rule {
        from: "tranche-adapters-*",
        inside: &["tranche-application", "tranche-domain"],
        free_tests: true,
        banned: &["axum"],
    },
    Rule {
        from: "stellar-sandbox",
        inside: &[],
        free_tests: false,
        banned: &[],
    },
];

/// Nothing leans on the binary, tests included: they start it.
const BINARY: &str = "tranche-api";

fn is(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// What is wrong with an edge, if anything is.
fn violation(edge: &Edge) -> Option<String> {
    let Edge { from, to, .. } = edge;
    if to == BINARY {
        return Some(format!("{from} leans on the binary {to}"));
    }
    if from == "tranche-domain" && to == "chrono" {
        let clock = edge.features.iter().any(|f| f == "clock" || f == "now");
        if clock || edge.default_features {
            return Some(format!("{from} takes chrono with its clock"));
        }
    }
    let rule = RULES.iter().find(|rule| is(from, rule.from))?;
    if edge.inside {
        let allowed = rule.inside.contains(&to.as_str()) || (edge.dev && rule.free_tests);
        return (!allowed).then(|| format!("{from} must not lean on {to}"));
    }
    let banned = rule.banned.iter().any(|pattern| is(to, pattern));
    banned.then(|| format!("{from} must not use {to}"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("cargo writes a string").to_owned()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("cargo writes a list")
}

/// The workspace as cargo describes it.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn edges(metadata: &Value) -> Vec<Edge> {
    let packages = list(&metadata["packages"]);
    let names: Vec<String> = packages
        .iter()
        .map(|package| text(&package["name"]))
        .collect();
    let of = |package: &Value| -> Vec<Edge> {
        let from = text(&package["name"]);
        list(&package["dependencies"])
            .iter()
            .map(|dependency| {
                let to = text(&dependency["name"]);
                Edge {
                    from: from.clone(),
                    dev: dependency["kind"] == "dev",
                    inside: names.contains(&to),
                    features: list(&dependency["features"]).iter().map(text).collect(),
                    default_features: dependency["uses_default_features"] == true,
                    to,
                }
            })
            .collect()
    };
    packages.iter().flat_map(of).collect()
}

#[test]
fn dependencies_point_inward() {
    let wrong: Vec<String> = edges(&metadata()).iter().filter_map(violation).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rule_has_a_crate_to_hold() {
    let metadata = metadata();
    let packages = list(&metadata["packages"]);
    let holds = |pattern: &str| {
        let named = |package: &&Value| is(package["name"].as_str().unwrap_or(""), pattern);
        packages.iter().filter(named).count()
    };
    for rule in RULES {
        assert!(holds(rule.from) > 0, "no crate is called {}", rule.from);
    }
    assert_eq!(holds(BINARY), 1);
    assert!(holds("tranche-adapters-*") >= 4);
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    for package in list(&metadata()["packages"]) {
        let manifest = text(&package["manifest_path"]);
        let written = std::fs::read_to_string(&manifest).unwrap();
        assert!(written.contains("[lints]\nworkspace = true"), "{manifest}");
    }
}

#[test]
fn a_house_that_leans_outward_is_noticed() {
    let edge = |from: &str, to: &str, dev: bool| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        dev,
        inside: to.starts_with("tranche-") || to == "stellar-sandbox",
        features: Vec::new(),
        default_features: false,
    };
    let forbidden = [
        ("tranche-domain", "tranche-application", false),
        ("tranche-domain", "tranche-tests", true),
        ("tranche-domain", "tokio", true),
        ("tranche-domain", "serde_json", false),
        ("tranche-domain", "getrandom", false),
        ("tranche-application", "tranche-adapters-sqlite", false),
        ("tranche-application", "stellar-sandbox", true),
        ("tranche-application", "sqlx", false),
        ("tranche-application", "redis", false),
        ("tranche-application", "stellar-xdr", false),
        (
            "tranche-adapters-postgres",
            "tranche-adapters-sqlite",
            false,
        ),
        ("tranche-adapters-redis", "tranche-adapters-postgres", false),
        ("tranche-adapters-spool", "tranche-adapters-sqlite", false),
        ("tranche-adapters-stellar", "stellar-sandbox", false),
        ("tranche-adapters-stellar", "tranche-api", true),
        ("stellar-sandbox", "tranche-domain", false),
        ("stellar-sandbox", "tranche-tests", true),
        ("tranche-tests", "tranche-api", false),
    ];
    for (from, to, dev) in forbidden {
        assert!(violation(&edge(from, to, dev)).is_some(), "{from} on {to}");
    }
    let allowed = [
        ("tranche-domain", "proptest", true),
        ("tranche-application", "tranche-domain", false),
        ("tranche-application", "tranche-application", true),
        ("tranche-adapters-stellar", "stellar-xdr", false),
        ("tranche-adapters-stellar", "stellar-sandbox", true),
        ("tranche-adapters-sqlite", "tranche-tests", true),
        ("tranche-adapters-spool", "tranche-application", false),
        ("tranche-api", "tranche-adapters-sqlite", false),
    ];
    for (from, to, dev) in allowed {
        assert_eq!(violation(&edge(from, to, dev)), None);
    }
}

#[test]
fn a_domain_with_a_clock_is_noticed() {
    let chrono = |features: &[&str], default_features| Edge {
        from: "tranche-domain".to_owned(),
        to: "chrono".to_owned(),
        dev: false,
        inside: false,
        features: features.iter().map(|f| (*f).to_owned()).collect(),
        default_features,
    };
    assert_eq!(violation(&chrono(&["std", "serde"], false)), None);
    assert!(violation(&chrono(&["std", "clock"], false)).is_some());
    assert!(violation(&chrono(&["now"], false)).is_some());
    assert!(violation(&chrono(&[], true)).is_some());
}
