//! The error type of the program.
//!
//! An [`Error`] is made where a call crosses a boundary (a shard, a file, the user's input) and is not wrapped again. Its
//! [`Kind`] decides the exit code; the hint is separate from the message. Neither ever has a password.

use std::fmt;

/// The result of an operation that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error, which scripts can distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any other failure.
    Failed,
    /// The command line is not valid.
    Usage,
    /// A confirmation was refused, or impossible without a terminal.
    Declined,
    /// The named user, shard or server does not exist.
    NotFound,
    /// The user or shard exists, or its state conflicts with the command.
    Conflict,
    /// Stopped before the end; safe to run again.
    Partial,
    /// Invalid input data.
    BadInput,
    /// A shard cannot be reached.
    Unreachable,
    /// Another session holds the lock, or a change is under way.
    Locked,
    /// Authentication failed, or a privilege is missing.
    Permission,
    /// The configuration is invalid, or contradicts the shards.
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

    /// Its name in a JSON error.
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

/// An error: what failed, on which shard, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    shard: Option<String>,
}

/// The message without what `std::io::Error` adds to the system's text: ` (os error 111)`.
pub(crate) fn without_numbers(mut message: String) -> String {
    while let Some(begin) = message.find(" (os error ")
        && let Some(length) = message[begin..].find(')')
    {
        message.replace_range(begin..=begin + length, "");
    }
    message
}

impl Error {
    /// An error of this kind. The message is lowercase, without a full stop, with values in backticks. The number of a system
    /// error is left out, which says nothing that its text does not.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: without_numbers(message.into()), hint: None, shard: None }
    }

    /// With a hint: a command or an action.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With text appended to the message, such as `; more`.
    #[must_use]
    pub fn adding(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
    }

    /// With the shard on which it happened.
    #[must_use]
    pub fn on_shard(mut self, shard: impl fmt::Display) -> Self {
        self.shard = Some(shard.to_string());
        self
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What failed and why.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The hint, if there is one.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The name of the shard on which it happened, if there is one.
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
