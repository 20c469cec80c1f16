//! The store contract on Postgres, and what only Postgres can be asked.

#[cfg(test)]
mod access;
#[cfg(test)]
mod append_only;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod ingest;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod numbering_alone;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod privileges;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod subject;
#[cfg(test)]
mod trails;
#[cfg(test)]
mod trails_alone;

#[cfg(test)]
use subject::fresh;

#[cfg(test)]
tranche_tests::store_contract!(fresh);
