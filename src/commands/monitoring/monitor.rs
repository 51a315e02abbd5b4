//! `monitor`: collects samples of the shards and of this machine. The terminal shows them and handles the keys.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::stats::parse_interval;
use crate::commands::Context;
use crate::error::Result;
use crate::host::{self, Host};
use crate::model::host::HostSample;
use crate::model::names::ShardName;
use crate::model::stats::Sample;
use crate::pg::poll::stats::{Private, Watch};
use crate::threads;

/// The arguments of `monitor`.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// The interval between two samples
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    pub interval: Duration,
}

/// A sample, or why there is none.
#[derive(Debug)]
pub enum MonitorSample {
    /// A sample of a shard, or why it does not answer.
    Shard(ShardName, Box<Result<Sample>>),
    /// A sample of this machine.
    Host(HostSample),
}

/// Receives the samples, on the threads that take them.
pub type Listener = Arc<dyn Fn(MonitorSample) + Send + Sync>;

struct MonitorInput {
    ended: bool,
    interval: Duration,
    /// The data folders of the servers on this machine, and the state folder.
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

/// Samples all shards and this machine at an interval, until it is dropped. It does not start a private Postgres that is
/// down, because the monitor must show that.
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
        let (sampled, send) = (Arc::clone(&machine), Arc::clone(listener));
        threads::start(move || sample_machine(&sampled, &send))?;
        let (sampled, send) = (Arc::clone(&machine), Arc::clone(listener));
        let receive = move |name: &ShardName, sample: Result<Sample>| {
            let folder =
                sample.as_ref().ok().and_then(|sample| sample.data_folder.clone()).map(PathBuf::from);
            if let Some(folder) = folder {
                sampled.state().folders.insert(folder);
            }
            send(MonitorSample::Shard(name.clone(), Box::new(sample)));
        };
        let shards = Watch::begin(cluster, interval, Private::Leave, Arc::new(receive));
        Ok(Self { shards, machine })
    }

    /// Changes the interval between two samples.
    pub fn set_interval(&self, interval: Duration) {
        self.shards.set_interval(interval);
        self.machine.state().interval = interval;
        self.machine.changed.notify_all();
    }

    /// From here on this shard is also asked for its sessions.
    pub fn open(&self, shard: Option<ShardName>) {
        self.shards.open(shard);
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.machine.state().ended = true;
        self.machine.changed.notify_all();
    }
}

/// Samples this machine, unless the system does not support it.
fn sample_machine(machine: &Machine, send: &Listener) {
    let Ok(mut host) = Host::new() else { return };
    loop {
        let folders: Vec<PathBuf> = machine.state().folders.iter().cloned().collect();
        let begun = Instant::now();
        let sample = host.sample(&folders);
        if machine.state().ended {
            return;
        }
        send(MonitorSample::Host(sample));
        let mut state = machine.state();
        loop {
            let left = state.interval.max(host::INTERVAL_MIN).saturating_sub(begun.elapsed());
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
