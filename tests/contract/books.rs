//! What is kept of the ledger, and where it and the books differ.

use tranche_application::ports::books::{Difference, DifferenceKind, Watched};
use tranche_application::ports::burner::{BurnsSeen, SeenBurn};
use tranche_domain::{BurnId, Disbursement, ProjectId, Replacement};

use super::StoreUnderTest;
use super::scene::{NETWORK, World, stroops};
use super::tools::ended;

/// The burn that a disbursement ordered.
fn burn_of(order: &Disbursement) -> SeenBurn {
    SeenBurn {
        id: order.burn.id.clone(),
        ledger: 110,
        wallet_account_id: order.wallet_account_id.clone(),
        amount: order.amount,
        memo: Some(order.burn.memo),
    }
}

async fn see(subject: &dyn StoreUnderTest, from: u32, to: u32, burns: Vec<SeenBurn>) {
    let world = World::of(subject);
    let seen = BurnsSeen { from, to, burns };
    let kept = subject.books().keep_seen(NETWORK, &seen, world.now()).await;
    kept.expect("it is kept");
}

async fn differences(subject: &dyn StoreUnderTest) -> Vec<Difference> {
    let found = subject.books().differences(NETWORK, 100).await;
    found.expect("it is compared")
}

fn kinds(differences: &[Difference]) -> Vec<(DifferenceKind, &str)> {
    let rows = differences.iter();
    rows.map(|row| (row.kind, row.subject.as_str())).collect()
}

/// Forward, without a gap, for each network by itself.
pub async fn the_watch_moves_forward(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let books = subject.books();
    assert_eq!(books.watched(NETWORK).await.expect("it answers"), None);
    for (from, to, expected) in [(10, 20, 20), (21, 30, 30), (5, 25, 30), (31, 31, 31)] {
        see(subject, from, to, Vec::new()).await;
        let watched = books.watched(NETWORK).await.expect("it answers");
        let expected = Watched {
            from: 10,
            to: expected,
        };
        assert_eq!(watched, Some(expected));
    }
    assert_eq!(books.watched("elsewhere").await.expect("it answers"), None);

    assert_eq!(books.first_signed(NETWORK).await.expect("it answers"), None);
    let project = world.project(1_000).await;
    for (number, ledger) in [(1, 700), (2, 7), (3, 70)] {
        let id = world.payable(project.id, number, 100).await.id;
        let open = world.prepare_beside(id).await;
        let set = format!("signed_at_ledger = {ledger} WHERE id = '{}'", open.id);
        let set = format!("UPDATE disbursements SET {set}");
        subject.execute(&set).await.expect("it is set");
    }
    let first = books.first_signed(NETWORK).await.expect("it answers");
    assert_eq!(first, Some(7));
    let elsewhere = books.first_signed("elsewhere").await;
    assert_eq!(elsewhere.expect("it answers"), None);
    let other = world.project(1_000).await;
    let mut wallets = vec![project.wallet_account_id, other.wallet_account_id];
    wallets.sort_unstable();
    let read = books.wallets().await.expect("it answers");
    assert_eq!(read, wallets);
}

/// What was settled in ledgers that nobody can watch any more is not missed.
pub async fn a_gap_begins_the_watch_anew(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (_, open) = in_flight(&world, 1).await;
    world.settle(&open[0]).await.expect("it is settled");
    for (from, to, expected) in [(100, 105, 100), (106, 108, 100), (120, 130, 120)] {
        see(subject, from, to, Vec::new()).await;
        let watched = subject.books().watched(NETWORK).await.expect("it answers");
        let expected = Watched { from: expected, to };
        assert_eq!(watched, Some(expected));
    }
    assert_eq!(differences(subject).await, [], "it lies in the gap");
}

/// Twice, by many, in any order: each burn once, as it was first seen.
pub async fn burns_are_kept_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let burn = |n: u32| SeenBurn {
        id: BurnId(format!("{n:064x}")),
        ledger: n,
        wallet_account_id: "GWALLET".to_owned(),
        amount: stroops(i64::from(n)),
        memo: n.is_multiple_of(2).then_some([7; 32]),
    };
    let tasks: Vec<_> = (0..8_u32)
        .map(|n| {
            let (books, at) = (subject.books(), world.now());
            let mut burns: Vec<_> = (n * 5..n * 5 + 20).map(burn).collect();
            if n.is_multiple_of(2) {
                burns.reverse();
            }
            burns.push(burns[0].clone());
            let seen = BurnsSeen {
                from: 1,
                to: 100 + n,
                burns,
            };
            tokio::spawn(async move { books.keep_seen(NETWORK, &seen, at).await })
        })
        .collect();
    for task in tasks {
        ended(task).await.expect("it is kept");
    }
    assert_eq!(subject.count("ledger_burns").await, 55);
    let watched = subject.books().watched(NETWORK).await.expect("it answers");
    assert_eq!(watched, Some(Watched { from: 1, to: 107 }));

    let mut altered = burn(3);
    altered.amount = stroops(4);
    see(subject, 108, 108, vec![altered]).await;
    assert_eq!(
        subject.count("ledger_burns WHERE amount = ledger").await,
        55
    );
    for statement in [
        "UPDATE ledger_burns SET amount = 0",
        "DELETE FROM ledger_burns",
    ] {
        let refused = subject.execute(statement).await;
        let why = refused.expect_err(statement);
        assert!(why.contains("append-only"), "{why}");
    }
}

/// Each wallet's burn in one transaction is kept by itself, once.
pub async fn a_transaction_burns_for_many_wallets(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let projects = [world.project(1_000).await, world.project(1_000).await];
    let burn = |wallet: &str| SeenBurn {
        id: BurnId("a".repeat(64)),
        ledger: 110,
        wallet_account_id: wallet.to_owned(),
        amount: stroops(5),
        memo: None,
    };
    let burns: Vec<_> = projects
        .iter()
        .map(|project| burn(&project.wallet_account_id))
        .collect();
    for to in [120, 121] {
        see(subject, 100, to, burns.clone()).await;
    }
    assert_eq!(subject.count("ledger_burns").await, 2);
    let found = differences(subject).await;
    let unknown = (DifferenceKind::UnknownBurn, &*burns[0].id.0);
    assert_eq!(kinds(&found), [unknown, unknown]);
    for project in &projects {
        assert!(found.iter().any(|row| row.project_id == project.id));
    }
}

/// A project with `count` burns, in flight beside each other.
async fn in_flight(world: &World, count: i32) -> (ProjectId, Vec<Disbursement>) {
    let project = world.project(10_000_000_000).await.id;
    let mut open = Vec::new();
    for number in 1..=count {
        let amount = 10_000_000 * i64::from(number);
        let id = world.payable(project, number, amount).await.id;
        open.push(world.prepare_beside(id).await);
    }
    (project, open)
}

/// Settled and seen, failed and not seen, in flight, seen or not: nothing to report.
pub async fn equal_books_show_no_difference(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    assert_eq!(differences(subject).await, []);
    let (_, open) = in_flight(&world, 4).await;
    world.settle(&open[0]).await.expect("it is settled");
    world.fail(&open[1]).await.expect("it fails");
    assert_eq!(differences(subject).await, [], "nothing was watched");
    let mut foreign = burn_of(&open[3]);
    foreign.id = BurnId("f".repeat(64));
    "GNOBODY".clone_into(&mut foreign.wallet_account_id);
    foreign.memo = None;
    see(
        subject,
        100,
        120,
        vec![burn_of(&open[0]), burn_of(&open[2]), foreign],
    )
    .await;
    assert_eq!(differences(subject).await, []);
    let elsewhere = subject.books().differences("elsewhere", 100).await;
    assert_eq!(elsewhere.expect("it is compared"), []);
}

/// Every way in which the ledger can hold more than the books, or something else.
pub async fn burns_that_the_books_do_not_know(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, open) = in_flight(&world, 6).await;
    for open in &open[..4] {
        world.settle(open).await.expect("it is settled");
    }
    world.fail(&open[4]).await.expect("it fails");
    let named = |n: u8, burn: SeenBurn| SeenBurn {
        id: BurnId(format!("{n:064x}")),
        ..burn
    };
    let mut unordered = named(1, burn_of(&open[0]));
    unordered.memo = Some([9; 32]);
    let mut bare = named(2, burn_of(&open[0]));
    bare.memo = None;
    let mut more = burn_of(&open[1]);
    more.amount = stroops(20_000_001);
    let mut elsewhere = burn_of(&open[2]);
    "GNOBODY".clone_into(&mut elsewhere.wallet_account_id);
    let burns = vec![
        burn_of(&open[0]),
        named(3, burn_of(&open[0])),
        unordered,
        bare,
        more,
        elsewhere,
        named(4, burn_of(&open[3])),
        named(5, burn_of(&open[4])),
        burn_of(&open[5]),
        named(6, burn_of(&open[5])),
    ];
    see(subject, 100, 120, burns).await;

    let found = differences(subject).await;
    let id = |n: u8| format!("{n:064x}");
    let mut other = [open[1].burn.id.0.clone(), open[2].burn.id.0.clone(), id(4)];
    other.sort_unstable();
    let expected = [
        (DifferenceKind::UnknownBurn, &*id(1)),
        (DifferenceKind::UnknownBurn, &*id(2)),
        (DifferenceKind::ExcessBurn, &*id(3)),
        (DifferenceKind::ExcessBurn, &*id(5)),
        (DifferenceKind::ExcessBurn, &*id(6)),
        (DifferenceKind::OtherBurn, &*other[0]),
        (DifferenceKind::OtherBurn, &*other[1]),
        (DifferenceKind::OtherBurn, &*other[2]),
    ];
    assert_eq!(kinds(&found), expected);
    assert!(found.iter().all(|row| row.project_id == project));
    let texts = |n: usize| (found[n].books.as_str(), found[n].found.as_str());
    assert_eq!(texts(0), ("no disbursement", "1.0000000 in ledger 110"));
    let once = format!("1.0000000 once by {}", open[0].burn.id);
    assert_eq!(texts(2), (&*once, "1.0000000 in ledger 110"));
    assert_eq!(texts(3), ("failed", "5.0000000 in ledger 110"));
    assert_eq!(texts(4), ("6.0000000 once", "6.0000000 in ledger 110"));
    let more = found.iter().find(|row| row.subject == open[1].burn.id.0);
    let more = more.expect("it is listed");
    let (wallet, burn) = (&open[1].wallet_account_id, &open[1].burn.id);
    assert_eq!(more.books, format!("2.0000000 of {wallet} by {burn}"));
    assert_eq!(more.found, format!("2.0000001 of {wallet} in ledger 110"));

    let first = subject.books().differences(NETWORK, 3).await;
    assert_eq!(first.expect("it is compared"), found[..3]);
}

/// The memo of an open disbursement in a transaction that nobody here signed.
pub async fn a_burn_that_is_none_of_its_envelopes(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (_, open) = in_flight(&world, 3).await;
    let further = BurnId("b".repeat(64));
    for open in &open[1..] {
        let replaced = world.conclude(open, |d, m, _, act| {
            let replacement = Replacement {
                id: BurnId(format!("{}{}", &further.0[..32], &open.burn.id.0[..32])),
                envelope: vec![1],
                valid_until: open.burn.valid_until,
            };
            d.replace(&m, replacement, act).expect("it is in flight")
        });
        replaced.await.expect("it is recorded");
    }
    let mut replacement = burn_of(&open[1]);
    replacement.id = BurnId(format!("{}{}", &further.0[..32], &open[1].burn.id.0[..32]));
    let mut foreign = burn_of(&open[2]);
    foreign.id = BurnId("f".repeat(64));
    let burns = vec![burn_of(&open[0]), replacement, foreign.clone()];
    see(subject, 100, 120, burns).await;

    let found = differences(subject).await;
    assert_eq!(kinds(&found), [(DifferenceKind::OtherBurn, &*foreign.id.0)]);
    let (wallet, burn) = (&open[2].wallet_account_id, &open[2].burn.id);
    assert_eq!(found[0].books, format!("3.0000000 of {wallet} by {burn}"));
}

/// A settled burn that the ledgers watched do not hold, and books that contradict themselves.
pub async fn books_that_the_ledger_does_not_bear_out(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, open) = in_flight(&world, 3).await;
    world.settle(&open[0]).await.expect("it is settled");
    let burn = &open[0].burn.id;
    see(subject, 111, 120, Vec::new()).await;
    assert_eq!(differences(subject).await, [], "it lies before the watch");
    let back = "UPDATE ledger_watch SET watched_from = 110";
    subject.execute(back).await.expect("it is set");
    let tampered = format!(
        "UPDATE projects SET nav = nav - 5, nav_reserved = nav_reserved - 10000001 \
         WHERE id = '{project}'"
    );
    subject.execute(&tampered).await.expect("it is set");
    let row = |kind, subject: String, books: &str, found: &str| Difference {
        kind,
        project_id: project,
        subject,
        books: books.to_owned(),
        found: found.to_owned(),
    };
    let settled = format!("1.0000000 in ledger 110 by {burn}");
    let expected = [
        row(
            DifferenceKind::MissingBurn,
            open[0].id.to_string(),
            &settled,
            "no burn",
        ),
        row(
            DifferenceKind::Nav,
            project.to_string(),
            "the NAV went down by 1.0000005",
            "1.0000000 settled",
        ),
        row(
            DifferenceKind::Reservation,
            project.to_string(),
            "3.9999999 reserved",
            "5.0000000 open",
        ),
    ];
    assert_eq!(differences(subject).await, expected);
    let up = format!("UPDATE projects SET nav = nav + 20000005 WHERE id = '{project}'");
    subject.execute(&up).await.expect("it is set");
    let found = differences(subject).await;
    assert_eq!(found[1].books, "the NAV went down by -1.0000000");

    let opening = "UPDATE projects SET opening_nav = opening_nav + 1";
    let why = subject.execute(opening).await.expect_err(opening);
    assert!(why.contains("opening"), "{why}");
}

/// A version without evidence, and evidence whose event is nowhere (M14).
pub async fn a_missing_event_is_found(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let books = subject.books();
    let missing = async |limit| books.missing_events(limit).await.expect("it answers");
    let project = world.project(1_000).await.id;
    let paid = world.payable(project, 1, 100).await.id;
    world.prepare(paid, 1).await;
    let draft = world.draft(project, 2).await.id;
    let gone = world.draft(project, 3).await.id;
    world.delete(project, gone).await;
    assert_eq!(missing(100).await, []);
    let mut work = world.begin().await;
    let moved = work.audit().relay(3, world.now()).await;
    moved.expect("it relays");
    work.commit().await.expect("it is committed");
    assert_eq!(missing(100).await, []);

    let lost = subject.evidence(gone.0).await;
    let remove = format!("DELETE FROM audit_outbox WHERE id = '{}'", lost[1].1);
    assert_eq!(subject.execute(&remove).await, Ok(1));
    let forged = world.id();
    let forge = format!("INSERT INTO milestone_evidence VALUES ('{draft}', 4, '{forged}')");
    subject.execute(&forge).await.expect("it is forged");
    let row = |subject: String, books: String, found: &str| Difference {
        kind: DifferenceKind::MissingEvent,
        project_id: project,
        subject,
        books,
        found: found.to_owned(),
    };
    let expected = [
        row(format!("{draft}:2"), "version 2".to_owned(), "no evidence"),
        row(format!("{draft}:3"), "version 3".to_owned(), "no evidence"),
        row(
            format!("{draft}:4"),
            format!("event {forged}"),
            "neither in log nor outbox",
        ),
        row(
            format!("{gone}:2"),
            format!("event {}", lost[1].1),
            "neither in log nor outbox",
        ),
    ];
    assert_eq!(missing(100).await, expected);
    assert_eq!(missing(2).await, expected[..2]);
}
