//! The use cases against mocked ports: what they ask of the outside, in which order, and what they
//! do when it refuses. What stores and ledger then do is their own suites' business.

#[cfg(test)]
mod abandoned_copies;
#[cfg(test)]
mod advancing;
#[cfg(test)]
mod alerting;
#[cfg(test)]
mod archived;
#[cfg(test)]
mod available;
#[cfg(test)]
mod contained;
#[cfg(test)]
mod contradictions;
#[cfg(test)]
mod copying;
#[cfg(test)]
mod counting_spans;
#[cfg(test)]
mod couriers;
#[cfg(test)]
mod covering;
#[cfg(test)]
mod daily;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod failing_receivers;
#[cfg(test)]
mod failing_safe;
#[cfg(test)]
mod following;
#[cfg(test)]
mod health;
#[cfg(test)]
mod incoming;
#[cfg(test)]
mod intake;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lateness;
#[cfg(test)]
mod leaf;
#[cfg(test)]
mod leaf_bytes;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod log;
#[cfg(test)]
mod lookout;
#[cfg(test)]
mod losing;
#[cfg(test)]
mod measuring;
#[cfg(test)]
mod memory_tree;
#[cfg(test)]
mod metering;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod order;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod plant;
#[cfg(test)]
mod poison;
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
mod retaining;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod script;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod search_terms;
#[cfg(test)]
mod seating;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod sensitive;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod side_by_side;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod small_log;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stored_form;
#[cfg(test)]
mod trail_documents;
#[cfg(test)]
mod trail_keeping;
#[cfg(test)]
mod trail_moving;
#[cfg(test)]
mod trail_room;
#[cfg(test)]
mod trail_writing;
#[cfg(test)]
mod tree_notes;
#[cfg(test)]
mod tree_vectors;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod webhook_desk;
#[cfg(test)]
mod webhook_world;
#[cfg(test)]
mod working;
