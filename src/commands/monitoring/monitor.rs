//! `monitor`: whom it asks. What is shown of it, and the keys, are the terminal's business.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::stats::parse_interval;
use crate::commands::Context;
use crate::error::Result;
use crate::host;
use crate::host::Host;
use crate::model::host::HostSample;
use crate::model::names::ShardName;
use crate::model::stats::Sample;
use crate::pg::poll::stats::{Private, Watch};

/// The arguments of `monitor`.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// The pause between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    pub interval: Duration,
}

/// What was heard.
#[derive(Debug)]
pub enum MonitorSample {
    /// How a shard does, or why it does not answer.
    Shard(ShardName, Box<Result<Sample>>),
    /// How this machine does.
    Host(HostSample),
}

/// Takes what was heard, on the threads that hear it.
pub type Listener = Arc<dyn Fn(MonitorSample) + Send + Sync>;

struct MonitorInput {
    ended: bool,
    interval: Duration,
    /// Where the servers on this machine have their data, and this program what it knows.
    folders: BTreeSet<PathBuf>,
}

struct Machine {
    state: Mutex<MonitorInput>,
    changed: Condvar,
}

impl Machine {
    fn state(&self) -> MutexGuard<'_, MonitorInput> {
        self.state.lock()
    }
}

/// Asks all shards and looks at this machine, again and again, until it is dropped. A private Postgres that is down
/// stays so: that is what one wants to see.
pub struct Observation {
    shards: Watch,
    machine: Arc<Machine>,
}

impl Observation {
    /// Begins.
    pub fn begin(context: &Context<'_>, interval: Duration, listener: &Listener) -> Result<Self> {
        let cluster = context.cluster()?;
        let settings = context.settings();
        let folders = settings.state_folder.iter().filter(|folder| folder.is_dir()).cloned();
        let state = MonitorInput { ended: false, interval, folders: folders.collect() };
        let machine = Arc::new(Machine { state: Mutex::new(state), changed: Condvar::new() });
        let (there, tell) = (Arc::clone(&machine), Arc::clone(listener));
        thread::spawn(move || look_again_and_again(&there, &tell));
        let (there, tell) = (Arc::clone(&machine), Arc::clone(listener));
        let hear = move |name: &ShardName, sample: Result<Sample>| {
            let folder =
                sample.as_ref().ok().and_then(|sample| sample.data_folder.clone()).map(PathBuf::from);
            if let Some(folder) = folder {
                there.state().folders.insert(folder);
            }
            tell(MonitorSample::Shard(name.clone(), Box::new(sample)));
        };
        let shards = Watch::begin(cluster, interval, Private::Leave, Arc::new(hear));
        Ok(Self { shards, machine })
    }

    /// From here on there is this pause between two looks.
    pub fn set_interval(&self, interval: Duration) {
        self.shards.set_interval(interval);
        self.machine.state().interval = interval;
        self.machine.changed.notify_all();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.machine.state().ended = true;
        self.machine.changed.notify_all();
    }
}

/// A machine that does not tell how it does is looked at no more.
fn look_again_and_again(machine: &Machine, tell: &Listener) {
    let Ok(mut host) = Host::new() else { return };
    loop {
        let folders: Vec<PathBuf> = machine.state().folders.iter().cloned().collect();
        let looked = Instant::now();
        let sample = host.look(&folders);
        if machine.state().ended {
            return;
        }
        tell(MonitorSample::Host(sample));
        let mut state = machine.state();
        loop {
            let left = state.interval.max(host::INTERVAL_MIN).saturating_sub(looked.elapsed());
            if state.ended {
                return;
            }
            if left.is_zero() {
                break;
            }
            machine.changed.wait_for(&mut state, left);
        }
    }
}
