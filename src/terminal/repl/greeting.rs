//! The three lines of the greeting: the shards, the users and their distribution, the help.

use std::time::Duration;

use crate::commands::Life;
use crate::model::names::ShardName;
use crate::model::text::{counted, redacted, thousands};
use crate::terminal::shell::Shell;

/// How long the greeting waits for the shards to answer.
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits for the count of the users.
const COUNT_PATIENCE: Duration = Duration::from_secs(1);
/// Up to so many shards are named one by one.
const NAMED_MAX: usize = 4;

/// Prints the greeting.
pub(super) fn greet(shell: &Shell<'_>) {
    let state = shell.context.health(HEALTH_PATIENCE);
    let version = env!("CARGO_PKG_VERSION");
    let (first, second) = match &state {
        None => match shell.context.cluster() {
            Err(error) => (
                format!("ringshard {version}: {}", redacted(error.message())),
                error.hint_text().map_or_else(String::new, ToOwned::to_owned),
            ),
            Ok(_) => (format!("ringshard {version}"), String::new()),
        },
        Some(state) => {
            let lives: Vec<(&ShardName, &Life)> = state.iter().collect();
            (format!("ringshard {version}: {}", shards(&lives)), users(shell))
        }
    };
    let third = "help lists the commands, help TOPIC explains, TAB completes, \\q leaves";
    for line in [first.as_str(), second.as_str(), third] {
        shell.tell(line, shell.here());
    }
}

/// `3 shards, all up`.
fn shards(lives: &[(&ShardName, &Life)]) -> String {
    let count = counted(lives.len() as u64, "shard");
    let down: Vec<String> = lives
        .iter()
        .filter_map(|(name, life)| match life {
            Life::Down(why) => Some(format!("`{name}` is down ({})", redacted(why))),
            Life::Unknown => Some(format!("`{name}` has not answered yet")),
            Life::Up { .. } => None,
        })
        .collect();
    let is_changing = lives.iter().any(|(_, life)| **life == Life::Up { changing: true });
    let change = if is_changing { "; a rebalance is under way" } else { "" };
    match down.as_slice() {
        [] => format!("{count}, all up{change}"),
        down => format!("{count}; {}{change}", down.join(", ")),
    }
}

/// `100,000 users: shard_1 33.9 %, shard_2 32.0 %, shard_3 34.1 %`.
fn users(shell: &Shell<'_>) -> String {
    let Some(rows) = shell.context.rows_in_time(COUNT_PATIENCE) else {
        return "counting the users takes too long here: count counts them".into();
    };
    let (mut counts, mut failed) = (Vec::new(), None);
    for (name, rows) in rows {
        match rows {
            Ok(rows) => counts.push((name, rows)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) if counts.is_empty() => {
            format!("the users cannot be counted: {}", redacted(error.message()))
        }
        // Shares of a part of the users would look like an uneven ring.
        Some(_) => {
            let rows = |(name, rows): &(ShardName, i64)| format!("{name} {}", thousands(rows.unsigned_abs()));
            let each: Vec<String> = counts.iter().map(rows).collect();
            format!("users on the shards that answer: {}", each.join(", "))
        }
        None if counts.iter().all(|(_, rows)| *rows == 0) => {
            "0 users; to create the first one: create-user --id 1 --name Alice".into()
        }
        None => spread(&counts),
    }
}

/// The number of users, and their distribution.
fn spread(counts: &[(ShardName, i64)]) -> String {
    let total: i64 = counts.iter().map(|(_, rows)| rows).sum();
    let share = |(name, rows): &(ShardName, i64)| {
        #[expect(clippy::cast_precision_loss, reason = "a rounded share")]
        let percent = *rows as f64 * 100.0 / total.max(1) as f64;
        format!("{name} {percent:.1} %")
    };
    let by_rows = |(_, rows): &&(ShardName, i64)| *rows;
    let shares = if counts.len() <= NAMED_MAX {
        counts.iter().map(share).collect::<Vec<_>>().join(", ")
    } else {
        let ends = [counts.iter().min_by_key(by_rows), counts.iter().max_by_key(by_rows)];
        ends.into_iter().flatten().map(share).collect::<Vec<_>>().join(" to ")
    };
    format!("{}: {shares}", counted(total.unsigned_abs(), "user"))
}
