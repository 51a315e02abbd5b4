//! A sample of a machine: processors, memory, disks, network, and the relevant processes.

/// How much of something is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes in total.
    pub total_bytes: u64,
}

impl From<(u64, u64)> for DiskSpace {
    /// Of the bytes in use and in total.
    fn from((used_bytes, total_bytes): (u64, u64)) -> Self {
        Self { used_bytes, total_bytes }
    }
}

impl DiskSpace {
    /// The share in use, 0 to 1; `None` if the total is zero.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn share(self) -> Option<f64> {
        (self.total_bytes > 0).then(|| self.used_bytes as f64 / self.total_bytes as f64)
    }
}

/// Bytes a second, in and out: of a network interface, or of processes from and to the disk. Unknown before the second
/// sample.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Throughput {
    /// Received, or read.
    pub in_bytes_per_second: Option<f64>,
    /// Sent, or written.
    pub out_bytes_per_second: Option<f64>,
}

/// All processes of one program.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Processes {
    /// How many there are.
    pub count: u64,
    /// The number of processors that they use, such as 1.5. Unknown before the second sample.
    pub cores_busy: Option<f64>,
    /// The sum of their resident memory; shared memory counts once for each.
    pub memory_bytes: u64,
    /// From and to the disk.
    pub disk: Throughput,
}

/// A machine at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSample {
    /// How many processors it has.
    pub cores: u64,
    /// The busy share of all processors, 0 to 1. Unknown before the second sample.
    pub cpu_share: Option<f64>,
    /// Its memory; reclaimable memory does not count as used.
    pub memory: DiskSpace,
    /// Its swap space; `None` if it has none.
    pub swap: DiskSpace,
    /// The file systems of the requested folders, by folder.
    pub disks: Vec<(String, DiskSpace)>,
    /// Its network interfaces by name.
    pub networks: Vec<(String, Throughput)>,
    /// The processes of Postgres.
    pub postgres: Processes,
    /// The processes of ringshard, including this one.
    pub ringshard: Processes,
}

impl HostSample {
    /// What all interfaces but the loopback receive and send.
    pub fn network(&self) -> Throughput {
        let outer = || self.networks.iter().filter(|(name, _)| name != "lo" && name != "lo0");
        let sum = |of: fn(&Throughput) -> Option<f64>| {
            outer().filter_map(|(_, flow)| of(flow)).fold(None, |sum, bytes| Some(sum.unwrap_or(0.0) + bytes))
        };
        Throughput {
            in_bytes_per_second: sum(|flow| flow.in_bytes_per_second),
            out_bytes_per_second: sum(|flow| flow.out_bytes_per_second),
        }
    }
}
