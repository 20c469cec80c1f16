//! The pool of channel accounts grows in an order that loses no key: kept with its evidence, then
//! funded, then used.

use std::sync::Arc;

use tranche_application::channels::{ChannelError, ChannelPool};
use tranche_application::mocks::{MockChannelFunder, MockCustody};
use tranche_application::ports::channels::{Channel, NewChannel};
use tranche_application::ports::custody::{SealedWallet, SecretSeed};

use super::scene::{caller, time};
use super::script::Step;
use super::stage::{Stage, down, silent};

/// Then the pool is listed: what is not funded yet.
fn listed(stage: &mut Stage, unfunded: &[&str]) {
    let of = |account: &str, funded| Channel {
        account_id: account.to_owned(),
        created_at: time(0),
        funded_at: funded,
        leased_by: None,
    };
    let unfunded = unfunded.iter().map(|account| of(account, None));
    let pool: Vec<_> = unfunded.chain([of("FUNDED", Some(time(0)))]).collect();
    stage
        .channels
        .expect_channels()
        .withf(|network| network == "test")
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|_| Ok(pool));
}

/// Seeds are drawn and sealed under the same name; custody is asked within the unit of work.
fn pool(stage: &mut Stage, mut funder: MockChannelFunder) -> ChannelPool {
    let mut drawn = 0;
    funder.expect_draw().returning(move || {
        drawn += 1;
        SecretSeed::new(format!("C{drawn}"))
    });
    let mut custody = MockCustody::new();
    custody.expect_seal().returning(|seed| {
        Ok(SealedWallet {
            account_id: seed.expose().to_owned(),
            custody: "local".to_owned(),
            key_id: "key".to_owned(),
            sealed_seed: vec![1],
        })
    });
    let services = stage.services();
    let channels = Arc::new(std::mem::take(&mut stage.channels));
    let network = "test".to_owned();
    ChannelPool::new(
        services,
        channels,
        Arc::new(custody),
        Arc::new(funder),
        network,
    )
}

fn drawn() -> [Step; 3] {
    [
        Step::KeepWallet(Ok(())),
        Step::KeepChannel(Ok(())),
        Step::Post(Ok(())),
    ]
}

fn funds(stage: &mut Stage, funder: &mut MockChannelFunder, accounts: Vec<String>) {
    funder
        .expect_fund()
        .withf(move |asked| asked == accounts)
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|_| Ok(()));
}

#[tokio::test]
async fn channels_are_kept_with_their_events_before_they_are_funded() {
    let mut stage = Stage::new();
    let mut funder = MockChannelFunder::new();
    stage.work(
        drawn()
            .into_iter()
            .chain(drawn())
            .chain([Step::Commit(Ok(()))]),
    );
    listed(&mut stage, &["LEFT", "C1", "C2"]);
    let all = ["LEFT", "C1", "C2"].map(ToOwned::to_owned).to_vec();
    funds(&mut stage, &mut funder, all.clone());
    stage.work([Step::ChannelsFunded(Ok(())), Step::Commit(Ok(()))]);
    let pool = pool(&mut stage, funder);
    let mut told = Vec::new();
    let operator = caller("operator");
    let grown = pool.grow(2, &operator, |done, of| told.push((done, of)));
    assert_eq!(grown.await.unwrap(), 3, "what was left is funded too");
    assert_eq!(told, [(3, 3)]);
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    let kept = ["C1", "C2"].map(|account| NewChannel {
        network: "test".to_owned(),
        account_id: account.to_owned(),
        created_at: time(0),
    });
    assert_eq!(seen.channels, kept);
    assert_eq!(seen.wallets.len(), 2);
    assert_eq!(seen.posted.len(), 2);
    assert_eq!(seen.funded, [(all, time(0))]);
}

#[tokio::test]
async fn what_is_not_kept_is_not_funded() {
    for steps in [
        vec![Step::KeepWallet(down())],
        vec![Step::KeepWallet(Ok(())), Step::KeepChannel(down())],
        drawn().into_iter().chain([Step::Commit(down())]).collect(),
    ] {
        let mut stage = Stage::new();
        stage.work(steps);
        let pool = pool(&mut stage, MockChannelFunder::new());
        let grown = pool.grow(1, &caller("operator"), |_, _| {}).await;
        assert!(matches!(grown, Err(ChannelError::Store(_))));
    }
}

#[tokio::test]
async fn a_hundred_are_funded_at_once_and_what_is_not_funded_stays_out_of_use() {
    let accounts: Vec<_> = (0..101).map(|nth| format!("L{nth}")).collect();
    let mut stage = Stage::new();
    let mut funder = MockChannelFunder::new();
    stage.work([Step::Commit(Ok(()))]);
    let names: Vec<_> = accounts.iter().map(String::as_str).collect();
    listed(&mut stage, &names);
    funds(&mut stage, &mut funder, accounts[..100].to_vec());
    stage.work([Step::ChannelsFunded(Ok(())), Step::Commit(Ok(()))]);
    funder
        .expect_fund()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|_| silent());
    let pool = pool(&mut stage, funder);
    let grown = pool.grow(0, &caller("operator"), |_, _| {}).await;
    assert!(matches!(grown, Err(ChannelError::Ledger(_))));
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.funded, [(accounts[..100].to_vec(), time(0))]);
}
