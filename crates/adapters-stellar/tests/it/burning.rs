//! Everybody's burns, from the events of the asset's contract.

use serde_json::{Value, json};
use stellar_xdr::{AccountId, Int128Parts, ScAddress, ScString, ScSymbol, ScVal};
use tranche_adapters_stellar::{StellarBurner, StellarConfig, account};
use tranche_application::ports::burner::{BurnsSeen, LedgerBurner, LedgerError, SeenBurn};
use tranche_domain::Amount;
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use crate::fake::Reply;
use crate::judging::{bump_success, bumped, envelope};
use crate::keys::{CHANNEL, ISSUER, WALLET, WALLET_SEED, custody_of};
use crate::sandbox::Ledger;
use crate::world::{
    MEMO, NOW, World, base64, config, included, not_found, not_found_since, success, underfunded,
};

/// The oldest and the newest ledger of the scripted server.
const OLDEST: u32 = 50;
const NEWEST: u32 = 20_500;

fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(name.try_into().unwrap()))
}

fn address(id: &str) -> ScVal {
    let account: AccountId = account::parse(id).unwrap();
    ScVal::Address(ScAddress::Account(account))
}

const fn amount(hi: i64, lo: u64) -> ScVal {
    ScVal::I128(Int128Parts { hi, lo })
}

/// A place in the ledgers, as the server writes it.
fn place(ledger: u32, order: u64) -> String {
    let place = (u64::from(ledger) << 32) | (order << 12);
    format!("{place:019}-0000000000")
}

/// The end of a scan that found no more, up to this ledger.
fn end_of(ledger: u32) -> String {
    let place = (u64::from(ledger) << 32) | u64::from(u32::MAX);
    format!("{place:019}-4294967295")
}

fn event(contract: &str, ledger: u32, from: &str, stroops: u64, hash: &str) -> Value {
    let asset = ScVal::String(ScString(format!("NGNTS:{ISSUER}").try_into().unwrap()));
    let topic = [symbol("burn"), address(from), asset].map(|topic| base64(&topic));
    json!({ "type": "contract", "ledger": ledger, "contractId": contract,
        "ledgerClosedAt": "2026-11-21T00:00:00Z", "id": place(ledger, 1), "txHash": hash,
        "inSuccessfulContractCall": true, "topic": topic, "value": base64(&amount(0, stroops)) })
}

fn events(events: &[Value], cursor: &str) -> Reply {
    Reply::Result(json!({
        "events": events, "cursor": cursor, "latestLedger": NEWEST,
        "latestLedgerCloseTime": NOW.to_string(), "oldestLedger": OLDEST,
        "oldestLedgerCloseTime": "1",
    }))
}

/// Seen in ledger 60.
fn of(burn: &PreparedBurn, wallet: &str, stroops: i64) -> SeenBurn {
    SeenBurn {
        id: burn.id.clone(),
        ledger: 60,
        wallet_account_id: wallet.to_owned(),
        amount: Amount::try_from_stroops(stroops).unwrap(),
        memo: Some(MEMO),
    }
}

impl World {
    /// A server that keeps the ledgers from [`OLDEST`] to [`NEWEST`], a burn, and the contract that
    /// speaks for the asset as the burner names it.
    async fn keeping() -> (Self, PreparedBurn, String) {
        let (world, burn) = Self::with_burn().await;
        world.holding([]);
        world.fake.on("getEvents", [events(&[], &end_of(NEWEST))]);
        world.seen(Some(NEWEST)).await;
        let asked = world.fake.calls("getEvents").pop().unwrap();
        let contract = asked["filters"][0]["contractIds"][0].clone();
        let filter = json!({ "type": "contract", "contractIds": [contract],
            "topics": [[base64(&symbol("burn")), "*", "*"]] });
        let expected = json!({ "startLedger": NEWEST, "pagination": { "limit": 1000 },
            "filters": [filter] });
        assert_eq!(asked, expected);
        (world, burn, contract.as_str().unwrap().to_owned())
    }

    async fn seen(&self, from: Option<u32>) -> BurnsSeen {
        let wallets = [WALLET.to_owned()];
        self.burner.burns_since(from, &wallets).await.unwrap()
    }

    async fn not_seen(&self) -> String {
        let wallets = [WALLET.to_owned()];
        match self.burner.burns_since(Some(60), &wallets).await {
            Err(LedgerError::Unavailable(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Answers about the range first, and then about transactions.
    fn holding(&self, answers: impl IntoIterator<Item = Reply>) {
        let range = not_found_since(OLDEST, NEWEST, NOW);
        let answers = std::iter::once(range).chain(answers).map(|mut answer| {
            if let Reply::Result(answer) = &mut answer {
                answer["latestLedger"] = json!(NEWEST);
            }
            answer
        });
        self.fake.on("getTransaction", answers);
    }
}

#[tokio::test]
async fn pages_are_joined_until_the_newest_ledger() {
    let (world, burn, contract) = World::keeping().await;
    let other = |ledger| event(&contract, ledger, CHANNEL, 1, "00");
    let plain = event(&contract, NEWEST, WALLET, 12_505_000_000, "ab");
    let carried = event(&contract, 60, WALLET, 7, "cd");
    let asked_before = world.fake.calls("getEvents").len();
    world.fake.on(
        "getEvents",
        [
            events(&[carried, other(70)], &end_of(10_059)),
            events(&[], &place(20_060, 0)),
            // A page that is full amid the newest ledger.
            events(&[other(NEWEST)], &place(NEWEST, 1)),
            events(&[plain], &end_of(NEWEST)),
        ],
    );
    world.holding([
        included("SUCCESS", 60, &bumped(&burn), &bump_success(&burn)),
        included("SUCCESS", 20_000, &envelope(&burn), &success()),
    ]);
    let seen = world.seen(Some(60)).await;
    assert_eq!((seen.from, seen.to), (60, NEWEST));
    let ours = |ledger, amount: &str| SeenBurn {
        id: burn.id.clone(),
        ledger,
        wallet_account_id: WALLET.to_owned(),
        amount: amount.parse().unwrap(),
        memo: Some(MEMO),
    };
    let expected = [ours(60, "0.0000007"), ours(NEWEST, "1250.5")];
    assert_eq!(seen.burns, expected);
    let asked = &world.fake.calls("getEvents")[asked_before..];
    assert_eq!(asked[0]["startLedger"], json!(60));
    let cursors = [end_of(10_059), place(20_060, 0), place(NEWEST, 1)];
    for (call, cursor) in asked[1..].iter().zip(cursors) {
        assert_eq!(call["pagination"]["cursor"], json!(cursor));
        assert_eq!(call["startLedger"], Value::Null);
    }
    let looked_up = world.fake.calls("getTransaction").pop().unwrap();
    assert_eq!(looked_up, json!({ "hash": "ab" }));
}

#[tokio::test]
async fn the_range_is_what_the_node_keeps_and_no_more() {
    let (world, _, _) = World::keeping().await;
    let end = place(NEWEST + 1, 0);
    world.fake.on("getEvents", [events(&[], &end)]);
    let seen = world.seen(Some(OLDEST - 10)).await;
    assert_eq!(
        (seen.from, seen.to),
        (OLDEST, NEWEST),
        "says what is missing"
    );
    let calls = world.fake.calls("getEvents").len();
    assert_eq!(world.seen(None).await.to, NEWEST);
    let ahead = world.seen(Some(NEWEST + 1)).await;
    assert_eq!((ahead.to, ahead.burns), (NEWEST, Vec::new()));
    assert_eq!(
        world.fake.calls("getEvents").len(),
        calls,
        "nothing to list"
    );
}

#[tokio::test]
async fn an_incomplete_listing_is_an_error() {
    let (world, _, _) = World::keeping().await;
    let early = || events(&[], &end_of(99));
    for (pages, what) in [
        (vec![events(&[], "")], "without a cursor"),
        (vec![events(&[], "here")], "no place"),
        (vec![early(), early()], "stands still"),
        (
            vec![early(), Reply::Error(-32600, "out of range")],
            "out of range",
        ),
        (vec![Reply::Http(500)], "500"),
    ] {
        world.fake.on("getEvents", pages);
        world.holding([]);
        let why = world.not_seen().await;
        assert!(why.contains(what), "{why}");
    }
}

#[tokio::test]
async fn an_event_that_is_not_understood_is_not_passed_over() {
    let (world, burn, contract) = World::keeping().await;
    let ours = || event(&contract, 60, WALLET, 7, "ab");
    let shows = |event| {
        let page = events(&[event], &end_of(NEWEST));
        world.fake.on("getEvents", [page]);
    };
    let too_much = json!(base64(&amount(1, 0)));
    let no_address = ours()["topic"][0].clone();
    for (place, value) in [
        ("/contractId", json!("C")),
        ("/topic", json!([])),
        ("/topic/1", json!("AAAA")),
        ("/topic/1", no_address.clone()),
        ("/value", no_address),
        ("/value", too_much),
    ] {
        let mut altered = ours();
        *altered.pointer_mut(place).unwrap() = value;
        shows(altered);
        world.holding([included("SUCCESS", 60, &envelope(&burn), &success())]);
        let why = world.not_seen().await;
        assert!(why.contains("not understood"), "{place}: {why}");
    }
    shows(ours());
    world.holding([not_found(NEWEST, NOW)]);
    assert!(world.not_seen().await.contains("does not know"));
    world.holding([included("FAILED", 60, &envelope(&burn), &underfunded())]);
    let burns = world.seen(Some(60)).await.burns;
    assert_eq!(burns, [], "a failure burns nothing");
}

#[tokio::test]
async fn what_one_transaction_burns_is_one_burn_for_each_wallet() {
    let (world, burn, contract) = World::keeping().await;
    let shown = [(WALLET, 7), (CHANNEL, 5), (WALLET, 3)]
        .map(|(from, stroops)| event(&contract, 60, from, stroops, "ab"));
    world
        .fake
        .on("getEvents", [events(&shown, &end_of(NEWEST))]);
    world.holding([included("SUCCESS", 60, &envelope(&burn), &success())]);
    let wallets = [WALLET, CHANNEL].map(str::to_owned);
    let seen = world.burner.burns_since(Some(60), &wallets).await.unwrap();
    assert_eq!(seen.burns, [of(&burn, WALLET, 10), of(&burn, CHANNEL, 5)]);
    let most = i64::MAX.cast_unsigned();
    let shown = [most, 1].map(|stroops| event(&contract, 60, WALLET, stroops, "ab"));
    world
        .fake
        .on("getEvents", [events(&shown, &end_of(NEWEST))]);
    world.holding([included("SUCCESS", 60, &envelope(&burn), &success())]);
    assert!(world.not_seen().await.contains("than exists"));
}

#[tokio::test]
async fn a_stuck_node_is_not_read() {
    let (world, _, _) = World::keeping().await;
    let stuck = Reply::Result(json!({ "status": "stuck" }));
    world.fake.on("getHealth", [stuck]);
    assert!(world.not_seen().await.contains("stuck"));
}

#[tokio::test]
async fn who_remembers_longest_is_believed_before_a_gap_is_admitted() {
    let (short, _, _) = World::keeping().await;
    let (long, _, _) = World::keeping().await;
    let urls = [&short, &long].map(|world| world.fake.url());
    let mut config = config(String::new());
    config.rpc_urls = urls.to_vec();
    let burner = StellarBurner::try_new(config, custody_of(&[WALLET_SEED])).unwrap();
    let remember = |from: [u32; 2]| {
        for (world, oldest) in [&short, &long].into_iter().zip(from) {
            let range = not_found_since(oldest, NEWEST, NOW);
            world.fake.on("getTransaction", [range]);
        }
    };
    for (oldest, from) in [([80, 50], 60), ([80, 70], 70), ([70, 80], 70)] {
        remember(oldest);
        let seen = burner.burns_since(Some(60), &[]).await.unwrap();
        assert_eq!(seen.from, from);
    }
    remember([80, 50]);
    long.fake.on("getEvents", [Reply::Http(500)]);
    let seen = burner.burns_since(Some(60), &[]).await.unwrap();
    assert_eq!(seen.from, 80, "the only one there is");
}

#[tokio::test]
async fn the_witness_adds_the_burns_that_the_first_conceals() {
    let (first, burn, contract) = World::keeping().await;
    let (witness, _, _) = World::keeping().await;
    let mut config = config(first.fake.url());
    config.witness_rpc_url = Some(witness.fake.url());
    let burner = StellarBurner::try_new(config, custody_of(&[WALLET_SEED])).unwrap();
    let wallets = [WALLET, CHANNEL].map(str::to_owned);
    let shows = |world: &World, oldest: u32, newest: u32, burns: &[(&str, u64)]| {
        let burns = burns.iter();
        let burns: Vec<_> = burns
            .map(|(from, stroops)| event(&contract, 60, from, *stroops, "ab"))
            .collect();
        let Reply::Result(mut page) = events(&burns, &end_of(newest)) else {
            panic!("a result");
        };
        page["latestLedger"] = newest.into();
        world.fake.on("getEvents", [Reply::Result(page)]);
        let found = included("SUCCESS", newest - 1, &envelope(&burn), &success());
        let range = not_found_since(oldest, newest, NOW);
        world.fake.on("getTransaction", [range, found]);
    };
    shows(&first, 52, NEWEST, &[(WALLET, 7)]);
    shows(&witness, 55, NEWEST - 3, &[(CHANNEL, 5), (WALLET, 7)]);
    let seen = burner.burns_since(Some(51), &wallets).await.unwrap();
    assert_eq!((seen.from, seen.to), (55, NEWEST - 3));
    assert_eq!(seen.burns, [of(&burn, WALLET, 7), of(&burn, CHANNEL, 5)]);
    shows(&first, 52, NEWEST, &[(WALLET, 7)]);
    shows(&witness, 55, NEWEST, &[(WALLET, 8)]);
    let error = burner.burns_since(Some(51), &wallets).await.unwrap_err();
    assert!(error.to_string().contains("differently"), "{error}");
    shows(&first, 52, NEWEST, &[(WALLET, 7)]);
    witness.fake.on("getEvents", [Reply::Http(503)]);
    match burner.burns_since(Some(51), &wallets).await {
        Err(LedgerError::Unavailable(why)) => assert!(why.contains("the witness"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_sandbox_shows_every_burn_once_with_its_memo() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let wallets = [ledger.wallet.clone()];
    let since = |from| ledger.burner.burns_since(from, &wallets);
    let start = since(None).await.unwrap().to;
    let mut expected = Vec::new();
    for (amount, bump) in [("1", false), ("2.5", true), ("3", false)] {
        let mut burn = ledger.prepare(amount).await;
        if bump {
            let bumped = ledger.burner.outbid(&burn, 20_000).await.unwrap();
            burn.replacements.push(bumped.unwrap());
        }
        ledger.burner.submit(&burn).await.unwrap();
        let Verdict::Burned {
            burn,
            ledger: number,
        } = ledger.decided(&burn, true).await
        else {
            panic!("not burned");
        };
        expected.push(SeenBurn {
            id: burn,
            ledger: number,
            wallet_account_id: ledger.wallet.clone(),
            amount: amount.parse().unwrap(),
            memo: Some([0x5a; 32]),
        });
    }
    let last = expected[2].ledger;
    let seen = since(Some(start)).await.unwrap();
    assert_eq!(seen.from, start);
    assert!(seen.to >= last);
    assert_eq!(seen.burns, expected);
    assert_eq!(since(Some(last)).await.unwrap().burns, expected[2..]);
    assert_eq!(since(Some(seen.to + 100_000)).await.unwrap().burns, []);
    let others = [WALLET.to_owned()];
    let none = ledger.burner.burns_since(Some(start), &others).await;
    assert_eq!(none.unwrap().burns, []);
}
