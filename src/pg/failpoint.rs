//! Failpoints: where a test can make a debug build end as if it was killed. A release build has none.

/// Before or after a request to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Aborts the process if `RINGSHARD_CRASH` names this point and pass: `after-receive:3` is the third one after `receive`.
#[cfg(debug_assertions)]
pub(crate) fn point(side: Side, name: &str) {
    use parking_lot::Mutex;
    use std::collections::HashMap;
    use std::sync::LazyLock;

    static PASSES: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);
    static SELECTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("RINGSHARD_CRASH").ok()?;
        let (name, pass) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), pass.parse().ok()?))
    });
    let Some((selected, pass)) = &*SELECTED else { return };
    let here = format!("{}-{name}", if side == Side::Before { "before" } else { "after" });
    if here != *selected {
        return;
    }
    let mut passes = PASSES.lock();
    let count = passes.entry(here).or_default();
    *count += 1;
    if count == pass {
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: Side, _: &str) {}
