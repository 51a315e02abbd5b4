//! The checker of a load: whether an answer about a key is possible, given all operations on it.
//!
//! One client writes a key, one write after the other; any client reads it. Each write has a version, from 1; version 0 is
//! the state before. A read that begins when version `min_version` is certain, and ends when version `begun` was sent last,
//! may show any version from the one to the other. What a read has shown is certain for all reads that begin later. A write
//! with an unknown outcome may show or not, or may be done later: until a read shows it, the key is not written again.

use super::keys::Fingerprint;
use super::write_tag::WriteTag;
use crate::model::user::{User, UserId};

/// The number of a write of a key; 0 is the state before the first.
pub type Version = u32;

/// The acknowledgement of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// The caller's number of the shard.
    pub shard: usize,
}

/// Why an answer is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImpossibleAnswer {
    /// An older version than one that was certain: a write was lost, or the answer was stale.
    Older(Version),
    /// No user, although it always existed.
    Missing,
    /// The row, the name or the value of another user.
    OtherUser,
    /// A write that was never sent, or was certainly not done.
    NotDone(Version),
    /// A value that this run did not write.
    Unknown,
}

/// Acknowledged writes that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostWrites {
    /// How many writes.
    pub writes: u32,
    /// The last of them.
    pub last: Option<Acknowledgement>,
    /// Whether the last of them was a delete, so that the user exists again.
    pub is_revival: bool,
}

/// The history of one key.
#[derive(Debug, Clone)]
pub struct KeyHistory {
    run: u32,
    key: UserId,
    client: u32,
    /// The fingerprint of the fields that no write changes.
    lasting: u32,
    /// The email's fingerprint before the first write, if the user existed.
    start: Option<u32>,
    /// The last write that was sent.
    begun: Version,
    /// The last one that counts: it was acknowledged, or seen.
    counts: Version,
    /// The one whose outcome is not known, or not yet.
    open: Option<Version>,
    /// The last write, if it deletes.
    deletes: Option<Version>,
    /// What was not done.
    refused: Vec<Version>,
    /// What was done, and is lost: from and to.
    lost: Vec<(Version, Version)>,
    acknowledged: Option<Acknowledgement>,
    /// Whether an answer about it was wrong in a way after which nothing is known.
    is_broken: bool,
}

impl KeyHistory {
    /// Of a key that this client of a run will write: a user that was there, or one that is to be created.
    pub fn new(run: u32, key: UserId, client: u32, user: Fingerprint, is_there: bool) -> Self {
        Self {
            run,
            key,
            client,
            lasting: user.lasting,
            start: is_there.then_some(user.changing),
            begun: 0,
            counts: 0,
            open: None,
            deletes: None,
            refused: Vec::new(),
            lost: Vec::new(),
            acknowledged: None,
            is_broken: false,
        }
    }

    /// Which version counts now: the minimum version of a read that begins.
    pub fn min_version(&self) -> Version {
        self.counts
    }

    /// Whether the user is there for sure, so that it can be changed.
    pub fn is_writable(&self) -> bool {
        !self.is_broken && self.open.is_none() && self.is_present(self.counts)
    }

    /// Whether nothing is known of this key any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// A write is sent: its tag.
    pub fn begin(&mut self, deletes: bool) -> WriteTag {
        assert!(self.open.is_none(), "a key is written by one client, one write after the other");
        self.begun += 1;
        self.open = Some(self.begun);
        if deletes {
            self.deletes = Some(self.begun);
        }
        self.tag(self.begun)
    }

    /// The write that was sent last is done.
    pub fn acknowledge(&mut self, by: Acknowledgement) {
        self.acknowledged = Some(by);
        self.settle(self.begun);
    }

    /// The write that was sent last is not done, for sure.
    pub fn refuse(&mut self) {
        if self.open.take().is_some() {
            self.refused.push(self.begun);
        }
    }

    fn settle(&mut self, version: Version) {
        self.counts = self.counts.max(version);
        self.open = self.open.filter(|open| *open != version);
    }

    fn tag(&self, version: Version) -> WriteTag {
        let (run, key, client, is_created) = (self.run, self.key, self.client, self.start.is_none());
        WriteTag { run, key, client, version, is_created }
    }

    fn is_present(&self, version: Version) -> bool {
        if version == 0 { self.start.is_some() } else { self.deletes != Some(version) }
    }

    fn is_lost(&self, version: Version) -> bool {
        self.lost.iter().any(|(from, to)| (*from..=*to).contains(&version))
    }

    fn is_undone(&self, version: Version) -> bool {
        self.refused.contains(&version) || self.is_lost(version)
    }

    /// An answer to a read that began when `min_version` counted: it counts from now on, or is wrong.
    pub fn judge(&mut self, min_version: Version, seen: Option<&User>) -> Result<(), ImpossibleAnswer> {
        if self.is_broken {
            return Ok(());
        }
        let version = self.version_of(min_version, seen)?;
        // What counted when the read began was there then, whatever became of it since.
        if self.is_lost(version) && version <= min_version {
            return Ok(());
        }
        if version > self.begun || self.is_undone(version) {
            return Err(ImpossibleAnswer::NotDone(version));
        }
        // What was lost in the meantime, and is known to be, is no minimum version any more.
        if version < min_version.min(self.counts) {
            return Err(ImpossibleAnswer::Older(version));
        }
        self.settle(version);
        Ok(())
    }

    /// Which version this is, to a read that began when `min_version` counted.
    fn version_of(&self, min_version: Version, seen: Option<&User>) -> Result<Version, ImpossibleAnswer> {
        let Some(user) = seen else {
            // Of two absences the earlier one, where it is possible: the other one need not have happened yet.
            let never = self.start.is_none().then_some(0);
            let deleted = self.deletes.filter(|deletes| !self.is_undone(*deletes));
            return never.filter(|_| min_version == 0).or(deleted).or(never).ok_or(ImpossibleAnswer::Missing);
        };
        let print = Fingerprint::of(user);
        if user.user_id != self.key || print.lasting != self.lasting {
            return Err(ImpossibleAnswer::OtherUser);
        }
        match user.email.as_deref().and_then(WriteTag::read) {
            Some(tag) if tag.key != self.key => Err(ImpossibleAnswer::OtherUser),
            Some(tag) if tag.run == self.run => {
                let is_ours = tag.client == self.client && tag.version > 0 && self.is_present(tag.version);
                if is_ours { Ok(tag.version) } else { Err(ImpossibleAnswer::Unknown) }
            }
            _ if self.start == Some(print.changing) => Ok(0),
            _ => Err(ImpossibleAnswer::Unknown),
        }
    }

    /// A read that began when `min_version` counted has shown that writes are lost: of what counted then, only this older
    /// version is left. What was done since then stays.
    pub fn take_back_to(&mut self, version: Version, min_version: Version) -> LostWrites {
        let to = min_version.min(self.counts);
        let gone = (version + 1..=to).filter(|gone| !self.is_undone(*gone));
        let writes = u32::try_from(gone.count()).unwrap_or(u32::MAX);
        let last = self.acknowledged.filter(|_| to == self.counts);
        let lost = LostWrites { writes, last, is_revival: !self.is_present(to) };
        if to > version {
            self.lost.push((version + 1, to));
        }
        if to == self.counts {
            self.counts = version;
        }
        lost
    }

    /// Nothing is known of this key any more: what it shows from now on is not judged.
    pub fn give_up(&mut self) {
        self.is_broken = true;
    }

    /// What a read may show that begins when `min_version` counts, in words.
    pub fn expected(&self, min_version: Version) -> String {
        if min_version < self.begun {
            return format!("version {min_version} to {}", self.begun);
        }
        match min_version {
            _ if !self.is_present(min_version) => "no user".into(),
            0 => "the user as it was when the run began".into(),
            _ => format!("version {min_version}, `{}`", self.tag(min_version)),
        }
    }
}

/// What a read showed, in words.
pub fn in_words(key: UserId, seen: Option<&User>) -> String {
    let Some(user) = seen else { return "no user".into() };
    let whose = if user.user_id == key { String::new() } else { format!("user `{}`, ", user.user_id) };
    match &user.email {
        Some(email) => format!("{whose}`{email}`"),
        None => format!("{whose}no email"),
    }
}
