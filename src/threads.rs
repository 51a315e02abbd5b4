//! Work on several threads at once. It knows no other part of the program.

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

/// Does the same for each item at once, the first one on the caller's thread. The results are in the order of the
/// items. A panic of one thread is passed on when all have ended.
pub(crate) fn at_once<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let work = &work;
    let mut items = items.into_iter();
    let Some(first) = items.next() else { return Vec::new() };
    thread::scope(|scope| {
        let others: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let first = work(first);
        std::iter::once(first).chain(others.into_iter().map(join)).collect()
    })
}

/// What the thread has returned; its panic is passed on.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
