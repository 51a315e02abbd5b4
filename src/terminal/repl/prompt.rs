//! The prompt: which cluster, how many shards, and whether something is going on with them.

use std::collections::BTreeMap;

use crate::commands::Life;
use crate::model::names::{ClusterId, ShardName};
use crate::terminal::output::Screen;

/// From how many columns on the prompt says whose it is.
const WIDE_COLUMNS: usize = 60;
/// So much of a cluster's id tells it from others, as with a commit.
const ID_CHARACTERS: usize = 8;

/// `ringshard 3f2a91bc 3*!> `: the cluster, how many shards it has, `*` while a rebalance is under way, `!` when
/// a shard is down. As it is, and with colours.
pub(super) fn prompt(
    cluster: Option<ClusterId>,
    state: Option<&BTreeMap<ShardName, Life>>,
    columns: usize,
    screen: Screen,
) -> (String, String) {
    let mut begin = String::new();
    if columns >= WIDE_COLUMNS || state.is_none() {
        begin.push_str("ringshard");
        if let Some(id) = cluster {
            begin.push(' ');
            begin.extend(id.to_string().chars().take(ID_CHARACTERS));
        }
        if state.is_some() {
            begin.push(' ');
        }
    }
    let (mut star, mut mark) = ("", "");
    if let Some(state) = state {
        begin.push_str(&state.len().to_string());
        let lives = || state.values();
        star = if lives().any(|life| *life == Life::Up { changing: true }) { "*" } else { "" };
        mark = if lives().any(|life| matches!(life, Life::Down(_))) { "!" } else { "" };
    }
    let paint = |code, text: &str| if text.is_empty() { String::new() } else { screen.paint(code, text) };
    let styled = format!("{}{}{}> ", paint("1", &begin), paint("1;33", star), paint("1;31", mark));
    (format!("{begin}{star}{mark}> "), styled)
}
