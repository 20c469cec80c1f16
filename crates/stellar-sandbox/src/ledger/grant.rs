//! What tests give an account without anybody's signature: lumens, a trustline, a balance.
//!
//! The lumens come from the root account, so that there are never more of them than at genesis.
//! The asset needs no issuer account, as a payment to the issuer needs none.

use stellar_xdr::{AccountId, Asset, TrustLineFlags};

use super::account;
use super::operations::trust;
use super::state::Working;
use crate::keys::{Network, account_of};
use crate::xdr;

/// What an account is to have.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) account: AccountId,
    /// The asset and how many stroops of it are added.
    pub(crate) credit: Option<(Asset, i64)>,
    /// Stroops of XLM the account has at least afterwards.
    pub(crate) lumens: i64,
}

/// What it has now.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) ledger: u32,
    pub(crate) balance: Option<i64>,
    pub(crate) lumens: i64,
}

/// Why nothing was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantRefused {
    #[error("an issuer holds none of its own asset")]
    OwnAsset,
    #[error("the balance would pass the trustline's limit")]
    LineFull,
    #[error("the sandbox has no lumens left to give")]
    OutOfLumens,
    #[error("the account can have no further sub-entry")]
    TooManySubentries,
}

/// Gives all of it or nothing.
pub(crate) fn apply(
    working: &mut Working<'_>,
    network: &Network,
    grant: &Grant,
) -> Result<Granted, GrantRefused> {
    working.begin();
    let given = lumens(working, network, grant).and_then(|lumens| {
        Ok(Granted {
            ledger: working.ledger,
            balance: credit(working, grant)?,
            lumens,
        })
    });
    match given {
        Ok(granted) if working.commit().is_ok() => Ok(granted),
        Ok(_) => Err(GrantRefused::TooManySubentries),
        Err(refused) => {
            working.rollback();
            Err(refused)
        }
    }
}

fn lumens(
    working: &mut Working<'_>,
    network: &Network,
    grant: &Grant,
) -> Result<i64, GrantRefused> {
    let mut entry = working
        .account(&grant.account)
        .unwrap_or_else(|| account::new_account(grant.account.clone(), 0, working.ledger));
    let opens_line = grant
        .credit
        .as_ref()
        .is_some_and(|(asset, _)| working.trustline(&grant.account, asset).is_none());
    if opens_line {
        entry.num_sub_entries = entry
            .num_sub_entries
            .checked_add(1)
            .ok_or(GrantRefused::TooManySubentries)?;
    }
    let wanted = grant.lumens.max(account::reserve(entry.num_sub_entries));
    let missing = wanted.saturating_sub(entry.balance).max(0);
    let mut root = working
        .account(&account_of(&network.root()))
        .ok_or(GrantRefused::OutOfLumens)?;
    if root.account_id == entry.account_id || account::available(&root) < missing {
        return Err(GrantRefused::OutOfLumens);
    }
    root.balance = root.balance.saturating_sub(missing);
    entry.balance = entry.balance.saturating_add(missing);
    let balance = entry.balance;
    if missing > 0 {
        working.put_account(root);
    }
    working.put_account(entry);
    Ok(balance)
}

fn credit(working: &mut Working<'_>, grant: &Grant) -> Result<Option<i64>, GrantRefused> {
    let Some((asset, amount)) = &grant.credit else {
        return Ok(None);
    };
    if xdr::issuer(asset) == Some(&grant.account) {
        return Err(GrantRefused::OwnAsset);
    }
    let mut line = working.trustline(&grant.account, asset).unwrap_or_else(|| {
        let authorized = account::line_bits(TrustLineFlags::AuthorizedFlag);
        trust::new_line(grant.account.clone(), asset, i64::MAX, authorized)
    });
    line.balance = line
        .balance
        .checked_add(*amount)
        .filter(|balance| *balance <= line.limit)
        .ok_or(GrantRefused::LineFull)?;
    let balance = line.balance;
    working.put_trustline(line);
    Ok(Some(balance))
}
