//! What a write of a load leaves in the row: an email from which the run, the key, the client and the version can be
//! told, so that a value in a wrong place is recognised.

use std::fmt;

use super::fake_users::DOMAIN;
use crate::model::user::UserId;

/// The signature of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteTag {
    /// Which run it was.
    pub run: u32,
    /// Whose row it is.
    pub key: UserId,
    /// Which of the run's clients wrote it.
    pub client: u32,
    /// How many writes of this key this one makes, from 1 on.
    pub version: u32,
}

/// The email: `user.KEY+cCLIENTvVERSION@rRUN.load.example`, the run in hexadecimal.
impl fmt::Display for WriteTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, key, client, version } = self;
        write!(f, "user.{key}+c{client}v{version}@r{run:08x}.{DOMAIN}")
    }
}

impl WriteTag {
    /// The tag that an email is, if it is one.
    pub fn read(email: &str) -> Option<Self> {
        let (local, host) = email.split_once('@')?;
        let run = host.strip_suffix(DOMAIN)?.strip_suffix('.')?.strip_prefix('r')?;
        let (key, write) = local.strip_prefix("user.")?.split_once('+')?;
        let (client, version) = write.strip_prefix('c')?.split_once('v')?;
        let tag = Self {
            run: u32::from_str_radix(run, 16).ok()?,
            key: key.parse().ok()?,
            client: client.parse().ok()?,
            version: version.parse().ok()?,
        };
        // Only what is written just so: `+1` and `01` are numbers too.
        (tag.to_string() == email).then_some(tag)
    }
}
