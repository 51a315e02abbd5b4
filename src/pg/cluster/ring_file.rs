//! A file of the ring's arcs, in which one owner is found without the ring: to build that costs a hash for each virtual node.
//!
//! It is a cache, and not trusted. A process uses it only while no shard has confirmed the topology, when each statement
//! about a user makes the shard look at its arcs. So a wrong owner answers that it is not the owner.
//!
//! The file begins with the digest of its topology. A record for each arc follows, in order: the arc's last position (16
//! bytes) and the number of its owner among the topology's shards (4 bytes), big-endian.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::files::atomic;
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::Ring;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Topology;

/// Rings with fewer virtual nodes are built about as fast as a file is read.
const NODES_MIN: u32 = 1_000;
/// Changes with the format.
const FORMAT: &str = "ringshard ring 1";
const DIGEST_LENGTH: usize = 16;
const RECORD_LENGTH: usize = 20;

/// An open file of a topology.
#[derive(Debug)]
pub(crate) struct RingFile {
    file: File,
    path: PathBuf,
    records: u64,
}

impl RingFile {
    /// Whether a file of this topology pays.
    pub(crate) fn pays(topology: &Topology) -> bool {
        let nodes =
            topology.shards().iter().map(|shard| shard.weight.virtual_nodes(topology.virtual_nodes()));
        nodes.sum::<u32>() >= NODES_MIN
    }

    /// The file of a cluster, if it is of this topology.
    pub(crate) fn open(folder: &Path, id: ClusterId, topology: &Topology) -> Option<Self> {
        let path = path(folder, id);
        let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let length = found.len().checked_sub(DIGEST_LENGTH as u64)?;
        let records = (length % RECORD_LENGTH as u64 == 0).then_some(length / RECORD_LENGTH as u64)?;
        let file = File::open(&path).ok()?;
        let mut digest = [0; DIGEST_LENGTH];
        file.read_exact_at(&mut digest, 0).ok()?;
        (digest == digest_of(topology)).then_some(Self { file, path, records })
    }

    /// Writes the file. A failure costs the next process the building of the ring, and is only logged.
    pub(crate) fn write(folder: &Path, id: ClusterId, topology: &Topology, ring: &Ring) {
        let mut content = digest_of(topology).to_vec();
        for owned in ring.arcs() {
            let number = ring.shards().binary_search(owned.shard).expect("an owner is a shard of the ring");
            content.extend(owned.arc.last().number().to_be_bytes());
            content.extend(u32::try_from(number).expect("a topology has fewer shards").to_be_bytes());
        }
        let path = path(folder, id);
        if let Err(cause) = fs::create_dir_all(folder).and_then(|()| atomic::write(&path, 0o666, &content)) {
            log::debug!("Could not write {}: {cause}", path.display());
        }
    }

    /// The owner of a position; `None` if the file is damaged.
    pub(crate) fn owner<'a>(&self, position: Position, topology: &'a Topology) -> Option<&'a ShardName> {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle)?.0 < position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (_, number) = self.record(low)?;
        topology.shards().get(number).map(|shard| &shard.name)
    }

    fn record(&self, at: u64) -> Option<(Position, usize)> {
        let mut record = [0; RECORD_LENGTH];
        self.file.read_exact_at(&mut record, DIGEST_LENGTH as u64 + at * RECORD_LENGTH as u64).ok()?;
        let (last, number) = record.split_first_chunk::<16>()?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        Some((Position::new(u128::from_be_bytes(*last)), number.try_into().ok()?))
    }

    /// Removes the file, so that the next process makes it anew.
    pub(crate) fn remove(&self) {
        if let Err(cause) = fs::remove_file(&self.path) {
            log::debug!("Could not remove {}: {cause}", self.path.display());
        }
    }
}

fn path(folder: &Path, id: ClusterId) -> PathBuf {
    folder.join(format!("ring-{id}"))
}

fn digest_of(topology: &Topology) -> [u8; DIGEST_LENGTH] {
    let text = serde_json::to_string(topology).unwrap_or_default();
    Position::of_key(&format!("{FORMAT} {text}")).number().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_the_owner_that_the_ring_has() {
        let folder = tempfile::tempdir().unwrap();
        let id = "7b1c6a0e-0000-4000-8000-000000000001".parse().unwrap();
        let names = |n| (1..=n).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
        for (shards, nodes) in [(1, 1_000), (3, 400), (64, 100)] {
            let topology = Topology::of_equals(nodes, names(shards)).unwrap();
            assert!(RingFile::open(folder.path(), id, &topology).is_none(), "the file of another topology");
            let ring = topology.ring();
            RingFile::write(folder.path(), id, &topology, &ring);
            let file = RingFile::open(folder.path(), id, &topology).unwrap();
            let nodes = ring.virtual_nodes().flat_map(|node| {
                let at = node.position.number();
                [at.wrapping_sub(1), at, at.wrapping_add(1)].map(Position::new)
            });
            let keys = (0..1_000).map(|key| Position::of_key(&key.to_string()));
            for position in nodes.chain(keys).chain([Position::FIRST, Position::LAST]) {
                assert_eq!(file.owner(position, &topology), Some(ring.owner(position)), "{position}");
            }
        }
    }

    #[test]
    fn a_damaged_file_names_no_owner() {
        let folder = tempfile::tempdir().unwrap();
        let id = "7b1c6a0e-0000-4000-8000-000000000001".parse().unwrap();
        let names = (1..=3).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
        let topology = Topology::of_equals(1_000, names).unwrap();
        RingFile::write(folder.path(), id, &topology, &topology.ring());
        let path = path(folder.path(), id);
        let whole = fs::read(&path).unwrap();
        let open = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            RingFile::open(folder.path(), id, &topology)
        };
        assert!(
            open(b"").is_none() && open(&whole[..15]).is_none() && open(&whole[..whole.len() - 1]).is_none()
        );
        let empty = open(&whole[..16]).unwrap();
        assert_eq!(empty.owner(Position::FIRST, &topology), None);
        // The last records are missing.
        let short = open(&whole[..16 + 20 * 10]).unwrap();
        assert_eq!(short.owner(Position::LAST, &topology), None);
        // An owner that the topology does not have.
        let high = open(&[&whole[..16], &[0xff; 20]].concat()).unwrap();
        assert_eq!(high.owner(Position::FIRST, &topology), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(RingFile::open(folder.path(), id, &topology).is_none());
    }
}
