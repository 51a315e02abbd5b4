//! The tag of a write of a load: an email that encodes run, key, client and version, so that a value in a wrong row is
//! recognized.

use std::fmt;

use super::fake_users::DOMAIN;
use crate::model::user::UserId;

/// The tag of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteTag {
    /// The run.
    pub run: u32,
    /// The key.
    pub key: UserId,
    /// The client.
    pub client: u32,
    /// The version of the key, from 1.
    pub version: u32,
    /// Whether the run created the user.
    pub is_created: bool,
}

/// A pattern of LIKE for the emails of users that runs created.
pub const CREATED: &str = "user.%+n%v%@r%.load.example";

/// The email: `user.KEY+cCLIENTvVERSION@rRUN.load.example`, the run in hexadecimal; `n` in place of `c` if the run created the
/// user.
impl fmt::Display for WriteTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, key, client, version, is_created } = self;
        let mark = if *is_created { 'n' } else { 'c' };
        write!(f, "user.{key}+{mark}{client}v{version}@r{run:08x}.{DOMAIN}")
    }
}

impl WriteTag {
    /// Parses an email; `None` if it is not a tag.
    pub fn read(email: &str) -> Option<Self> {
        let (local, host) = email.split_once('@')?;
        let run = host.strip_suffix(DOMAIN)?.strip_suffix('.')?.strip_prefix('r')?;
        let (key, write) = local.strip_prefix("user.")?.split_once('+')?;
        let is_created = write.starts_with('n');
        let (client, version) = write.strip_prefix(['c', 'n'])?.split_once('v')?;
        let tag = Self {
            run: u32::from_str_radix(run, 16).ok()?,
            key: key.parse().ok()?,
            client: client.parse().ok()?,
            version: version.parse().ok()?,
            is_created,
        };
        // Only the exact form counts, as `+1` and `01` parse as numbers too.
        (tag.to_string() == email).then_some(tag)
    }
}
