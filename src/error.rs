//! What can go wrong, in the terms of the command line's contract.
//!
//! An [`Error`] is made where a call crosses an edge (a shard, a file, the user's words) and is not
//! wrapped again. Its [`Kind`] decides the exit code; the hint is kept apart from the message. Neither
//! ever holds a password.

use std::fmt;

/// The result of everything that the world can make fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of a failure: what a script can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Failed for a reason that no other kind names.
    Failed,
    /// The words of the command line do not fit its grammar.
    Usage,
    /// A confirmation was refused, or could not be asked for.
    Declined,
    /// The user, shard or server that was named is not there.
    NotFound,
    /// The user or shard exists already.
    Conflict,
    /// Stopped part-way; safe to run again.
    Partial,
    /// Bad input data.
    BadInput,
    /// A shard cannot be reached.
    Unreachable,
    /// Somebody else holds the lock.
    Locked,
    /// Authentication or permission.
    Permission,
    /// The configuration does not fit, or does not fit the shards.
    Configuration,
}

impl Kind {
    /// Every kind, for help texts and tests.
    pub const ALL: [Self; 11] = [
        Self::Failed,
        Self::Usage,
        Self::Declined,
        Self::NotFound,
        Self::Conflict,
        Self::Partial,
        Self::BadInput,
        Self::Unreachable,
        Self::Locked,
        Self::Permission,
        Self::Configuration,
    ];

    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Declined => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::Partial => 6,
            Self::BadInput => 65,
            Self::Unreachable => 69,
            Self::Locked => 75,
            Self::Permission => 77,
            Self::Configuration => 78,
        }
    }

    /// The name that stands in a JSON error.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Declined => "declined",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Partial => "partial",
            Self::BadInput => "bad_input",
            Self::Unreachable => "unreachable",
            Self::Locked => "locked",
            Self::Permission => "permission",
            Self::Configuration => "configuration",
        }
    }
}

/// A failure: what failed, on which shard, why, and what to type next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    shard: Option<String>,
}

impl Error {
    /// A failure of this kind. The message is lowercase, without a full stop, with values in backticks.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, shard: None }
    }

    /// The same with the next thing to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, and more about it: `; more`.
    #[must_use]
    pub fn adding(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
    }

    /// The same with the shard that it happened on.
    #[must_use]
    pub fn on_shard(mut self, shard: impl fmt::Display) -> Self {
        self.shard = Some(shard.to_string());
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What failed and why.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to type next, if anything helps.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The name of the shard that it happened on, if it happened on one.
    pub fn shard(&self) -> Option<&str> {
        self.shard.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
