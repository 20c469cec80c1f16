//! The use cases against mocked ports: what they ask of the outside, in which order, and what they
//! do when it refuses. What stores and ledger then do is their own suites' business.

#[cfg(test)]
mod advancing;
mod covering;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leaf;
#[cfg(test)]
mod order;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod pooling;
#[cfg(test)]
mod preparing;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod reconciling;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod relaying;
#[cfg(test)]
mod repeating;
#[cfg(test)]
mod resolving;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod script;
#[cfg(test)]
mod seating;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod side_by_side;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod watching;
