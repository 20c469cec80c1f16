//! Several RPC servers of one network, asked in turn: the first is preferred, and whoever answered
//! last is asked first until the preferred one is tried again.
//!
//! A question is put to one server as a whole and to the next one anew: answers of two servers are
//! never mixed into one proof.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tranche_application::ports::burner::LedgerError;

use crate::config::{ConfigError, StellarConfig};
use crate::http::Endpoint;
use crate::network::Network;
use crate::node::{Node, Tip};

/// How long the preferred server is left alone after it failed.
const LEFT_ALONE: Duration = Duration::from_mins(1);

/// The servers.
pub struct Providers {
    nodes: Vec<Arc<Node>>,
    turn: Mutex<Turn>,
}

/// Whose turn it is.
#[derive(Default)]
struct Turn {
    /// Who answered last.
    current: usize,
    /// Since when that is not the preferred one.
    since: Option<Instant>,
}

impl Turn {
    /// The order in which to ask `count` servers.
    fn order(&mut self, count: usize, now: Instant) -> impl Iterator<Item = usize> + use<> {
        if self
            .since
            .is_some_and(|since| now.duration_since(since) >= LEFT_ALONE)
        {
            *self = Self::default();
        }
        let first = self.current;
        std::iter::once(first).chain((0..count).filter(move |index| *index != first))
    }

    fn answered(&mut self, index: usize, now: Instant) {
        if index != self.current {
            self.current = index;
            self.since = (index != 0).then_some(now);
        }
    }
}

impl Providers {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL that cannot work, or none at all.
    pub fn try_new(config: &StellarConfig, network: &Arc<Network>) -> Result<Self, ConfigError> {
        if config.rpc_urls.is_empty() {
            return Err(ConfigError::RpcUrl);
        }
        let tip = Arc::new(Tip::default());
        let node = |url: &String| {
            let endpoint = Endpoint::try_new(url, config.timeout)?;
            Ok(Arc::new(Node::new(endpoint, network.clone(), tip.clone())))
        };
        Ok(Self {
            nodes: config.rpc_urls.iter().map(node).collect::<Result<_, _>>()?,
            turn: Mutex::default(),
        })
    }

    /// Whether there is another one to ask.
    pub fn have_several(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Asks one server after the other until one is available. Whatever else an answer is, it is
    /// the answer.
    ///
    /// # Errors
    /// The answer's own, or [`LedgerError::Unavailable`] with what became of each.
    pub async fn ask<T, Answer>(
        &self,
        question: impl Fn(Arc<Node>) -> Answer + Send + Sync,
    ) -> Result<T, LedgerError>
    where
        Answer: Future<Output = Result<T, LedgerError>> + Send,
    {
        self.ask_for_least(question, |_| 0).await
    }

    /// The same, but goes on while an answer lacks something, and gives the one that lacks least.
    ///
    /// # Errors
    /// As [`Providers::ask`].
    pub async fn ask_for_least<T, Answer>(
        &self,
        question: impl Fn(Arc<Node>) -> Answer + Send + Sync,
        lacks: impl Fn(&T) -> u32,
    ) -> Result<T, LedgerError>
    where
        Answer: Future<Output = Result<T, LedgerError>> + Send,
    {
        let mut failures = Vec::new();
        let mut best: Option<(u32, T)> = None;
        let order = self.turn(|turn| turn.order(self.nodes.len(), Instant::now()));
        for (index, node) in order.filter_map(|index| Some((index, self.nodes.get(index)?))) {
            let answer = match node.admit().await {
                Ok(()) => question(node.clone()).await,
                Err(error) => Err(error),
            };
            match answer {
                Err(LedgerError::Unavailable(why)) => {
                    tracing::debug!(server = node.host(), why, "unavailable");
                    failures.push(format!("{}: {why}", node.host()));
                }
                answer => {
                    // Whoever answered less than another did not fail.
                    if best.is_none() {
                        self.turn(|turn| turn.answered(index, Instant::now()));
                    }
                    let answer = answer?;
                    let lack = lacks(&answer);
                    if lack == 0 {
                        return Ok(answer);
                    }
                    if best.as_ref().is_none_or(|(least, _)| lack < *least) {
                        best = Some((lack, answer));
                    }
                }
            }
        }
        match best {
            Some((_, answer)) => Ok(answer),
            None => Err(LedgerError::Unavailable(failures.join("; "))),
        }
    }

    fn turn<T>(&self, act: impl FnOnce(&mut Turn) -> T) -> T {
        act(&mut self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answered_last_is_asked_first_until_the_preferred_one_is_tried_again() {
        let (mut turn, start) = (Turn::default(), Instant::now());
        let order = |turn: &mut Turn, now| turn.order(3, now).collect::<Vec<_>>();
        assert_eq!(order(&mut turn, start), [0, 1, 2]);
        turn.answered(2, start);
        let soon = start + LEFT_ALONE / 2;
        assert_eq!(order(&mut turn, soon), [2, 0, 1]);
        turn.answered(2, soon);
        let later = start + LEFT_ALONE;
        assert_eq!(order(&mut turn, later), [0, 1, 2]);
        turn.answered(1, later);
        assert_eq!(order(&mut turn, later), [1, 0, 2]);
        turn.answered(0, later);
        assert_eq!(order(&mut turn, later + LEFT_ALONE), [0, 1, 2]);
    }
}
