//! What a machine says of itself: processor, memory, disks, network, and the processes that matter here.

/// How much of something is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl DiskSpace {
    /// The part that is in use, 0 to 1; nothing of nothing.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn share(self) -> Option<f64> {
        (self.total_bytes > 0).then(|| self.used_bytes as f64 / self.total_bytes as f64)
    }
}

/// Bytes a second, in and out: of a network interface, or of processes from and to the disk. Not known before it was
/// looked at twice.
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
    /// How many processors they keep busy: 1.5 is one and a half. Not known before it was looked at twice.
    pub cores_busy: Option<f64>,
    /// Their resident memory, added up: what they share counts once for each of them.
    pub memory_bytes: u64,
    /// From and to the disk.
    pub disk: Throughput,
}

/// A machine at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSample {
    /// How many processors it has.
    pub cores: u64,
    /// The part of all processors that is busy, 0 to 1. Not known before it was looked at twice.
    pub cpu_share: Option<f64>,
    /// Its memory; what could be freed at once does not count as used.
    pub memory: DiskSpace,
    /// Its swap space; nothing if it has none.
    pub swap: DiskSpace,
    /// The file systems of the folders that were asked for, each with that folder.
    pub disks: Vec<(String, DiskSpace)>,
    /// Its network interfaces by name.
    pub networks: Vec<(String, Throughput)>,
    /// The processes of Postgres.
    pub postgres: Processes,
    /// The processes of ringshard, this one too.
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
