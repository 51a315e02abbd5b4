//! Threads. No other place starts one: a system may have none left, which is never a panic.

use std::panic::resume_unwind;
use std::sync::{Arc, mpsc};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use parking_lot::Mutex;

use crate::error::{Error, Kind, Result};

/// The most threads that work at once on the items of a list: most of their time they wait for servers.
const WORKERS_MAX: usize = 64;
/// How many threads must be possible for a library to start one. Not one alone, as the system counts a thread for a moment
/// after it has ended.
const PROBES: usize = 2;

/// Held while a thread is started, so that [`for_library`] has no rival in this process.
static STARTING: Mutex<()> = Mutex::new(());
/// What [`start_next`] left.
static NEXT: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Does the same for each item, on several threads at once. The results are in the order of the items. A panic of one
/// thread is passed on when all have ended.
pub(crate) fn at_once<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    at_most(WORKERS_MAX, items, work)
}

/// As [`at_once`], with at most so many items at once.
pub(crate) fn at_most<I: Send, T: Send>(
    most: usize,
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let items: Vec<I> = items.into_iter().collect();
    let workers = items.len().min(most).min(WORKERS_MAX);
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().next();
    let done = on_workers(workers, || {
        let mut done = Vec::new();
        while let Some((at, item)) = next() {
            done.push((at, work(item)));
        }
        done
    });
    let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Calls `work` on so many threads at once, one of which is the caller's. There are fewer if no more can be started.
pub(crate) fn on_workers<T: Send>(count: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let start = |_| start_in(scope, work).ok();
        let others: Vec<_> = (1..count).map_while(start).collect();
        let own = work();
        std::iter::once(own).chain(others.into_iter().map(join)).collect()
    })
}

/// Starts a thread that nobody waits for. An error of kind `Failed` if none can be started.
pub(crate) fn start(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let work_and_next = || {
        work();
        let next = NEXT.lock().take();
        if let Some(next) = next {
            next();
        }
    };
    let _alone = STARTING.lock();
    Builder::new().spawn(work_and_next).map(drop).map_err(|cause| none_left(&cause))
}

/// Does this on the first thread that has done what it was started for: to start and end another one costs a command about one
/// user a twentieth of its time.
pub(crate) fn start_next(work: impl FnOnce() + Send + 'static) {
    *NEXT.lock() = Some(Box::new(work));
}

/// Makes what starts one thread in a library that panics if it cannot. An error of kind `Failed` if it could not.
pub(crate) fn for_library<T>(make: impl FnOnce() -> T) -> Result<T> {
    let _alone = STARTING.lock();
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let probes: Vec<_> = (0..PROBES)
        .map(|_| {
            let gate = Arc::clone(&gate);
            Builder::new().spawn(move || drop(gate.lock()))
        })
        .collect();
    drop(closed);
    for probe in probes {
        let _ = probe.map_err(|cause| none_left(&cause))?.join();
    }
    Ok(make())
}

/// Starts a thread in a scope. An error of kind `Failed` if none can be started.
pub(crate) fn start_in<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let _alone = STARTING.lock();
    Builder::new().spawn_scoped(scope, work).map_err(|cause| none_left(&cause))
}

/// Starts a thread that works with a value. Gives the value back if none can be started.
pub(crate) fn start_with<V: Send + 'static>(
    value: V,
    work: impl FnOnce(V) + Send + 'static,
) -> Result<(), V> {
    let (sender, receiver) = mpsc::sync_channel(1);
    match start(move || receiver.recv().map_or((), work)) {
        Ok(()) => sender.send(value).map_err(|unsent| unsent.0),
        Err(_) => Err(value),
    }
}

/// What the thread has returned; its panic is passed on.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn none_left(cause: &std::io::Error) -> Error {
    Error::new(Kind::Failed, format!("cannot start a thread: {cause}"))
        .hint("ulimit -u shows how many processes and threads a user may have; a container may allow fewer")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for count in [0, 1, 2, WORKERS_MAX, 10 * WORKERS_MAX] {
            let doubled = at_once(0..count, |item| {
                // The first ones end last.
                thread::sleep(Duration::from_micros((count - item) as u64));
                2 * item
            });
            assert_eq!(doubled, (0..count).map(|item| 2 * item).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_so_many_threads_work_at_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        at_once(0..4 * WORKERS_MAX, |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!((2..=WORKERS_MAX).contains(&most.into_inner()));
    }

    #[test]
    fn a_panic_is_passed_on() {
        for bad in [0, 1, 7] {
            let ran = std::panic::catch_unwind(|| at_once(0..8, |item| assert_ne!(item, bad)));
            assert!(ran.is_err());
        }
    }

    #[test]
    fn a_thread_gets_its_value() {
        let (sender, receiver) = mpsc::channel();
        start_with(7, move |value| sender.send(value).unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
        assert_eq!(for_library(|| 8).unwrap(), 8);
    }

    #[test]
    fn a_thread_goes_on_with_what_is_next() {
        let (sender, receiver) = mpsc::channel();
        let second = sender.clone();
        start_next(move || second.send(thread::current().id()).unwrap());
        // Any thread of these tests may do it.
        start(move || sender.send(thread::current().id()).unwrap()).unwrap();
        assert_eq!(receiver.iter().count(), 2);
        assert!(NEXT.lock().is_none());
    }
}
