//! The rules of the domain, tried exhaustively where the space is small and by property where it
//! is not. Everything here is pure: a failure repeats with the input it prints.

#[cfg(test)]
mod books;
#[cfg(test)]
mod disbursing;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod events;
#[cfg(test)]
mod journeys;
#[cfg(test)]
mod money;
#[cfg(test)]
mod replacing;
#[cfg(test)]
mod resolving;
#[cfg(test)]
mod retaining;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod trail_parts;
#[cfg(test)]
mod trail_refusals;
#[cfg(test)]
mod trail_sums;
#[cfg(test)]
mod trails;
#[cfg(test)]
mod transitions;
#[cfg(test)]
mod verdict_table;
#[cfg(test)]
mod verdict_truth;
#[cfg(test)]
mod world;
