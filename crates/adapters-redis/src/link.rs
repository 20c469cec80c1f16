//! One connection to Redis that comes back by itself, and a deadline on everything.
//!
//! The connection is made when it is first needed. It is given up when Redis was silent for too long
//! or the connection broke, because a host that vanished never says so; the next command makes
//! another one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisResult, ScriptInvocation,
};
use tokio::sync::Mutex as Turn;
use tokio::time::timeout;

use crate::error::Fault;

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) enum Question<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Question<'_> {
    async fn ask<T: FromRedisValue>(self, whom: &mut MultiplexedConnection) -> RedisResult<T> {
        match self {
            Self::One(command) => command.query_async(whom).await,
            Self::Many(commands) => commands.query_async(whom).await,
            Self::Script(script) => script.invoke_async(whom).await,
        }
    }
}

/// A connection with a number, so that nobody gives up his successor.
#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: MultiplexedConnection,
}

/// The way to Redis. Commands of many callers share one connection, in the order in which they come.
pub(crate) struct Link {
    client: Client,
    deadline: Duration,
    current: Mutex<Current>,
    /// One connects; the others wait for it and use what it made.
    connecting: Turn<()>,
}

#[derive(Default)]
struct Current {
    made: u64,
    connection: Option<Numbered>,
}

impl Link {
    /// Connects to nobody yet.
    pub(crate) fn new(client: Client, deadline: Duration) -> Self {
        Self {
            client,
            deadline,
            current: Mutex::default(),
            connecting: Turn::default(),
        }
    }

    /// A way of one's own to the same Redis.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.client.clone(), self.deadline)
    }

    /// Asks, and waits for the answer until the deadline.
    pub(crate) async fn ask<T: FromRedisValue>(&self, question: Question<'_>) -> Result<T, Fault> {
        self.ask_waiting(question, Duration::ZERO).await
    }

    /// The same of a command that Redis itself may hold for a time.
    pub(crate) async fn ask_waiting<T: FromRedisValue>(
        &self,
        question: Question<'_>,
        held: Duration,
    ) -> Result<T, Fault> {
        let limit = held.saturating_add(self.deadline);
        let mut number = None;
        let asked = timeout(limit, async {
            let mut current = self.connection().await?;
            number = Some(current.number);
            Ok(question.ask(&mut current.connection).await?)
        });
        let answer = asked.await.unwrap_or(Err(Fault::Late(limit)));
        if let (Err(fault), Some(number)) = (&answer, number)
            && !fault.leaves_connection()
        {
            self.give_up(number);
        }
        answer
    }

    /// Gives up the connection, and with it whatever Redis still holds for it.
    pub(crate) fn hang_up(&self) {
        self.current().connection = None;
    }

    async fn connection(&self) -> Result<Numbered, Fault> {
        if let Some(connection) = self.made() {
            return Ok(connection);
        }
        let _turn = self.connecting.lock().await;
        if let Some(connection) = self.made() {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            // The deadlines are the callers': a blocking read lasts longer than any other command.
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut current = self.current();
        current.made = current.made.wrapping_add(1);
        let numbered = Numbered {
            number: current.made,
            connection,
        };
        current.connection = Some(numbered.clone());
        Ok(numbered)
    }

    fn made(&self) -> Option<Numbered> {
        self.current().connection.clone()
    }

    fn give_up(&self, number: u64) {
        let mut current = self.current();
        if current
            .connection
            .as_ref()
            .is_some_and(|connection| connection.number == number)
        {
            current.connection = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
