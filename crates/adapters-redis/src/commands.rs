//! What is asked of Redis, as this queue words it.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Pipeline, Script, cmd, pipe};

/// The group that all workers are in.
pub(crate) const GROUP: &str = "workers";
/// The consumer that holds what was given back, for whoever comes next.
pub(crate) const RETURNED: &str = "returned";
/// How many ids or entries one command names at most, so that none holds up Redis for long.
pub(crate) const MOST: usize = 1_000;

/// Appends what there is room for.
pub(crate) static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("push.lua")));
/// Gives what was given back, or held too long.
pub(crate) static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("claim.lua")));
/// Says how much waits.
pub(crate) static DEPTH: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("depth.lua")));

/// Makes the group, and the stream if need be: everything that is in it waits.
pub(crate) fn make_group(key: &str) -> Cmd {
    let mut command = cmd("XGROUP");
    command.arg("CREATE").arg(key).arg(GROUP);
    command.arg("0").arg("MKSTREAM");
    command
}

/// Gives a consumer what nobody was given yet, waiting for the first of it.
pub(crate) fn read(key: &str, consumer: &str, limit: usize, wait: Duration) -> Cmd {
    let mut command = cmd("XREADGROUP");
    command.arg("GROUP").arg(GROUP).arg(consumer);
    command.arg("COUNT").arg(limit);
    // Zero would be for ever.
    let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if milliseconds > 0 {
        command.arg("BLOCK").arg(milliseconds);
    }
    command.arg("STREAMS").arg(key).arg(">");
    command
}

/// What a consumer was given already, after an entry.
pub(crate) fn read_again(key: &str, consumer: &str, after: &str) -> Cmd {
    let mut command = cmd("XREADGROUP");
    command.arg("GROUP").arg(GROUP).arg(consumer);
    command.arg("COUNT").arg(MOST);
    command.arg("STREAMS").arg(key).arg(after);
    command
}

/// Takes entries out for good.
pub(crate) fn remove(key: &str, ids: &[String]) -> Pipeline {
    let mut commands = pipe();
    commands.atomic();
    commands.cmd("XACK").arg(key).arg(GROUP).arg(ids).ignore();
    commands.cmd("XDEL").arg(key).arg(ids).ignore();
    commands
}

/// Hands entries that somebody holds to whoever comes next.
pub(crate) fn release(key: &str, ids: &[String]) -> Cmd {
    let mut command = cmd("XCLAIM");
    command.arg(key).arg(GROUP).arg(RETURNED).arg(0);
    command.arg(ids).arg("JUSTID");
    command
}

/// The oldest entries, whoever holds them.
pub(crate) fn look(key: &str, limit: usize) -> Cmd {
    let mut command = cmd("XRANGE");
    command.arg(key).arg("-").arg("+").arg("COUNT").arg(limit);
    command
}
