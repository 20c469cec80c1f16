//! Where the burns kept and the books differ, in one statement.
//!
//! A burn belongs to the disbursement whose memo it carries. Of several burns with one memo, the one
//! that the books name is the rightful one, or else the first; the others are too many. Of an open
//! one, the rightful one is among the envelopes kept.

use sqlx::{FromRow, SqlitePool};
use tranche_application::ports::books::{Difference, DifferenceKind};
use tranche_application::ports::store::StoreError;

use super::DifferenceRow;
use crate::errors::failed;

/// Stroops as the decimal number they stand for.
macro_rules! decimal {
    ($stroops:literal) => {
        concat!(
            "(CASE WHEN ",
            $stroops,
            " < 0 THEN '-' ELSE '' END || printf('%d.%07d', abs(",
            $stroops,
            ") / 10000000, abs(",
            $stroops,
            ") % 10000000))"
        )
    };
}

/// `CROSS JOIN` fixes the order: without figures SQLite would read every burn for each disbursement.
const DIFFERENCES: &str = concat!(
    "WITH seen AS (
        SELECT b.burn_id, b.ledger, b.amount, b.wallet_account_id, d.project_id, d.state,
            d.amount AS ordered, d.wallet_account_id AS payer,
            CASE d.state WHEN 'settled' THEN coalesce(d.settled_burn_id, d.burn_id) END AS named,
            CASE WHEN d.state IN ('prepared', 'submitted', 'needs_operator') AND b.burn_id <> d.burn_id
                AND NOT EXISTS (
                    SELECT 1 FROM json_each(d.replacements) r WHERE r.value ->> 'burn_id' = b.burn_id)
                THEN d.burn_id END AS signed,
            row_number() OVER (PARTITION BY d.id ORDER BY
                b.burn_id = coalesce(d.settled_burn_id, d.burn_id) DESC,
                b.wallet_account_id = d.wallet_account_id DESC, b.ledger, b.burn_id)
                AS place
        FROM ledger_burns b
        CROSS JOIN disbursements d ON d.network = b.network AND d.memo = b.memo
        WHERE b.network = ?1
    ), books AS (
        SELECT p.id, p.opening_nav - p.nav AS gone, p.nav_reserved,
            coalesce(sum(d.amount) FILTER (WHERE d.state = 'settled'), 0) AS settled,
            coalesce(sum(d.amount) FILTER (
                WHERE d.state IN ('prepared', 'submitted', 'needs_operator')), 0) AS open
        FROM projects p LEFT JOIN disbursements d ON d.project_id = p.id
        GROUP BY p.id
    )
    SELECT 0 AS kind, p.id AS project_id, b.burn_id AS subject, 'no disbursement' AS books,
        ",
    decimal!("b.amount"),
    " || ' in ledger ' || b.ledger AS found
    FROM ledger_burns b JOIN projects p ON p.wallet_account_id = b.wallet_account_id
    WHERE b.network = ?1 AND NOT EXISTS (
        SELECT 1 FROM disbursements d WHERE d.network = b.network AND d.memo = b.memo)
    UNION ALL
    SELECT 1, project_id, burn_id, CASE state WHEN 'failed' THEN 'failed' ELSE ",
    decimal!("ordered"),
    " || ' once' || coalesce(' by ' || named, '') END,
        ",
    decimal!("amount"),
    " || ' in ledger ' || ledger
    FROM seen WHERE place > 1 OR state = 'failed'
    UNION ALL
    SELECT 2, project_id, burn_id,
        ",
    decimal!("ordered"),
    " || ' of ' || payer || coalesce(' by ' || coalesce(named, signed), ''),
        ",
    decimal!("amount"),
    " || ' of ' || wallet_account_id || ' in ledger ' || ledger
    FROM seen WHERE place = 1 AND state <> 'failed'
        AND (amount <> ordered OR wallet_account_id <> payer OR burn_id <> named
            OR signed IS NOT NULL)
    UNION ALL
    SELECT 3, d.project_id, d.id,
        ",
    decimal!("d.amount"),
    " || ' in ledger ' || d.settled_ledger || ' by ' || coalesce(d.settled_burn_id, d.burn_id),
        'no burn'
    FROM ledger_watch w
    JOIN disbursements d ON d.network = w.network AND d.state = 'settled'
        AND d.settled_ledger BETWEEN w.watched_from AND w.watched_to
    WHERE w.network = ?1 AND NOT EXISTS (
        SELECT 1 FROM ledger_burns b WHERE b.network = d.network AND b.memo = d.memo)
    UNION ALL
    SELECT 4, id, id, 'the NAV went down by ' || ",
    decimal!("gone"),
    ", ",
    decimal!("settled"),
    " || ' settled'
    FROM books WHERE gone <> settled
    UNION ALL
    SELECT 5, id, id, ",
    decimal!("nav_reserved"),
    " || ' reserved', ",
    decimal!("open"),
    " || ' open'
    FROM books WHERE nav_reserved <> open
    ORDER BY kind, subject, found LIMIT ?2"
);

#[derive(FromRow)]
struct KindRow {
    kind: i64,
    #[sqlx(flatten)]
    row: DifferenceRow,
}

pub(super) async fn of(
    pool: &SqlitePool,
    network: &str,
    limit: u32,
) -> Result<Vec<Difference>, StoreError> {
    let rows: Vec<KindRow> = sqlx::query_as(DIFFERENCES)
        .bind(network)
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.into_iter()
        .map(|row| row.row.difference(DifferenceKind::at(row.kind)?))
        .collect()
}
