//! The prompt: the cluster, the number of its shards, and signs for a rebalance and for a shard that is down.

use std::collections::BTreeMap;

use crate::commands::Life;
use crate::model::names::ShardName;
use crate::terminal::output::Screen;

/// From so many columns on, the prompt contains the name and the cluster.
const WIDE_COLUMNS: usize = 60;
/// `ringshard 3f2a91bc 3*!> `: the cluster, its number of shards, `*` while a rebalance is under way, `!` while a shard
/// is down; then the transaction that is open, such as `BEGIN shard_2`. Returns it plain and with colours.
pub(super) fn prompt(
    cluster: Option<String>,
    state: Option<&BTreeMap<ShardName, Life>>,
    transaction: Option<&str>,
    columns: usize,
    screen: Screen,
) -> (String, String) {
    let mut begin = String::new();
    if columns >= WIDE_COLUMNS || state.is_none() {
        begin.push_str("ringshard");
        if let Some(cluster) = cluster {
            begin = begin + " " + &cluster;
        }
        if state.is_some() {
            begin.push(' ');
        }
    }
    let (mut changing, mut down) = ("", "");
    if let Some(state) = state {
        begin.push_str(&state.len().to_string());
        let lives = || state.values();
        changing = if lives().any(|life| *life == Life::Up { changing: true }) { "*" } else { "" };
        down = if lives().any(|life| matches!(life, Life::Down(_))) { "!" } else { "" };
    }
    let paint = |code, text: &str| if text.is_empty() { String::new() } else { screen.paint(code, text) };
    let open = transaction.map_or_else(String::new, |open| format!(" {open}"));
    let styled = [("1", begin.as_str()), ("1;33", changing), ("1;31", down), ("1;36", &open)];
    let styled: String = styled.map(|(code, text)| paint(code, text)).concat();
    (format!("{begin}{changing}{down}{open}> "), styled + "> ")
}
