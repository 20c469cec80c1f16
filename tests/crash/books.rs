//! What must hold of everything so far, whatever was killed when: the ledger, the disbursements, the
//! project's books and the evidence tell the same story.

use std::collections::HashMap;

use serde_json::Value;
use tranche_tests::support::scene::{LP_TOKENS, Scene, rows, stroops, text};
use tranche_tests::support::service::{LedgerClient, eventually};

use crate::worker::{NAV, Worker};

/// Checks the worker's project to the stroop.
pub async fn check(worker: &Worker) {
    let ledger = worker.sandbox.client();
    let books = project(&worker.scene, &ledger, &worker.project).await;
    assert_eq!(
        books.total_milestones,
        i64::from(worker.milestones()),
        "milestones"
    );
    events(&worker.scene, books.settled).await;
}

/// What a project's books come to.
pub struct Books {
    pub settled: usize,
    pub burned: i64,
    pub total_milestones: i64,
}

/// Checks that a quiet project's books agree with the ledger.
pub async fn project(scene: &Scene, ledger: &LedgerClient, project: &str) -> Books {
    let view = scene.project_view(project).await;
    let wallet = text(&view, "wallet_account_id");
    let disbursements = disbursements(scene, project).await;
    let (settled, others): (Vec<&Value>, Vec<&Value>) = disbursements
        .iter()
        .partition(|row| row["state"] == "settled");
    let open: Vec<_> = others
        .iter()
        .filter(|row| row["state"] != "failed")
        .collect();
    assert!(open.is_empty(), "still open: {open:?}");

    let burns = ledger.burns().await;
    let applied: HashMap<&str, i64> = burns
        .iter()
        .filter(|burn| burn.succeeded && burn.account == wallet)
        .map(|burn| (burn.memo.as_str(), burn.stroops))
        .collect();
    let count = burns
        .iter()
        .filter(|burn| burn.succeeded && burn.account == wallet)
        .count();
    assert_eq!(applied.len(), count, "two burns of one order");
    let mut milestones: Vec<String> = Vec::new();
    for row in &settled {
        let memo = text(row, "memo_hash");
        assert_eq!(
            applied.get(memo.as_str()),
            Some(&stroops(&row["amount"])),
            "{row}"
        );
        milestones.push(text(row, "milestone_id"));
    }
    assert_eq!(
        applied.len(),
        settled.len(),
        "burns and settled disbursements"
    );
    milestones.sort();
    milestones.dedup();
    assert_eq!(
        milestones.len(),
        settled.len(),
        "a milestone was settled twice"
    );

    let burned: i64 = applied.values().sum();
    let nav = stroops(&view["nav"]);
    assert_eq!(nav, stroops(&Value::from(NAV)) - burned, "NAV");
    assert_eq!(ledger.balance(&wallet).await, nav, "the wallet's tokens");
    assert_eq!(view["nav_reserved"], "0.0000000", "reserved");
    assert_eq!(view["completed_milestones"], settled.len(), "completed");
    assert_eq!(
        view["last_milestone_date"].is_null(),
        settled.is_empty(),
        "{view}"
    );
    assert_eq!(stroops(&view["lp_token_price"]), price(nav), "the price");
    Books {
        settled: settled.len(),
        burned,
        total_milestones: view["total_milestones"].as_i64().unwrap_or(-1),
    }
}

/// Checks that each of so many milestones has exactly one event of its burn, once all are in the log.
pub async fn events(scene: &Scene, settled: usize) {
    let count = "SELECT count(*), count(DISTINCT milestone_id) FROM audit_events
        WHERE action = 'milestone.disbursed'";
    eventually("an empty outbox", async || {
        let waiting = scene.tranche.sql("SELECT count(*) FROM audit_outbox").await;
        (waiting.trim() == "0").then_some(())
    })
    .await;
    let counted = scene.tranche.sql(count).await;
    assert_eq!(counted.trim(), format!("{settled}|{settled}"), "events");
}

/// NAV ÷ LP tokens at seven decimals, half to even; the same unit below as above the line.
fn price(nav: i64) -> i64 {
    let tokens = i128::from(stroops(&Value::from(LP_TOKENS)));
    let scaled = i128::from(nav) * 10_000_000;
    let (whole, rest) = (scaled / tokens, scaled % tokens);
    let up = match (2 * rest).cmp(&tokens) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => whole % 2,
        std::cmp::Ordering::Greater => 1,
    };
    i64::try_from(whole + up).expect("a price")
}

/// Every disbursement of a project.
pub async fn disbursements(scene: &Scene, project: &str) -> Vec<Value> {
    let first = format!("/v1/disbursements?project_id={project}&limit=1000");
    let mut page = scene.admin.get(&first).await.json(200);
    let mut all = rows(&page);
    while let Some(cursor) = page["next_cursor"].as_str() {
        let next = format!("{first}&cursor={cursor}");
        page = scene.admin.get(&next).await.json(200);
        all.extend(rows(&page));
    }
    all
}
