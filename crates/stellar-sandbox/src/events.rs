//! Events of classic payments, as every asset's contract would emit them (CAP-67).
//!
//! A payment to the issuer is a `burn`, one from it a `mint`, any other a `transfer`; an issuer
//! paying itself is a `transfer` too. Fees have their own event before the transaction runs.

use stellar_xdr::{
    AccountId, Asset, ContractEvent, ContractEventBody, ContractEventType, ContractEventV0,
    ContractId, ContractIdPreimage, Error, ExtensionPoint, Hash, HashIdPreimage,
    HashIdPreimageContractId, Int128Parts, Memo, MuxedAccount, ScAddress, ScBytes, ScMap,
    ScMapEntry, ScString, ScSymbol, ScVal, TransactionEvent, TransactionEventStage,
};

use crate::keys::Network;
use crate::xdr;

/// The contract that speaks for an asset; its id follows from network and asset.
pub(crate) fn asset_contract(network: &Network, asset: &Asset) -> Result<ContractId, Error> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(network.id),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    Ok(ContractId(Hash(xdr::sha256(&xdr::encode(&preimage)?))))
}

/// Value that moved between two accounts.
pub(crate) fn transfer(
    network: &Network,
    asset: &Asset,
    (from, to): (&AccountId, &MuxedAccount),
    amount: i64,
    memo: &Memo,
) -> Result<ContractEvent, Error> {
    let receiver = xdr::unmuxed(to);
    let issuer = xdr::issuer(asset);
    let burns = issuer == Some(&receiver) && issuer != Some(from);
    let mints = issuer == Some(from) && issuer != Some(&receiver);
    let name = name(asset)?;
    let topics = if burns {
        vec![symbol("burn")?, address(from), name]
    } else if mints {
        vec![symbol("mint")?, address(&receiver), name]
    } else {
        vec![symbol("transfer")?, address(from), address(&receiver), name]
    };
    let tag = if burns { None } else { receiver_tag(to, memo)? };
    let data = match tag {
        None => whole(amount),
        Some(tag) => ScVal::Map(Some(ScMap(
            vec![
                ScMapEntry {
                    key: symbol("amount")?,
                    val: whole(amount),
                },
                ScMapEntry {
                    key: symbol("to_muxed_id")?,
                    val: tag,
                },
            ]
            .try_into()?,
        ))),
    };
    event(network, asset, topics, data)
}

/// The issuer changed whether a holder may use the asset.
pub(crate) fn set_authorized(
    network: &Network,
    asset: &Asset,
    holder: &AccountId,
    authorized: bool,
) -> Result<ContractEvent, Error> {
    let topics = vec![symbol("set_authorized")?, address(holder), name(asset)?];
    event(network, asset, topics, ScVal::Bool(authorized))
}

/// The fee taken before the transaction ran.
pub(crate) fn fee(
    network: &Network,
    payer: &AccountId,
    charged: i64,
) -> Result<TransactionEvent, Error> {
    let topics = vec![symbol("fee")?, address(payer)];
    Ok(TransactionEvent {
        stage: TransactionEventStage::BeforeAllTxs,
        event: event(network, &Asset::Native, topics, whole(charged))?,
    })
}

fn event(
    network: &Network,
    asset: &Asset,
    topics: Vec<ScVal>,
    data: ScVal,
) -> Result<ContractEvent, Error> {
    Ok(ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(asset_contract(network, asset)?),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 {
            topics: topics.try_into()?,
            data,
        }),
    })
}

/// Who a custodian books the amount for: the address's id, or else the memo.
fn receiver_tag(to: &MuxedAccount, memo: &Memo) -> Result<Option<ScVal>, Error> {
    if let MuxedAccount::MuxedEd25519(muxed) = to {
        return Ok(Some(ScVal::U64(muxed.id)));
    }
    Ok(match memo {
        Memo::None => None,
        Memo::Text(text) => Some(ScVal::String(ScString(text.to_vec().try_into()?))),
        Memo::Id(id) => Some(ScVal::U64(*id)),
        Memo::Hash(hash) | Memo::Return(hash) => {
            Some(ScVal::Bytes(ScBytes(hash.0.to_vec().try_into()?)))
        }
    })
}

fn symbol(name: &str) -> Result<ScVal, Error> {
    Ok(ScVal::Symbol(ScSymbol(
        name.as_bytes().to_vec().try_into()?,
    )))
}

fn name(asset: &Asset) -> Result<ScVal, Error> {
    let text = xdr::asset_name(asset).into_bytes();
    Ok(ScVal::String(ScString(text.try_into()?)))
}

fn address(account: &AccountId) -> ScVal {
    ScVal::Address(ScAddress::Account(account.clone()))
}

fn whole(amount: i64) -> ScVal {
    ScVal::I128(Int128Parts {
        hi: if amount < 0 { -1 } else { 0 },
        lo: amount.cast_unsigned(),
    })
}
