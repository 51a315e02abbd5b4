//! Crash points: where a test has the program end as if it was killed. A release binary has none.

/// Before or behind something that is asked of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Ends the process here if `RINGSHARD_CRASH` names this place and this pass of it: `after-adopt:3`.
#[cfg(debug_assertions)]
pub(crate) fn point(side: Side, place: &str) {
    use parking_lot::Mutex;
    use std::collections::HashMap;
    use std::sync::LazyLock;

    static PASSES: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);
    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("RINGSHARD_CRASH").ok()?;
        let (place, pass) = text.split_once(':').unwrap_or((&text, "1"));
        Some((place.to_owned(), pass.parse().ok()?))
    });
    let Some((desired_topology, pass)) = &*WANTED else { return };
    let here = format!("{}-{place}", if side == Side::Before { "before" } else { "after" });
    if here != *desired_topology {
        return;
    }
    let mut passes = PASSES.lock();
    let count = passes.entry(here).or_default();
    *count += 1;
    if count == pass {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: Side, _: &str) {}
