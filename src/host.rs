//! Statistics of this machine: what `htop`, `df` and `netstat` show, which the prototype recommends.
//!
//! It knows no shard and no command, never talks to a server and never prints. Only this wing names `sysinfo`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sysinfo::{NetworkData, Networks, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::error::{Error, Kind, Result};
use crate::files::space_in;
use crate::model::host::{DiskSpace, HostSample, Processes, Throughput};

/// The shortest interval between two samples that gives the load of the processors.
pub const INTERVAL_MIN: Duration = sysinfo::MINIMUM_CPU_UPDATE_INTERVAL;

/// Takes samples of this machine. Rates are over the time since the sample before.
pub struct Host {
    system: System,
    networks: Networks,
    sampled: Option<Instant>,
}

impl Host {
    /// Begins without a sample. An error if the system does not support it.
    pub fn new() -> Result<Self> {
        let fail = |cause: sysinfo::Error| {
            Error::new(Kind::Failed, format!("this system does not report its load: {cause}"))
                .hint("ringshard stats without --host shows the shards")
        };
        let networks = Networks::new_with_refreshed_list().map_err(fail)?;
        Ok(Self { system: System::new().map_err(fail)?, networks, sampled: None })
    }

    /// Takes a sample of the machine, and of the file systems of these folders.
    pub fn sample(&mut self, folders: &[PathBuf]) -> HostSample {
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage().without_tasks();
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        self.networks.refresh(true);
        let seconds = self.sampled.map(|before| before.elapsed().as_secs_f64()).filter(|s| *s > 0.0);
        self.sampled = Some(Instant::now());
        let share = f64::from(self.system.global_cpu_usage()) / 100.0;
        let room = |used_bytes, total_bytes| DiskSpace { used_bytes, total_bytes };
        HostSample {
            cores: self.system.cpus().len() as u64,
            cpu_share: seconds.map(|_| share.clamp(0.0, 1.0)),
            memory: room(self.system.used_memory(), self.system.total_memory()),
            swap: room(self.system.used_swap(), self.system.total_swap()),
            disks: folders
                .iter()
                .filter_map(|folder| Some((folder.display().to_string(), space_in(folder)?.into())))
                .collect(),
            networks: self.networks(seconds),
            postgres: self.processes("postgres", seconds),
            ringshard: self.processes("ringshard", seconds),
        }
    }

    fn networks(&self, seconds: Option<f64>) -> Vec<(String, Throughput)> {
        let flow = |seen: &NetworkData| flow(seen.received(), seen.transmitted(), seconds);
        let flows: BTreeMap<String, Throughput> = self
            .networks
            .iter()
            .map(|(name, seen)| (name.to_string_lossy().into_owned(), flow(seen)))
            .collect();
        flows.into_iter().collect()
    }

    fn processes(&self, program: &str, seconds: Option<f64>) -> Processes {
        let (mut count, mut cpu, mut memory_bytes, mut read, mut written) = (0, 0.0, 0, 0, 0);
        for process in self.system.processes_by_exact_name(program.as_ref()) {
            let disk = process.disk_usage();
            count += 1;
            cpu += f64::from(process.cpu_usage()) / 100.0;
            memory_bytes += process.memory();
            read += disk.read_bytes;
            written += disk.written_bytes;
        }
        let cores_busy = seconds.map(|_| cpu);
        Processes { count, cores_busy, memory_bytes, disk: flow(read, written, seconds) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn flow(in_bytes: u64, out_bytes: u64, seconds: Option<f64>) -> Throughput {
    let rate = |bytes: u64| seconds.map(|seconds| bytes as f64 / seconds);
    Throughput { in_bytes_per_second: rate(in_bytes), out_bytes_per_second: rate(out_bytes) }
}
